/* The wide AES-GCM seals and opens what libsodium opens and seals, byte for byte, at every length.
 */
#include <errno.h>
#include <sodium.h>

#include "keys/gcm.h"
#include "tests/check.h"

#define MAX 4096

static uint8_t key[32], nonce[12], aad[32], plain[MAX + 1], wide[MAX + 1], other[MAX + 1];
static _Alignas(16) uint8_t k[GCM_KEY_SIZE];
static crypto_aead_aes256gcm_state sodium_key;

static void new_key(void)
{
	randombytes_buf(key, sizeof(key));
	randombytes_buf(nonce, sizeof(nonce));
	randombytes_buf(aad, sizeof(aad));
	randombytes_buf(plain, sizeof(plain));
	gcm_expand(k, key);
	crypto_aead_aes256gcm_beforenm(&sodium_key, key);
}

static void same_bytes(uint32_t len)
{
	uint8_t tag[16], want[16];

	wide[len] = other[len] = 0xa5;
	gcm_seal(k, nonce, aad, plain, len, wide, tag);
	crypto_aead_aes256gcm_encrypt_detached_afternm(other, want, NULL, plain, len, aad,
						       sizeof(aad), NULL, nonce,
						       (const void *)&sodium_key);
	CHECK_MEM(wide, other, len + 1);
	CHECK_MEM(tag, want, 16);
	CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, NULL), 0);
	CHECK_MEM(wide, other, len + 1); /* verifying changes nothing */
	CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, wide), 0);
	CHECK_MEM(wide, plain, len);
	CHECK_EQ(wide[len], 0xa5);
	/* In place, both ways. */
	gcm_seal(k, nonce, aad, wide, len, wide, tag);
	CHECK_MEM(wide, other, len + 1);
	CHECK_MEM(tag, want, 16);
}

static void refuses(uint32_t len)
{
	static const uint8_t zeros[MAX];
	uint8_t tag[16];

	gcm_seal(k, nonce, aad, plain, len, wide, tag);
	for (uint32_t bit = 0; bit < 8 * sizeof(tag); bit++) {
		tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, NULL), -EBADMSG);
		tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (uint32_t i = 0; i < sizeof(aad); i++) {
		aad[i] ^= 1;
		CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, NULL), -EBADMSG);
		aad[i] ^= 1;
	}
	for (uint32_t i = 0; i < sizeof(nonce); i++) {
		nonce[i] ^= 0x80;
		CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, NULL), -EBADMSG);
		nonce[i] ^= 0x80;
	}
	for (uint32_t i = 0; i<len; i += len> 600 ? 61 : 1) {
		wide[i] ^= 4;
		CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, NULL), -EBADMSG);
		CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, other), -EBADMSG);
		CHECK_MEM(other, zeros, len); /* nothing of it is handed out */
		wide[i] ^= 4;
	}
	CHECK_EQ(gcm_open(k, nonce, aad, wide, len - 1, tag, NULL), -EBADMSG);
	CHECK_EQ(gcm_open(k, nonce, aad, wide, len, tag, NULL), 0);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	if (!gcm_wide() || !crypto_aead_aes256gcm_is_available()) {
		printf("this processor has no VAES and VPCLMULQDQ\n");
		return 77;
	}
	for (uint32_t len = 1; len <= MAX; len++) {
		new_key();
		same_bytes(len);
	}
	for (uint32_t len = 1; len < 600; len += 37)
		refuses(len);
	refuses(MAX);
	return check_report();
}
