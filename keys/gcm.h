/* AES-256-GCM for processors that encrypt two blocks with one instruction (VAES and VPCLMULQDQ on
 * 256-bit registers: AMD from Zen 3, Intel from Ice Lake).  The same bytes as libsodium's, at
 * several times its speed; who has no such processor uses libsodium.  Nothing depends on secrets
 * but data in registers: no tables, no branches.
 *
 * The additional data has 32 bytes, always: those of an entry (doc/format.md section 4). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GCM_KEY_SIZE  512u /* round keys and powers of the hash key */
#define GCM_AAD_LEN   32u
#define GCM_NONCE_LEN 12u
#define GCM_TAG_LEN   16u

/* Must be true before any of the others is called. */
bool gcm_available(void);
/* Expand 'key'. Whoever holds 'k' wipes it. */
void gcm_expand(uint8_t k[static GCM_KEY_SIZE], const uint8_t key[static 32]);
/* 'len' bytes of 'plain' to 'out', which may be the same. */
void gcm_seal(const uint8_t k[static GCM_KEY_SIZE], const uint8_t nonce[static GCM_NONCE_LEN],
	      const uint8_t aad[static GCM_AAD_LEN], const uint8_t *plain, uint32_t len,
	      uint8_t *out, uint8_t tag[static GCM_TAG_LEN]);
/* The way back. 'out' may be 'data', or NULL to verify only. -EBADMSG: 'out' is zeros then. */
int gcm_open(const uint8_t k[static GCM_KEY_SIZE], const uint8_t nonce[static GCM_NONCE_LEN],
	     const uint8_t aad[static GCM_AAD_LEN], const uint8_t *data, uint32_t len,
	     const uint8_t tag[static GCM_TAG_LEN], uint8_t *out);
