#include "keys/kdf.h"

#include <assert.h>
#include <sodium.h>

static_assert(KEY_LEN == crypto_kdf_KEYBYTES, "libsodium's derivation takes our key length");

static const struct {
	uint64_t id;
	char context[crypto_kdf_CONTEXTBYTES + 1];
} derivations[KDF_KEY_COUNT] = {
	[KDF_CONF] = { 1, "WFSconfg" },         [KDF_HEAD] = { 2, "WFSheadr" },
	[KDF_LOG] = { 3, "WFSlog__" },          [KDF_NAME_MAC] = { 1, "WFSnamem" },
	[KDF_NAME_STREAM] = { 2, "WFSnamee" },  [KDF_DIRID] = { 3, "WFSdirid" },
	[KDF_SYMLINK] = { 4, "WFSsymlk" },      [KDF_XNAME_MAC] = { 5, "WFSxnamm" },
	[KDF_XNAME_STREAM] = { 6, "WFSxname" }, [KDF_XVALUE] = { 7, "WFSxvalu" },
	[KDF_ID_BOX] = { 1, "SBXidbox" },       [KDF_ID_SIGN] = { 2, "SBXidsig" },
	[KDF_ID_OWNER] = { 3, "SBXidown" },
};

void kdf_derive(enum kdf_key which, const uint8_t root[static KEY_LEN], uint8_t out[static KEY_LEN])
{
	assert(which < KDF_KEY_COUNT);
	crypto_kdf_derive_from_key(out, KEY_LEN, derivations[which].id, derivations[which].context,
				   root);
}

void kdf_block_key(uint8_t suite, const uint8_t file_key[static KEY_LEN],
		   uint8_t out[static KEY_LEN])
{
	crypto_kdf_derive_from_key(out, KEY_LEN, suite, "WFSblock", file_key);
}
