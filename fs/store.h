/* The store of a workspace: its log, its state, its open encrypted files.
 *
 * doc/format.md is the specification. A store is opened by one process at a time (WS/lock).
 * store_open() runs recovery when the last user did not close it; store_close() commits, applies,
 * checkpoints and writes the clean state. All functions are thread-safe after store_open(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct quota;
struct store;
struct store_io;

struct store_params {
	uint8_t vol_id[16];
	uint8_t suite;         /* for new files: 1 XChaCha20-Poly1305, 2 AES-256-GCM, 3 AEGIS-256 */
	bool pad;              /* keep the backing size at whole blocks */
	uint32_t keygen;       /* generation for new headers and the log */
	uint64_t conf_counter; /* of the opened config; store_open() checks it against the state */
	bool read_only;        /* no write of any kind, no recovery: refuses an unclean store */
	bool inspect;          /* with read_only, for a check: takes an unclean store as it is */

	/* Keys, 32 bytes each in guarded memory, borrowed for the store's life.
	 * head_key() returns NULL for a generation that is not known. */
	const uint8_t *(*head_key)(void *key_ctx, uint32_t keygen);
	const uint8_t *(*log_key)(void *key_ctx, uint32_t keygen);
	void *key_ctx;

	struct quota *quota; /* borrowed; used sums are set by store_open() */

	/* So long after the last change the store is made clean; 0 = 30 s. */
	uint32_t idle_ms;

	const struct store_io *io; /* NULL = the system calls; tests put their own in between */

	/* One line per event: damage, recovery's decisions. Names files by their place in the store
	 * ("t/Ab3...": ciphertext), never by a plaintext name. May be NULL. */
	void (*log)(void *log_ctx, const char *line);
	void *log_ctx;
};

/* Make store/log with its ring ('ring_pages' of 4096 bytes, fully allocated) in an empty store
 * directory, and the empty tree root t/ and l/. Clean state. */
int store_create(int store_dirfd, const struct store_params *p, uint32_t ring_pages,
		 struct err *err);

/* -EBADMSG: damage or rollback; -ENOSPC: recovery needs room (the sentence says how much);
 * -EROFS: recovery needed but read_only. */
int store_open(int store_dirfd, const struct store_params *p, struct store **ret, struct err *err);
/* Everything durable and clean. On error the store is left as after a crash, which loses nothing
 * that was synced. Frees 's' in every case. */
int store_close(struct store *s, struct err *err);
/* Free without any further write, as a crash would. For tests and fatal errors. */
void store_abandon(struct store *s);

/* Make all files durable now (the timer does it within 5 s; syncfs and idle call it); the store is
 * clean then, unless somebody changes it meanwhile. */
int store_sync(struct store *s);
/* Around every change of what is below the store directory, by whoever makes it: the first one
 * after a pause costs a sync of the log, for the state on disk says "clean" until then (fs/gate.c).
 * The functions of fs/cfile.h do it themselves, but for cfile_create(): its caller makes the name.
 * May be nested.  Call it with no lock of the store held.  -EROFS: no change is allowed; -EIO,
 * -ENOSPC, -EDQUOT: the state could not be written. */
int store_begin_change(struct store *s);
void store_end_change(struct store *s);
/* The same around a change of what the inode 'ino' contains (a regular file), or of whether it is
 * there: its last name goes, or it gets its first one back.  The first one among neighbouring
 * inodes costs a sync of the log, too (fs/marks.h). */
int store_begin_change_of(struct store *s, uint64_t ino);
/* Within a change: the quota was charged so much for this inode, or, negative, is given it back. */
void store_note_charge(struct store *s, uint64_t ino, int64_t bytes, int files);
/* Record a new config counter durably (see volume.h). */
int store_set_conf_counter(struct store *s, uint64_t counter);
/* Once an fsync failed the store is read-only: -EROFS for every change from then on. */
bool store_failed(const struct store *s);
/* Where in the store an open file or directory is ("t/Ab3../x9..": ciphertext), for log lines. */
void store_place(int fd, char *ret, size_t size);
int store_dirfd(const struct store *s);
const struct store_params *store_get_params(const struct store *s);
