#include "keys/cipher.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "keys/gcm.h"

#define BLOCK          4096
#define TAG_MAX        32
#define REQUEST_BLOCKS 16

#ifdef crypto_aead_aegis256_KEYBYTES
#define HAVE_AEGIS 1
#else
#define HAVE_AEGIS 0
#endif

/* What the blocks of one write request share: nonce16, and the key made from it. */
struct request {
	uint8_t key[32], nonce[32], aad[32];
	_Alignas(16) uint8_t aes[GCM_KEY_SIZE];
};

static void begin_none(struct request *q)
{
	q->nonce[0]++;
}

static void seal_xchacha20(struct request *q, const uint8_t *in, uint8_t *out)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, BLOCK, q->aad, 32, NULL, q->nonce,
						   q->key);
}

static void begin_aes_gcm(struct request *q)
{
	uint8_t key[32];

	q->nonce[0]++;
	crypto_core_hchacha20(key, q->nonce, q->key, NULL);
	gcm_expand(q->aes, key);
}

static void seal_aes_gcm(struct request *q, const uint8_t *in, uint8_t *out)
{
	gcm_seal(q->aes, q->nonce + 16, q->aad, in, BLOCK, out, out + BLOCK);
}

#if HAVE_AEGIS
static void seal_aegis(struct request *q, const uint8_t *in, uint8_t *out)
{
	crypto_aead_aegis256_encrypt(out, NULL, in, BLOCK, q->aad, 32, NULL, q->nonce, q->key);
}
#else
#define seal_aegis NULL
#endif

static const struct {
	const char *name;
	void (*begin)(struct request *q);
	void (*seal)(struct request *q, const uint8_t *in, uint8_t *out);
} ciphers[CIPHER_MAX + 1] = {
	[CIPHER_XCHACHA20] = { "xchacha20", begin_none, seal_xchacha20 },
	[CIPHER_AES_GCM] = { "aes-gcm", begin_aes_gcm, seal_aes_gcm },
	[CIPHER_AEGIS] = { "aegis", begin_none, seal_aegis },
};

const char *cipher_name(uint8_t suite)
{
	return suite <= CIPHER_MAX ? ciphers[suite].name : NULL;
}

uint8_t cipher_by_name(const char *name)
{
	for (uint8_t i = 1; i <= CIPHER_MAX; i++)
		if (strcmp(ciphers[i].name, name) == 0)
			return i;
	return 0;
}

bool cipher_available(uint8_t suite, const char **ret_why)
{
	const char *why = NULL;

	if (!cipher_name(suite))
		why = "it is not known to this version";
	else if (!ciphers[suite].seal)
		why = "it needs a build with libsodium 1.0.19 or newer";
	else if (suite == CIPHER_AES_GCM && !crypto_aead_aes256gcm_is_available())
		why = "this processor has no AES instructions that libsodium uses";
	if (why && ret_why)
		*ret_why = why;
	return !why;
}

/* Of this thread: on a busy machine the clock on the wall would choose the wrong cipher for good.
 */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void one_request(uint8_t suite, struct request *q)
{
	uint8_t in[BLOCK] = { 0 }, out[BLOCK + TAG_MAX];

	ciphers[suite].begin(q);
	for (int i = 0; i < REQUEST_BLOCKS; i++)
		ciphers[suite].seal(q, in, out);
}

unsigned cipher_measure(uint8_t suite, unsigned ms)
{
	struct request q = { 0 }; /* a made-up key: nothing of it is kept */
	uint64_t start, now, blocks = 0;

	if (!cipher_available(suite, NULL))
		return 0;
	one_request(suite, &q); /* warm code and tables up */
	start = cpu_ns();
	do {
		one_request(suite, &q);
		blocks += REQUEST_BLOCKS;
		now = cpu_ns();
	} while (now - start < (uint64_t)ms * 1000000u);
	return (unsigned)(blocks * BLOCK * 1000 / (now - start));
}
