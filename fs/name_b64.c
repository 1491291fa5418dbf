#include "fs/name_b64.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>

#define B64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

void b64_encode(const uint8_t *p, size_t len, char *out, size_t size)
{
	sodium_bin2base64(out, size, p, len, B64);
}

static bool is_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

int b64_decode(const char *s, size_t len, uint8_t *out, size_t size, size_t *ret_len)
{
	/* libsodium 1.0.18 takes some bytes over 127 for '-' or '_' (its comparison is meant for
	 * 0..255 and sees a negative char): one name would have several spellings. */
	for (size_t i = 0; i < len; i++)
		if (!is_digit(s[i]))
			return -EBADMSG;
	if (len == 0 || sodium_base642bin(out, size, s, len, NULL, ret_len, NULL, B64) != 0)
		return -EBADMSG;
	return 0;
}
