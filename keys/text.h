/* Keys as text that people copy by hand or by mouse: base32 (RFC 4648 letters, no padding), with a
 * checksum inside so that a slip is told from a wrong key. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

/* 'out' has (len * 8 + 4) / 5 + 1 bytes; lower case. */
void base32_encode(const uint8_t *p, size_t len, char *out);
/* Exactly 'len' bytes from exactly as many characters, either case; unused bits must be zero.
 * -EINVAL. */
int base32_decode(const char *s, size_t chars, uint8_t *out, size_t len);

/* A recovery key: 32 random bytes as "abcdefg-..." of eight groups of seven. */
#define RECOVERY_KEY_LEN   32
#define RECOVERY_TEXT_SIZE 80
void recovery_encode(const uint8_t key[static RECOVERY_KEY_LEN],
		     char out[static RECOVERY_TEXT_SIZE]);
/* Blanks, line ends and '-' are skipped, either case.  -EINVAL with a sentence that does not repeat
 * the key. */
int recovery_decode(const char *text, uint8_t key[static RECOVERY_KEY_LEN], struct err *err);
