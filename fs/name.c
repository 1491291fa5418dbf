#include "fs/name.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fs/name_b64.h"

/* Theory.  A name is sealed deterministically (SIV): the same name in the same directory always
 * gives the same stored name, so that lookup is one system call, and nothing else shows equality.
 * The synthetic value is a MAC over the directory's id and the name, and is at the same time the
 * nonce of the stream: an altered stored name decrypts to something whose MAC differs.  Whatever is
 * wrong gives the one answer -EBADMSG: there is nothing to learn from the kind of failure. */

#define SIV_LEN     16
#define PAD         16
#define SHORT_MAX   160 /* plain bytes that still give a stored name of at most 235 characters */
#define SHORT_CHARS 235
#define SEALED_MAX  (SIV_LEN + 256)
#define HASH_LEN    32
#define HASH_CHARS  43
#define AEAD_OVERHEAD                                                                              \
	(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)

static_assert(SYMLINK_TAIL_NAME_SIZE > HASH_CHARS, "a tail's name fits");
static_assert(XATTR_VALUE_OVERHEAD == AEAD_OVERHEAD, "overhead in the header is the real one");

static size_t padded(size_t len)
{
	return (len + PAD - 1) / PAD * PAD;
}

static void siv_of(const uint8_t mac_key[static 32], const uint8_t id[static DIRID_LEN],
		   const uint8_t *name, size_t len, uint8_t out[static SIV_LEN])
{
	uint8_t text[DIRID_LEN + NAME_PLAIN_MAX + 1];

	assert(len <= NAME_PLAIN_MAX);
	memcpy(text, id, DIRID_LEN);
	memcpy(text + DIRID_LEN, name, len);
	crypto_generichash(out, SIV_LEN, text, DIRID_LEN + len, mac_key, 32);
}

static void stream_xor(const uint8_t key[static 32], const uint8_t siv[static SIV_LEN],
		       const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t nonce[crypto_stream_xchacha20_NONCEBYTES] = { 0 };

	memcpy(nonce, siv, SIV_LEN);
	crypto_stream_xchacha20_xor(out, in, len, nonce, key);
}

/* 'out' has SEALED_MAX bytes. Returns the sealed length. */
static size_t siv_seal(const uint8_t mac_key[static 32], const uint8_t stream_key[static 32],
		       const uint8_t id[static DIRID_LEN], const char *name, size_t len,
		       uint8_t *out)
{
	uint8_t text[NAME_PLAIN_MAX + 1] = { 0 };

	memcpy(text, name, len);
	siv_of(mac_key, id, text, len, out);
	stream_xor(stream_key, out, text, padded(len), out + SIV_LEN);
	return SIV_LEN + padded(len);
}

/* Undo siv_seal() on base64 text.  'id' NULL: the MAC is not checked.  'name' has max + 1 bytes. */
static int siv_open(const uint8_t mac_key[static 32], const uint8_t stream_key[static 32],
		    const uint8_t *id, const char *stored, size_t max, char *name, size_t *ret_len)
{
	uint8_t sealed[SEALED_MAX], text[SEALED_MAX], siv[SIV_LEN];
	size_t len, n, chars = strnlen(stored, NAME_FULL_SIZE);

	if (chars >= NAME_FULL_SIZE || b64_decode(stored, chars, sealed, sizeof(sealed), &len) < 0)
		return -EBADMSG;
	if (len < SIV_LEN + PAD || (len - SIV_LEN) % PAD != 0)
		return -EBADMSG;
	len -= SIV_LEN;
	stream_xor(stream_key, sealed, sealed + SIV_LEN, len, text);
	for (n = len; n > 0 && text[n - 1] == 0; n--)
		;
	if (n == 0 || n > max || padded(n) != len || memchr(text, 0, n))
		return -EBADMSG;
	if (id) {
		siv_of(mac_key, id, text, n, siv);
		if (sodium_memcmp(siv, sealed, SIV_LEN) != 0)
			return -EBADMSG;
	}
	memcpy(name, text, n);
	name[n] = '\0';
	*ret_len = n;
	return 0;
}

