/* What the files volume*.c share; nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "fs/volume.h"
#include "keys/config.h"
#include "keys/slot.h"

#define WS_FILE     "workspace.json"
#define WS_KEYS     "keys"
#define WS_STORE    "store"
#define WS_RUNS     "runs"
#define WS_LOCK     "lock"
#define WS_NEW      ".sbx-new" /* an init that is under way, or was killed */
#define CONFIG_FILE "config"

#define SETTINGS_MAX       (1u << 20)
#define SLOT_FILE_MAX      8192
#define SLOTS_MAX          64
#define RING_PAGES_DEFAULT 16384u /* 64 MiB */

struct volume {
	char *path;
	int dirfd, keysfd, lockfd; /* WS, WS/keys, WS/lock */
	char *identity_path;       /* of the unlock; NULL = default place */
	uint8_t vol_id[VOL_ID_LEN];
	uint64_t counter;
	struct volume_keys *keys; /* guarded */
	struct name_keys *names;  /* guarded */
	json_t *settings, *prev;  /* prev: NULL or the settings before the last edit */
	json_t *slots;            /* {"id":"type"}: the slots that are ours */
	bool flat, read_only;
	bool locked;    /* lockfd holds the lock, so the file's text is ours */
	bool announced; /* there is such a text */
	bool check;     /* it says so */
};

/* volume.c */
int volume_new(struct volume **ret);
int volume_derive_names(struct volume *v);
uint8_t volume_suite(const struct volume *v);

/* volume_config.c: the sealed config and workspace.json */
int volume_write_config(struct volume *v, struct err *err);
int volume_write_settings(const struct volume *v, struct err *err);
/* Read and check the config with this V (in guarded memory). */
int volume_read_config(struct volume *v, const uint8_t *raw, size_t len, const uint8_t *key,
		       struct err *err);
/* Compare workspace.json with the settings; rewrite it after a crash. */
int volume_check_settings(struct volume *v, struct err *err);

/* volume_slots.c: files of key slots, and the ways to V */
struct slot_list {
	struct slot *s; /* heap, 'n' of them, sorted by id */
	size_t n;
	struct err first; /* sentence of the first slot that could not be read; code 0 if none */
};
int slot_list_read(int keysfd, struct slot_list *ret, struct err *err);
static inline void slot_list_free(struct slot_list *l)
{
	free(l->s);
}
int slot_write(int keysfd, const struct slot *s, struct err *err);
/* Find V of generation 'keygen' into 'key' (guarded memory). 'ret_slot' is borrowed from 'l';
 * *ret_recipient: reached through a recipient slot. */
int volume_unlock_key(const struct volume *v, const struct slot_list *l, uint32_t keygen,
		      const struct volume_unlock *u, uint8_t *key, const struct slot **ret_slot,
		      struct err *err);

/* volume_probe.c: -EOPNOTSUPP when 'dirfd' cannot hold a store; *ret_flat: without user xattrs. */
int volume_probe(int dirfd, bool *ret_flat, struct err *err);
/* Remove 'name' below 'dirfd' with all in it. Symlinks are removed, not followed. */
int remove_tree(int dirfd, const char *name);
