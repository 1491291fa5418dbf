/* Key slots: each wraps the volume key V for one holder. doc/format.md section 3.2.
 *
 * A slot is read from a JSON file in the workspace that anybody may have written: slot_parse()
 * checks every bound before anything is computed with it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "keys/identity.h"

struct err;

enum slot_type {
	SLOT_OWNER = 1,      /* secret of the owner's identity */
	SLOT_PASSPHRASE = 2, /* Argon2id */
	SLOT_RECOVERY = 3,   /* 256 random bits on paper */
	SLOT_RECIPIENT = 4,  /* sealed box and the owner's signature; opens for reading only */
};

#define SLOT_KEY_LEN     32
#define SLOT_WRAPPED_LEN 48
#define SLOT_BOX_LEN     80
#define SLOT_ID_SIZE     64
#define SLOT_OPS_MAX     16u
#define SLOT_MEM_MAX     (4ull << 30)
/* Of new passphrase slots: libsodium's "moderate", about half a second. */
#define SLOT_OPS_DEFAULT 3u
#define SLOT_MEM_DEFAULT (256ull << 20)

struct slot {
	char id[SLOT_ID_SIZE]; /* "owner-1a2b3c4d": the stem of its file name */
	enum slot_type type;
	uint32_t keygen; /* generation of the V inside */
	char created[24];

	/* all but recipient */
	uint8_t salt[16];
	uint32_t ops; /* Argon2id, else 0 */
	uint64_t mem; /* bytes, else 0 */
	uint8_t commit[32];
	uint8_t nonce[24];
	uint8_t wrapped[SLOT_WRAPPED_LEN];

	/* recipient */
	struct identity_public recipient, owner;
	uint8_t box[SLOT_BOX_LEN];
	uint8_t sig[IDENTITY_SIG_LEN];
};

const char *slot_type_name(enum slot_type t);

/* -EBADMSG with a sentence that names the field; -EOPNOTSUPP for a type or format not known. */
int slot_parse(const json_t *j, const char *id, struct slot *ret, struct err *err);
json_t *slot_to_json(const struct slot *s); /* NULL when out of memory */

/* Make a slot with a fresh id, salt and nonce. 'secret' is 32 bytes: the owner secret or the
 * recovery key. -ENOMEM. */
int slot_wrap(enum slot_type type, const uint8_t vol_id[static 16], uint32_t keygen,
	      const uint8_t key[static SLOT_KEY_LEN], const uint8_t secret[static SLOT_KEY_LEN],
	      struct slot *ret);
/* 'ops' and 'mem' of 0 mean the defaults. -ENOMEM when 'mem' cannot be had; takes its time. */
int slot_wrap_passphrase(const uint8_t vol_id[static 16], uint32_t keygen,
			 const uint8_t key[static SLOT_KEY_LEN], const uint8_t *pass, size_t len,
			 uint32_t ops, uint64_t mem, struct slot *ret, struct err *err);
void slot_wrap_recipient(const uint8_t vol_id[static 16], uint32_t keygen,
			 const uint8_t key[static SLOT_KEY_LEN], const struct identity *owner,
			 const struct identity_public *recipient, struct slot *ret);

/* 'key' is guarded memory. -EKEYREJECTED: another secret; -EBADMSG: the right one, but the slot was
 * altered; -EINVAL: not of this type. */
int slot_unwrap(const struct slot *s, const uint8_t vol_id[static 16],
		const uint8_t secret[static SLOT_KEY_LEN], uint8_t key[static SLOT_KEY_LEN]);
int slot_unwrap_passphrase(const struct slot *s, const uint8_t vol_id[static 16],
			   const uint8_t *pass, size_t len, uint8_t key[static SLOT_KEY_LEN],
			   struct err *err);
/* The caller has decided that s->owner is whom it trusts. */
int slot_unwrap_recipient(const struct slot *s, const uint8_t vol_id[static 16],
			  const struct identity *id, uint8_t key[static SLOT_KEY_LEN]);
