/* AES-256-GCM: libsodium's, or on processors that encrypt two blocks with one instruction (VAES and
 * VPCLMULQDQ on 256-bit registers: AMD from Zen 3, Intel from Ice Lake) our own, which gives the
 * same bytes at several times the speed.  Nothing there depends on secrets but data in registers:
 * no tables, no branches.  Keys that were expanded serve in the same process only.
 *
 * The additional data has 32 bytes, always: those of an entry (doc/format.md section 4).  Needs
 * crypto_aead_aes256gcm_is_available(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GCM_KEY_SIZE  512u /* round keys and powers of the hash key, or libsodium's state */
#define GCM_AAD_LEN   32u
#define GCM_NONCE_LEN 12u
#define GCM_TAG_LEN   16u

/* Does our own serve here? */
bool gcm_wide(void);
/* Expand 'key' into 'k', aligned to 16 bytes. Whoever holds 'k' wipes it. */
void gcm_expand(uint8_t k[static GCM_KEY_SIZE], const uint8_t key[static 32]);
/* 'len' bytes of 'plain' to 'out', which may be the same. */
void gcm_seal(const uint8_t k[static GCM_KEY_SIZE], const uint8_t nonce[static GCM_NONCE_LEN],
	      const uint8_t aad[static GCM_AAD_LEN], const uint8_t *plain, uint32_t len,
	      uint8_t *out, uint8_t tag[static GCM_TAG_LEN]);
/* The way back. 'out' may be 'data', or NULL to verify only. -EBADMSG: 'out' is zeros then. */
int gcm_open(const uint8_t k[static GCM_KEY_SIZE], const uint8_t nonce[static GCM_NONCE_LEN],
	     const uint8_t aad[static GCM_AAD_LEN], const uint8_t *data, uint32_t len,
	     const uint8_t tag[static GCM_TAG_LEN], uint8_t *out);
