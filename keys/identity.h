/* The identity of a user: one random seed, from which come an X25519 key (receives sealed boxes),
 * an Ed25519 key (signs), and the secret of owner slots.  Kept in a JSON file of mode 0600 in the
 * user's configuration directory, outside every workspace. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct identity;

struct identity_public {
	uint8_t box[32];  /* X25519 */
	uint8_t sign[32]; /* Ed25519 */
};

#define IDENTITY_SIG_LEN 64

/* $XDG_CONFIG_HOME/sbx/identity.json, else ~/.config/sbx/identity.json. */
int identity_default_path(char *ret, size_t size, struct err *err);

/* -ENOENT none there; -EPERM not ours, or readable by others (the sentence has the remedy);
 * -EBADMSG damaged. */
int identity_load(const char *path, struct identity **ret, struct err *err);
/* Load it, or make it with its directories (0700).  Two at once end with the same one. */
int identity_ensure(const char *path, struct identity **ret, bool *ret_created, struct err *err);
void identity_free(struct identity *id); /* wipes; accepts NULL */

/* All borrowed from 'id'. */
const struct identity_public *identity_public(const struct identity *id);
const uint8_t *identity_owner_secret(const struct identity *id); /* 32 bytes */
void identity_sign(const struct identity *id, const void *msg, size_t len,
		   uint8_t sig[static IDENTITY_SIG_LEN]);
/* Open a sealed box of len - 48 bytes of text.  -EBADMSG. */
int identity_unseal(const struct identity *id, const uint8_t *box, size_t len, uint8_t *text);

bool identity_verify(const struct identity_public *pub, const void *msg, size_t len,
		     const uint8_t sig[static IDENTITY_SIG_LEN]);
bool identity_public_equal(const struct identity_public *a, const struct identity_public *b);

/* "sbx-pub-" and 109 characters, the last ones a checksum. */
#define IDENTITY_TEXT_SIZE 120
void identity_public_text(const struct identity_public *pub, char out[static IDENTITY_TEXT_SIZE]);
/* -EINVAL with a sentence. */
int identity_public_parse(const char *text, struct identity_public *ret, struct err *err);

/* The text of an identity file in 'text' ('len' bytes in guarded memory, changed by the call). */
int identity_parse(char *text, size_t len, struct identity **ret, struct err *err);