static bool is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

static void long_stored(const uint8_t *sealed, size_t len, char stored[static NAME_STORED_SIZE])
{
	uint8_t hash[HASH_LEN];

	crypto_generichash(hash, sizeof(hash), sealed, len, NULL, 0);
	stored[0] = '~';
	b64_encode(hash, sizeof(hash), stored + 1, NAME_STORED_SIZE - 1);
}

int name_encrypt(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN], const char *name,
		 size_t len, char stored[static NAME_STORED_SIZE], char full[static NAME_FULL_SIZE],
		 bool *ret_long)
{
	uint8_t sealed[SEALED_MAX];
	size_t n;

	if (len > NAME_PLAIN_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(name, '/', len) || memchr(name, 0, len) || is_dots(name, len))
		return -EINVAL;
	n = siv_seal(k->nm, k->ne, dirid, name, len, sealed);
	b64_encode(sealed, n, full, NAME_FULL_SIZE);
	*ret_long = len > SHORT_MAX;
	if (*ret_long)
		long_stored(sealed, n, stored);
	else
		memcpy(stored, full, strlen(full) + 1);
	return 0;
}

static int name_open(const struct name_keys *k, const uint8_t *dirid, const char *full,
		     char name[static NAME_PLAIN_MAX + 1], size_t *ret_len)
{
	char text[NAME_PLAIN_MAX + 1];
	size_t len;
	int r = siv_open(k->nm, k->ne, dirid, full, NAME_PLAIN_MAX, text, &len);

	if (r < 0)
		return r;
	if (memchr(text, '/', len) || is_dots(text, len))
		return -EBADMSG;
	memcpy(name, text, len + 1);
	*ret_len = len;
	return 0;
}

int name_decrypt(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN], const char *full,
		 char name[static NAME_PLAIN_MAX + 1], size_t *ret_len)
{
	return name_open(k, dirid, full, name, ret_len);
}

int name_decrypt_unplaced(const struct name_keys *k, const char *full,
			  char name[static NAME_PLAIN_MAX + 1], size_t *ret_len)
{
	return name_open(k, NULL, full, name, ret_len);
}

bool name_long_matches(const char *stored, const char *full)
{
	uint8_t sealed[SEALED_MAX];
	char expected[NAME_STORED_SIZE];
	size_t len, chars = strnlen(full, NAME_FULL_SIZE);

	/* A short name in long form would be an entry that no lookup finds. */
	if (!name_is_long(stored) || chars <= SHORT_CHARS || chars >= NAME_FULL_SIZE)
		return false;
	if (b64_decode(full, chars, sealed, sizeof(sealed), &len) < 0)
		return false;
	long_stored(sealed, len, expected);
	return strcmp(stored, expected) == 0;
}

bool name_is_sidecar(const char *stored)
{
	size_t suffix = strlen(NAME_SIDECAR_SUFFIX);
	size_t len = strlen(stored);

	return stored[0] == '~' && len > suffix &&
	       strcmp(stored + len - suffix, NAME_SIDECAR_SUFFIX) == 0;
}

static void dirid_mac(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN],
		      uint8_t out[static 16])
{
	crypto_generichash(out, 16, dirid, DIRID_LEN, k->dir, sizeof(k->dir));
}

void dirid_seal(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN],
		uint8_t out[static DIRID_XATTR_LEN])
{
	uint8_t id[DIRID_LEN];

	memcpy(id, dirid, DIRID_LEN); /* 'out' may be 'dirid' */
	memcpy(out, id, DIRID_LEN);
	dirid_mac(k, id, out + DIRID_LEN);
}

