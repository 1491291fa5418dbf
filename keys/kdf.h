/* Every key that is derived from another one: doc/format.md section 3 is this table. */
#pragma once

#include <stdint.h>

#define KEY_LEN 32

enum kdf_key {
	/* from V, the volume key of one generation */
	KDF_CONF, /* keys/config */
	KDF_HEAD, /* file headers */
	KDF_LOG,  /* log and state */
	/* from N, the names root */
	KDF_NAME_MAC,
	KDF_NAME_STREAM,
	KDF_DIRID,
	KDF_SYMLINK,
	KDF_XNAME_MAC,
	KDF_XNAME_STREAM,
	KDF_XVALUE,
	/* from an identity's seed */
	KDF_ID_BOX,   /* X25519 secret key */
	KDF_ID_SIGN,  /* Ed25519 seed */
	KDF_ID_OWNER, /* secret of owner slots */
	KDF_KEY_COUNT,
};

/* 'out' may be guarded memory or not; 'root' is KEY_LEN bytes. */
void kdf_derive(enum kdf_key which, const uint8_t root[static KEY_LEN],
		uint8_t out[static KEY_LEN]);

/* K_b of a file: 'suite' is the id, so that no key ever serves two ciphers. */
void kdf_block_key(uint8_t suite, const uint8_t file_key[static KEY_LEN],
		   uint8_t out[static KEY_LEN]);
