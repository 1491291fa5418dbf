/* Names, symlink targets, directory ids and xattrs, plain <-> stored. doc/format.md section 5.
 * Pure functions; no system call. Every decoder is fed with hostile bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lives in guarded memory (keys/secret.h). */
struct name_keys {
	uint8_t vol_id[16];
	uint8_t nm[32], ne[32], dir[32], sl[32], xm[32], xe[32], xv[32];
};

#define DIRID_LEN           16
#define NAME_PLAIN_MAX      255
#define NAME_STORED_SIZE    256 /* with NUL */
#define NAME_FULL_SIZE      400 /* base64url(siv || ct) of a 255-byte name, with NUL */
#define NAME_SIDECAR_SUFFIX ".n"

/* 'stored' receives the backing name.  If the name is long (> 160 bytes) *ret_long is true,
 * 'stored' is "~hash" and 'full' the target of the symlink "~hash.n"; otherwise 'full' equals
 * 'stored'.  -EINVAL for "", ".", "..", '/' or NUL inside; -ENAMETOOLONG beyond 255. */
int name_encrypt(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN], const char *name,
		 size_t len, char stored[static NAME_STORED_SIZE], char full[static NAME_FULL_SIZE],
		 bool *ret_long);
/* 'full' is the backing name, or the sidecar's target for a "~" name.  For the latter the caller
 * has checked name_long_matches().  -EBADMSG for whatever is wrong, another directory included. */
int name_decrypt(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN], const char *full,
		 char name[static NAME_PLAIN_MAX + 1], size_t *ret_len);
/* The same without proof that the name belongs to a directory, or is ours at all: only for repair
 * of a directory that lost its id, where each name is sealed anew. */
int name_decrypt_unplaced(const struct name_keys *k, const char *full,
			  char name[static NAME_PLAIN_MAX + 1], size_t *ret_len);
/* Does the long name "~hash" belong to this full name? */
bool name_long_matches(const char *stored, const char *full);
static inline bool name_is_long(const char *stored)
{
	return stored[0] == '~';
}
bool name_is_sidecar(const char *stored); /* "~....n" */

/* user.wfs.d: dirid || MAC */
#define DIRID_XATTR     "user.wfs.d"
#define DIRID_XATTR_LEN 32
void dirid_seal(const struct name_keys *k, const uint8_t dirid[static DIRID_LEN],
		uint8_t out[static DIRID_XATTR_LEN]);
int dirid_open(const struct name_keys *k, const uint8_t *in, size_t len,
	       uint8_t dirid[static DIRID_LEN]); /* -EBADMSG */
void dirid_new(uint8_t dirid[static DIRID_LEN]); /* random */

/* A mode that the backing inode cannot have: LE16 (doc/format.md section 5.6). */
#define MODE_XATTR "user.wfs.m"

/* Symlink targets, 1..4095 bytes.  'stored' (at most 4095 characters) is the backing target.  For
 * targets over 3031 bytes a tail is needed: backing symlink l/TAIL_NAME -> TAIL; then *ret_tail is
 * true and tail_name, tail are filled. */
#define SYMLINK_PLAIN_MAX      4095
#define SYMLINK_STORED_SIZE    4096
#define SYMLINK_TAIL_NAME_SIZE 64
int symlink_encrypt(const struct name_keys *k, const char *target, size_t len,
		    char stored[static SYMLINK_STORED_SIZE],
		    char tail_name[static SYMLINK_TAIL_NAME_SIZE],
		    char tail[static SYMLINK_STORED_SIZE], bool *ret_tail);
/* Does this stored target need a tail, and which (tail_name)? */
bool symlink_needs_tail(const char *stored, char tail_name[static SYMLINK_TAIL_NAME_SIZE]);
int symlink_decrypt(const struct name_keys *k, const char *stored, const char *tail_or_null,
		    char target[static SYMLINK_PLAIN_MAX + 1], size_t *ret_len);
/* st_size of the plaintext link from the stored text alone; -EBADMSG. */
int symlink_plain_size(const char *stored, size_t stored_len, uint64_t *ret);
/* The same from its length alone; -EAGAIN: that could be one with a tail, look at the text. */
int symlink_size_of_length(size_t stored_len, uint64_t *ret);

/* xattrs.  'owner' is the file id or dirid (16 bytes).  'name' is without "user.". */
#define XATTR_STORED_SIZE    256
#define XATTR_PREFIX         "user.x."
#define XATTR_NAME_MAX_PLAIN 160
#define XATTR_VALUE_OVERHEAD 40 /* nonce 24, tag 16 */
int xattr_name_encrypt(const struct name_keys *k, const uint8_t owner[static 16], const char *name,
		       size_t len, char stored[static XATTR_STORED_SIZE]);
int xattr_name_decrypt(const struct name_keys *k, const uint8_t owner[static 16],
		       const char *stored, char name[static XATTR_NAME_MAX_PLAIN + 1],
		       size_t *ret_len);
/* 'out' has len + XATTR_VALUE_OVERHEAD bytes.  'is_dir' is the kind in the AAD. */
int xattr_value_seal(const struct name_keys *k, bool is_dir, const uint8_t owner[static 16],
		     const char *name, const void *value, size_t len, uint8_t *out);
/* 'out' has len - XATTR_VALUE_OVERHEAD bytes. -EBADMSG. */
int xattr_value_open(const struct name_keys *k, bool is_dir, const uint8_t owner[static 16],
		     const char *name, const uint8_t *in, size_t len, void *out);