int dirid_open(const struct name_keys *k, const uint8_t *in, size_t len,
	       uint8_t dirid[static DIRID_LEN])
{
	uint8_t mac[16];

	if (len != DIRID_XATTR_LEN)
		return -EBADMSG;
	dirid_mac(k, in, mac);
	if (sodium_memcmp(mac, in + DIRID_LEN, sizeof(mac)) != 0)
		return -EBADMSG;
	memcpy(dirid, in, DIRID_LEN);
	return 0;
}

void dirid_new(uint8_t dirid[static DIRID_LEN])
{
	randombytes_buf(dirid, DIRID_LEN);
}

/* xattrs ------------------------------------------------------------------------------------- */

int xattr_name_encrypt(const struct name_keys *k, const uint8_t owner[static 16], const char *name,
		       size_t len, char stored[static XATTR_STORED_SIZE])
{
	const size_t prefix = strlen(XATTR_PREFIX);
	uint8_t sealed[SEALED_MAX];
	size_t n;

	if (len > XATTR_NAME_MAX_PLAIN)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(name, 0, len))
		return -EINVAL;
	n = siv_seal(k->xm, k->xe, owner, name, len, sealed);
	memcpy(stored, XATTR_PREFIX, prefix);
	b64_encode(sealed, n, stored + prefix, XATTR_STORED_SIZE - prefix);
	return 0;
}

int xattr_name_decrypt(const struct name_keys *k, const uint8_t owner[static 16],
		       const char *stored, char name[static XATTR_NAME_MAX_PLAIN + 1],
		       size_t *ret_len)
{
	const size_t prefix = strlen(XATTR_PREFIX);

	if (strncmp(stored, XATTR_PREFIX, prefix) != 0)
		return -EBADMSG;
	return siv_open(k->xm, k->xe, owner, stored + prefix, XATTR_NAME_MAX_PLAIN, name, ret_len);
}

/* kind 1, owner 16, name */
static size_t xattr_aad(bool is_dir, const uint8_t owner[static 16], const char *name,
			uint8_t aad[static 1 + 16 + XATTR_NAME_MAX_PLAIN])
{
	size_t len = strnlen(name, XATTR_NAME_MAX_PLAIN + 1);

	if (len == 0 || len > XATTR_NAME_MAX_PLAIN)
		return 0;
	aad[0] = is_dir ? 2 : 1;
	memcpy(aad + 1, owner, 16);
	memcpy(aad + 17, name, len);
	return 17 + len;
}

/* nonce 24 || ciphertext || tag 16 */
static void random_seal(const uint8_t key[static 32], const uint8_t *aad, size_t aad_len,
			const void *text, size_t len, uint8_t *out)
{
	const size_t nonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

	randombytes_buf(out, nonce);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + nonce, NULL, text, len, aad, aad_len, NULL,
						   out, key);
}

static int random_open(const uint8_t key[static 32], const uint8_t *aad, size_t aad_len,
		       const uint8_t *in, size_t len, void *out)
{
	const size_t nonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

	if (len < AEAD_OVERHEAD ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in + nonce, len - nonce,
						       aad, aad_len, in, key) != 0)
		return -EBADMSG;
	return 0;
}

int xattr_value_seal(const struct name_keys *k, bool is_dir, const uint8_t owner[static 16],
		     const char *name, const void *value, size_t len, uint8_t *out)
{
	uint8_t aad[1 + 16 + XATTR_NAME_MAX_PLAIN];
	size_t n = xattr_aad(is_dir, owner, name, aad);

	if (n == 0)
		return -EINVAL;
	random_seal(k->xv, aad, n, value, len, out);
	return 0;
}

int xattr_value_open(const struct name_keys *k, bool is_dir, const uint8_t owner[static 16],
		     const char *name, const uint8_t *in, size_t len, void *out)
{
	uint8_t aad[1 + 16 + XATTR_NAME_MAX_PLAIN];
	size_t n = xattr_aad(is_dir, owner, name, aad);

	if (n == 0)
		return -EINVAL;
	return random_open(k->xv, aad, n, in, len, out);
}
