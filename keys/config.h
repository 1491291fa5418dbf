/* The sealed config of a volume: all its keys, a counter, and a JSON body, in one file that only
 * who has the volume key V can read or make.  doc/format.md section 3.3.
 *
 * Keys stand in it as bytes, not as JSON: a JSON parser's heap is ordinary memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "keys/kdf.h"

struct err;

#define VOL_ID_LEN             16
#define CONFIG_MAX             (1u << 20) /* bytes of the file */
#define VOLUME_GENERATIONS_MAX 32

struct volume_generation {
	uint32_t keygen;
	uint8_t v[KEY_LEN];
	uint8_t head[KEY_LEN], log[KEY_LEN]; /* derived from v */
};

/* Always in guarded memory: volume_keys_new(), secret_release(). */
struct volume_keys {
	uint32_t count; /* the last one is current */
	struct volume_generation gen[VOLUME_GENERATIONS_MAX];
	uint8_t names[KEY_LEN]; /* N */
};

/* Empty. -ENOMEM. */
int volume_keys_new(struct volume_keys **ret);
/* Add generation 'keygen' with this V, or a random one when 'v' is NULL. -ENOSPC when full. */
int volume_keys_add(struct volume_keys *k, uint32_t keygen, const uint8_t *v);
/* NULL for a generation that is not known. */
const struct volume_generation *volume_keys_find(const struct volume_keys *k, uint32_t keygen);
const struct volume_generation *volume_keys_current(const struct volume_keys *k);
void volume_random(void *p, size_t len); /* ids and N */

/* What is readable without a key; to be believed only after config_open(). -EBADMSG, -EOPNOTSUPP.
 */
int config_peek(const uint8_t *in, size_t len, uint8_t vol_id[static VOL_ID_LEN],
		uint32_t *ret_keygen, struct err *err);

/* '*ret' is a heap copy of the file's bytes. */
int config_seal(const struct volume_keys *k, const uint8_t vol_id[static VOL_ID_LEN],
		uint64_t counter, const char *body, uint8_t **ret, size_t *ret_len);
/* 'v' is the V that a slot gave, of the generation that config_peek() said.  'ret_body' is NUL-
 * terminated heap text.  -EBADMSG: damaged, edited, or of another key. */
int config_open(const uint8_t *in, size_t len, const uint8_t v[static KEY_LEN],
		struct volume_keys **ret_keys, uint64_t *ret_counter, char **ret_body,
		struct err *err);
