/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104), written out: sbx-shell is not linked with the library
 * that opens workspaces, so that it cannot, and this key is none of a workspace's: it stands in the
 * connection file, and proves to a client that a message comes from who read that. */
#include "shell/jup_sign.h"

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define BLOCK  64
#define DIGEST 32

struct sha256 {
	uint32_t h[8];
	uint8_t block[BLOCK];
	size_t have;
	uint64_t total; /* bytes */
};

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotate(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static void schedule(const uint8_t block[static BLOCK], uint32_t w[static 64])
{
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
}

static void take_block(struct sha256 *s)
{
	uint32_t w[64], v[8];

	schedule(s->block, w);
	memcpy(v, s->h, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t e1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
		uint32_t e0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
		uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		uint32_t t = v[7] + e1 + choose + round_constants[i] + w[i];

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t;
		v[0] = t + e0 + majority;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] += v[i];
	s->have = 0;
}

static void sha256_begin(struct sha256 *s)
{
	*s = (struct sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				     0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

static void sha256_add(struct sha256 *s, const void *p, size_t n)
{
	const uint8_t *at = p;

	s->total += n;
	while (n > 0) {
		size_t take = MIN(n, BLOCK - s->have);

		memcpy(s->block + s->have, at, take);
		s->have += take;
		at += take;
		n -= take;
		if (s->have == BLOCK)
			take_block(s);
	}
}

static void sha256_end(struct sha256 *s, uint8_t ret[static DIGEST])
{
	uint64_t bits = s->total * 8;
	uint8_t length[8];

	sha256_add(s, "\x80", 1);
	while (s->have != BLOCK - sizeof(length))
		sha256_add(s, "", 1);
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> 8 * (7 - i));
	sha256_add(s, length, sizeof(length));
	for (int i = 0; i < DIGEST; i++)
		ret[i] = (uint8_t)(s->h[i / 4] >> 8 * (3 - i % 4));
}

/* The key, shortened to a block if need be, with each byte changed. */
static void begin_keyed(struct sha256 *s, const char *key, uint8_t change)
{
	uint8_t pad[BLOCK] = { 0 };

	if (strlen(key) > BLOCK) {
		sha256_begin(s);
		sha256_add(s, key, strlen(key));
		sha256_end(s, pad);
	} else {
		memcpy(pad, key, strlen(key));
	}
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= change;
	sha256_begin(s);
	sha256_add(s, pad, sizeof(pad));
}

void jup_sign(const char *key, const char *const *texts, size_t n, char ret[static 65])
{
	struct sha256 s;
	uint8_t digest[DIGEST];

	ret[0] = '\0';
	if (!key[0])
		return;
	begin_keyed(&s, key, 0x36);
	for (size_t i = 0; i < n; i++)
		sha256_add(&s, texts[i], strlen(texts[i]));
	sha256_end(&s, digest);
	begin_keyed(&s, key, 0x5c);
	sha256_add(&s, digest, sizeof(digest));
	sha256_end(&s, digest);
	hex_encode(digest, sizeof(digest), ret);
}
