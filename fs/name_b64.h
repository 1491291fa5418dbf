/* base64url without padding, canonical only: the text form of everything stored in names. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 'out' has 'size' bytes, enough for len * 4 / 3 + 2. */
void b64_encode(const uint8_t *p, size_t len, char *out, size_t size);
/* All 'len' characters of 's' into at most 'size' bytes.  -EBADMSG for anything but the one
 * spelling that b64_encode() gives, and for nothing at all. */
int b64_decode(const char *s, size_t len, uint8_t *out, size_t size, size_t *ret_len);
