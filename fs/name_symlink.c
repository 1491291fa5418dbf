/* Symlink targets (doc/format.md section 5.4).  The second half of name.h, apart for size. */
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fs/name.h"
#include "fs/name_b64.h"

#define NONCE    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define OVERHEAD (NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define DIRECT_MAX                                                                                 \
	3031 /* base64 of it with the overhead is 4095 characters: the longest target              \
	      */
#define HASH_LEN   32
#define HASH_CHARS 43
#define HEAD_LEN   (2 + HASH_LEN) /* LE16(length), H */
#define CUT        3000           /* sealed bytes that stay beside the head */
#define HEAD_CHARS (1 + ((HEAD_LEN + CUT) * 4 + 2) / 3)
#define SEALED_MAX (SYMLINK_PLAIN_MAX + OVERHEAD)

static_assert((DIRECT_MAX + OVERHEAD) * 4 / 3 + 1 == SYMLINK_PLAIN_MAX, "direct targets fit");
static_assert(1 + (HEAD_LEN + CUT) * 4 / 3 + 1 < SYMLINK_STORED_SIZE, "heads fit");

static void store_with_tail(const uint8_t *sealed, size_t sealed_len, size_t len,
			    char stored[static SYMLINK_STORED_SIZE],
			    char tail_name[static SYMLINK_TAIL_NAME_SIZE],
			    char tail[static SYMLINK_STORED_SIZE])
{
	uint8_t head[HEAD_LEN + CUT];

	le16_store(head, (uint16_t)len);
	crypto_generichash(head + 2, HASH_LEN, sealed, sealed_len, NULL, 0);
	memcpy(head + HEAD_LEN, sealed, CUT);
	stored[0] = '~';
	b64_encode(head, sizeof(head), stored + 1, SYMLINK_STORED_SIZE - 1);
	b64_encode(head + 2, HASH_LEN, tail_name, SYMLINK_TAIL_NAME_SIZE);
	b64_encode(sealed + CUT, sealed_len - CUT, tail, SYMLINK_STORED_SIZE);
}

int symlink_encrypt(const struct name_keys *k, const char *target, size_t len,
		    char stored[static SYMLINK_STORED_SIZE],
		    char tail_name[static SYMLINK_TAIL_NAME_SIZE],
		    char tail[static SYMLINK_STORED_SIZE], bool *ret_tail)
{
	uint8_t sealed[SEALED_MAX];

	if (len > SYMLINK_PLAIN_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(target, 0, len))
		return -EINVAL;
	randombytes_buf(sealed, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE, NULL, (const uint8_t *)target,
						   len, k->vol_id, sizeof(k->vol_id), NULL, sealed,
						   k->sl);
	*ret_tail = len > DIRECT_MAX;
	if (*ret_tail)
		store_with_tail(sealed, len + OVERHEAD, len, stored, tail_name, tail);
	else
		b64_encode(sealed, len + OVERHEAD, stored, SYMLINK_STORED_SIZE);
	return 0;
}

/* The head of a "~" target: HEAD_LEN + CUT bytes. */
static int read_head(const char *stored, uint8_t head[static HEAD_LEN + CUT])
{
	size_t len;

	if (stored[0] != '~' ||
	    b64_decode(stored + 1, strnlen(stored + 1, SYMLINK_STORED_SIZE), head, HEAD_LEN + CUT,
		       &len) < 0 ||
	    len != HEAD_LEN + CUT)
		return -EBADMSG;
	return 0;
}

bool symlink_needs_tail(const char *stored, char tail_name[static SYMLINK_TAIL_NAME_SIZE])
{
	uint8_t head[HEAD_LEN + CUT];

	if (read_head(stored, head) < 0)
		return false;
	b64_encode(head + 2, HASH_LEN, tail_name, SYMLINK_TAIL_NAME_SIZE);
	return true;
}

/* Both parts of a long target joined into 'sealed'. */
static int join(const char *stored, const char *tail, uint8_t sealed[static SEALED_MAX],
		size_t *ret_len)
{
	uint8_t head[HEAD_LEN + CUT], hash[HASH_LEN];
	size_t n;

	if (!tail || read_head(stored, head) < 0)
		return -EBADMSG;
	memcpy(sealed, head + HEAD_LEN, CUT);
	if (b64_decode(tail, strnlen(tail, SYMLINK_STORED_SIZE), sealed + CUT, SEALED_MAX - CUT,
		       &n) < 0)
		return -EBADMSG;
	n += CUT;
	if (n <= DIRECT_MAX + OVERHEAD || n - OVERHEAD != le16_load(head))
		return -EBADMSG;
	crypto_generichash(hash, sizeof(hash), sealed, n, NULL, 0);
	if (sodium_memcmp(hash, head + 2, HASH_LEN) != 0)
		return -EBADMSG;
	*ret_len = n;
	return 0;
}

int symlink_decrypt(const struct name_keys *k, const char *stored, const char *tail_or_null,
		    char target[static SYMLINK_PLAIN_MAX + 1], size_t *ret_len)
{
	uint8_t sealed[SEALED_MAX], text[SYMLINK_PLAIN_MAX];
	size_t len;
	int r;

	if (stored[0] == '~')
		r = join(stored, tail_or_null, sealed, &len);
	else
		r = b64_decode(stored, strnlen(stored, SYMLINK_STORED_SIZE), sealed,
			       DIRECT_MAX + OVERHEAD, &len);
	if (r < 0 || len <= OVERHEAD)
		return -EBADMSG;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(text, NULL, NULL, sealed + NONCE,
						       len - NONCE, k->vol_id, sizeof(k->vol_id),
						       sealed, k->sl) != 0)
		return -EBADMSG;
	len -= OVERHEAD;
	if (memchr(text, 0, len))
		return -EBADMSG;
	memcpy(target, text, len);
	target[len] = '\0';
	*ret_len = len;
	return 0;
}

static int size_direct(size_t stored_len, uint64_t *ret)
{
	size_t n = stored_len * 3 / 4;

	if (stored_len % 4 == 1 || n <= OVERHEAD || n > DIRECT_MAX + OVERHEAD)
		return -EBADMSG;
	*ret = n - OVERHEAD;
	return 0;
}

int symlink_plain_size(const char *stored, size_t stored_len, uint64_t *ret)
{
	uint8_t head[3];
	size_t n;

	if (stored_len > 0 && stored[0] == '~') {
		/* Four characters hold the first three bytes; the length is in two of them. */
		if (stored_len < 5 || b64_decode(stored + 1, 4, head, sizeof(head), &n) < 0 ||
		    le16_load(head) <= DIRECT_MAX || le16_load(head) > SYMLINK_PLAIN_MAX)
			return -EBADMSG;
		*ret = le16_load(head);
		return 0;
	}
	return size_direct(stored_len, ret);
}

int symlink_size_of_length(size_t stored_len, uint64_t *ret)
{
	return stored_len == HEAD_CHARS ? -EAGAIN : size_direct(stored_len, ret);
}
