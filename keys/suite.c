#include "keys/suite.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

#define BLOCK   4096
#define TAG_MAX 32

#ifdef crypto_aead_aegis256_KEYBYTES
#define HAVE_AEGIS 1
#else
#define HAVE_AEGIS 0
#endif

static void seal_xchacha20(uint8_t *out, const uint8_t *in, const uint8_t *key,
			   const uint8_t *nonce, const uint8_t *aad)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, BLOCK, aad, 32, NULL, nonce, key);
}

static void seal_aes_gcm(uint8_t *out, const uint8_t *in, const uint8_t *key, const uint8_t *nonce,
			 const uint8_t *aad)
{
	uint8_t block_key[32];

	crypto_core_hchacha20(block_key, nonce, key, NULL);
	crypto_aead_aes256gcm_encrypt(out, NULL, in, BLOCK, aad, 32, NULL, nonce + 16, block_key);
}

#if HAVE_AEGIS
static void seal_aegis(uint8_t *out, const uint8_t *in, const uint8_t *key, const uint8_t *nonce,
		       const uint8_t *aad)
{
	crypto_aead_aegis256_encrypt(out, NULL, in, BLOCK, aad, 32, NULL, nonce, key);
}
#else
#define seal_aegis NULL
#endif

static const struct {
	const char *name;
	void (*seal)(uint8_t *out, const uint8_t *in, const uint8_t *key, const uint8_t *nonce,
		     const uint8_t *aad);
} suites[SUITE_MAX + 1] = {
	[SUITE_XCHACHA20] = { "xchacha20", seal_xchacha20 },
	[SUITE_AES_GCM] = { "aes-gcm", seal_aes_gcm },
	[SUITE_AEGIS] = { "aegis", seal_aegis },
};

const char *suite_name(uint8_t suite)
{
	return suite <= SUITE_MAX ? suites[suite].name : NULL;
}

uint8_t suite_by_name(const char *name)
{
	for (uint8_t i = 1; i <= SUITE_MAX; i++)
		if (strcmp(suites[i].name, name) == 0)
			return i;
	return 0;
}

bool suite_available(uint8_t suite, const char **ret_why)
{
	const char *why = NULL;

	if (!suite_name(suite))
		why = "it is not known to this version";
	else if (!suites[suite].seal)
		why = "it needs a build with libsodium 1.0.19 or newer";
	else if (suite == SUITE_AES_GCM && !crypto_aead_aes256gcm_is_available())
		why = "this processor has no AES instructions that libsodium uses";
	if (why && ret_why)
		*ret_why = why;
	return !why;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

unsigned suite_measure(uint8_t suite, unsigned ms)
{
	uint8_t key[32] = { 1 }, nonce[32] = { 2 }, aad[32] = { 3 };
	uint8_t in[BLOCK] = { 0 }, out[BLOCK + TAG_MAX];
	uint64_t start, now, blocks = 0;

	if (!suite_available(suite, NULL))
		return 0;
	suites[suite].seal(out, in, key, nonce, aad); /* warm code, tables and the clock up */
	start = now_ns();
	do {
		for (int i = 0; i < 8; i++) {
			nonce[0]++;
			suites[suite].seal(out, in, key, nonce, aad);
		}
		blocks += 8;
		now = now_ns();
	} while (now - start < (uint64_t)ms * 1000000u);
	return (unsigned)(blocks * BLOCK * 1000 / (now - start));
}
