#include "keys/text.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/err.h"

#define SUM_LEN     3
#define TEXT_CHARS  56 /* of 35 bytes */
#define GROUP_CHARS 7

static_assert((RECOVERY_KEY_LEN + SUM_LEN) * 8 == TEXT_CHARS * 5, "no bit is left over");
static_assert(TEXT_CHARS + TEXT_CHARS / GROUP_CHARS - 1 < RECOVERY_TEXT_SIZE, "groups fit");

static char digit(unsigned v)
{
	return (char)(v < 26 ? 'a' + v : '2' + v - 26);
}

static int value(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= '2' && c <= '7')
		return c - '2' + 26;
	return -1;
}

void base32_encode(const uint8_t *p, size_t len, char *out)
{
	unsigned acc = 0, bits = 0;

	for (size_t i = 0; i < len; i++) {
		acc = (acc << 8 | p[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			*out++ = digit(acc >> (bits - 5) & 31);
	}
	if (bits > 0)
		*out++ = digit(acc << (5 - bits) & 31);
	*out = '\0';
}

int base32_decode(const char *s, size_t chars, uint8_t *out, size_t len)
{
	unsigned acc = 0, bits = 0;

	if (chars != (len * 8 + 4) / 5)
		return -EINVAL;
	for (size_t i = 0; i < chars; i++) {
		int v = value(s[i]);

		if (v < 0)
			return -EINVAL;
		acc = (acc << 5 | (unsigned)v) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			*out++ = (uint8_t)(acc >> bits);
		}
	}
	return acc & ((1u << bits) - 1) ? -EINVAL : 0;
}

static void recovery_sum(const uint8_t key[static RECOVERY_KEY_LEN], uint8_t out[static SUM_LEN])
{
	static const uint8_t label[] = "sbx-recovery";
	uint8_t hash[crypto_generichash_BYTES];
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, sizeof(hash));
	crypto_generichash_update(&st, label, sizeof(label) - 1);
	crypto_generichash_update(&st, key, RECOVERY_KEY_LEN);
	crypto_generichash_final(&st, hash, sizeof(hash));
	memcpy(out, hash, SUM_LEN);
	sodium_memzero(&st, sizeof(st));
}

void recovery_encode(const uint8_t key[static RECOVERY_KEY_LEN],
		     char out[static RECOVERY_TEXT_SIZE])
{
	uint8_t raw[RECOVERY_KEY_LEN + SUM_LEN];
	char text[TEXT_CHARS + 1];

	memcpy(raw, key, RECOVERY_KEY_LEN);
	recovery_sum(key, raw + RECOVERY_KEY_LEN);
	base32_encode(raw, sizeof(raw), text);
	for (size_t i = 0; i < TEXT_CHARS; i++) {
		if (i > 0 && i % GROUP_CHARS == 0)
			*out++ = '-';
		*out++ = text[i];
	}
	*out = '\0';
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(text, sizeof(text));
}

int recovery_decode(const char *text, uint8_t key[static RECOVERY_KEY_LEN], struct err *err)
{
	uint8_t raw[RECOVERY_KEY_LEN + SUM_LEN], sum[SUM_LEN];
	char chars[TEXT_CHARS];
	size_t n = 0;
	int r = 0;

	for (; *text; text++) {
		if (strchr("- \t\r\n", *text))
			continue;
		if (n == sizeof(chars)) {
			n++;
			break;
		}
		chars[n++] = *text;
	}
	if (n != sizeof(chars))
		r = err_set(err, -EINVAL,
			    "the recovery key must have %d letters and digits in groups of %d: "
			    "letters are missing or too many.",
			    TEXT_CHARS, GROUP_CHARS);
	else if (base32_decode(chars, n, raw, sizeof(raw)) < 0)
		r = err_set(err, -EINVAL,
			    "the recovery key has a character that is none of a-z, 2-7: check for "
			    "0 (the letter o) and 1 (the letter l or i).");
	if (r == 0) {
		recovery_sum(raw, sum);
		if (sodium_memcmp(sum, raw + RECOVERY_KEY_LEN, SUM_LEN) != 0)
			r = err_set(err, -EINVAL,
				    "the recovery key has a slip in it (its checksum is wrong): "
				    "compare it with the printed one.");
	}
	if (r == 0)
		memcpy(key, raw, RECOVERY_KEY_LEN);
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(chars, sizeof(chars));
	return r;
}
