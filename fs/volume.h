/* A workspace directory as a volume: settings, keys, config. Used by sbxfsd only.
 *
 *   workspace.json     readable settings, compared field by field with the sealed config
 *   keys/config        AEAD(K_conf) of canonical JSON: settings, N, old volume keys, counter
 *   keys/<slot>.json   one key slot each
 *   lock               flock by the daemon; holds {"pid":N,"socket":"abstract name"} while served
 *
 * The sealed config is the truth.  An edit writes keys/config (counter + 1, with the settings
 * before it as "prev"), then workspace.json, then the state's conf_counter.  A crash in between is
 * healed at the next open: workspace.json that is missing, or equal to "prev", is rewritten; a
 * config ahead of the state is accepted, one behind it is an old copy put back.  Anything else is
 * refused, naming the field.
 *
 * Open the volume in the process that keeps it, before it has other threads: a passphrase may be
 * asked, and locked memory is locked once more after a fork. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

struct err;
struct name_keys;
struct store_params;
struct volume;

/* What volume_create() needs, from the request of sbxctl init. */
struct volume_options {
	const char *path;     /* WS; must not exist, or be an empty directory */
	const char *cipher;   /* "auto", "xchacha20", "aes-gcm", "aegis" */
	uint64_t quota_bytes; /* 0 = none */
	uint64_t quota_files;
	bool pad;
	uint32_t ring_pages;       /* 0 = default 64 MiB */
	const uint8_t *passphrase; /* NULL = no passphrase slot; borrowed */
	size_t passphrase_len;
	const char *const *recipients; /* "sbx-pub-..." strings */
	size_t nrecipients;
	const char *identity_path; /* NULL = default place */
	uint32_t pass_ops;         /* Argon2id cost of the passphrase slot; 0 = default */
	uint64_t pass_mem;         /* bytes; 0 = default */
};

/* How to reach V. Tried in order: the user's identity (owner slot), recovery key, passphrase file,
 * recipient slot (read-only), passphrase asked on the terminal.
 *
 * A recipient slot is used only if the owner who signed it is known: given here, or a line of
 * "known_owners" beside the identity file ("sbx-pub-... comment").  Nothing is added there by us.
 */
struct volume_unlock {
	const char *identity_path;   /* NULL = default place; missing file is not an error here */
	const char *passphrase_file; /* NULL = ask on the terminal when a passphrase slot exists */
	const char *recovery_file;
	const char *owner_key; /* "sbx-pub-..." of an owner to trust; NULL = none */
	bool no_prompt;
	/* Read-only, whatever key is used: nothing of the workspace is written but who holds the
	 * lock. */
	bool look_only;
	bool check; /* the lock says that this is a check: whoever comes is refused, not kept
		       waiting */
};

/* Create everything; nothing is left behind on failure.  When killed, WS holds ".sbx-new", which
 * the next volume_create() there clears away.  *ret_report: {"id","cipher","measured":
 * {"xchacha20_mbps":..},"identity":{"path","created":bool,"public"},"slots":[..],"flat":bool}:
 * 'measured' for cipher "auto" only, 'identity' when one was used, 'flat' when the backing
 * filesystem has no user xattrs. -EEXIST: there is something in the way; -EOPNOTSUPP: the backing
 * filesystem, or the processor for the cipher, lacks something. */
int volume_create(const struct volume_options *o, json_t **ret_report, struct err *err);

/* Errors: -ENOENT not a workspace, -EBADMSG edited or damaged (sentence names the field),
 * -ENOKEY no key of ours opens it, -EKEYREJECTED wrong passphrase, -EBUSY (lock) with who holds it,
 * -EOPNOTSUPP cipher or version not available here. */
int volume_open(const char *path, const struct volume_unlock *u, struct volume **ret,
		struct err *err);
void volume_close(struct volume *v);

int volume_dirfd(const struct volume *v);              /* WS, borrowed */
const char *volume_path(const struct volume *v);       /* absolute */
const json_t *volume_settings(const struct volume *v); /* as workspace.json; borrowed */
/* Opened through a recipient slot, or from where we may not write. */
bool volume_read_only(const struct volume *v);
/* No user xattrs in the backing: dirids are zeros, no xattrs, no modes that need one. */
bool volume_flat(const struct volume *v);
const struct name_keys *volume_name_keys(const struct volume *v);
/* Fill vol_id, suite, pad, keygen, conf_counter, keys, read_only. Keys are borrowed from 'v'. */
void volume_store_params(const struct volume *v, struct store_params *ret);

/* What stands in WS/lock while we hold it: {"pid":N,"socket":"abstract name"}.  volume_open() has
 * put the pid there; volume_close() empties it.  Does nothing on a read-only volume. */
int volume_announce(struct volume *v, const char *socket_name, struct err *err);

/* Replace settings (validated whole, unknown keys refused). A full disk leaves them as they were;
 * after an error with which the counter grew they are changed, but perhaps not for good.  After
 * this and after each key change below the caller calls
 * store_set_conf_counter(volume_conf_counter()).  Change single values of a copy of
 * volume_settings() with settings_set() (fs/settings.h). */
int volume_edit(struct volume *v, const json_t *new_settings, struct err *err);
uint64_t volume_conf_counter(const struct volume *v);

/* Key slots: JSON in and out as in doc/control.md ("key-*" requests).  -EROFS on a read-only
 * volume. */
int volume_key_list(struct volume *v, json_t **ret, struct err *err);
/* Call 'fn' for each slot file that cannot be read, is not listed in the config, or is of another
 * generation, and for each listed one that is missing: 'file' is its name in keys/, 'what' a
 * sentence's end ("is not in the sealed config"). */
int volume_key_check(struct volume *v, void (*fn)(void *ctx, const char *file, const char *what),
		     void *ctx, struct err *err);
int volume_key_add_passphrase(struct volume *v, const uint8_t *pass, size_t len, char ret_slot[64],
			      struct err *err);
int volume_key_add_recipient(struct volume *v, const char *pub, char ret_slot[64], struct err *err);
/* The recovery key is printed once: 'ret_text' receives it (base32 with checksum, 80 bytes). */
int volume_key_add_recovery(struct volume *v, char ret_text[80], char ret_slot[64],
			    struct err *err);
/* -ENOENT: no such slot; -EPERM: it is the last that opens the volume for writing. V stays: who had
 * this slot may have kept V. */
int volume_key_remove(struct volume *v, const char *slot, struct err *err);
