/* One encrypted file, whoever has it open: plaintext reads and writes on a backing descriptor.
 *
 * There is exactly one struct cfile per backing inode (the inode table sees to that); all handles
 * share it.  It outlives the last handle while batches of it are live in the log: cfile_put()
 * hands it back to the store, which frees it when it may; cfile_get() finds it again by file id.
 * Thread-safe: one lock per cfile inside.
 *
 * Errors are negative errno, without a sentence (they go to the kernel as they are): -EIO damage
 * (logged by the store), -ENOSPC quota or disk, -EROFS after a failed sync, -EFBIG past the limit.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cfile;
struct store;

/* What the header proves. */
struct cfile_stat {
	uint64_t size;   /* plaintext bytes */
	uint64_t mapped; /* mapped 4096-byte blocks; quota_file_bytes(mapped) is charged */
	int64_t mtime_ns;
	uint8_t file_id[16];
};

/* A new file on a new, empty backing descriptor opened O_RDWR, within the change of the store that
 * made it (store_begin_change()). Takes ownership of 'fd' on success.
 * Header is written with the first write or at cfile_put(). Charges quota for bytes and one file
 * (-ENOSPC / -EDQUOT). */
int cfile_create(struct store *s, int fd, struct cfile **ret);

/* Open an existing backing file: O_RDWR, or O_RDONLY on a read-only store. Takes ownership of 'fd'
 * on success. If the store still holds this file's state (live batches), that state is returned
 * and 'fd' is closed. Each success counts one reference. */
int cfile_open(struct store *s, int fd, struct cfile **ret);

/* Another reference to a cfile that the caller knows to be alive. */
void cfile_ref(struct cfile *f);
/* Drop a reference; at the last, pending header and metadata go home or to the log. */
void cfile_put(struct cfile *f);

/* Read the header only, of a file that is not open: for unlink's quota and for recovery checks. */
int cfile_peek(struct store *s, int fd, struct cfile_stat *ret);
/* Is there state in memory for this backing inode (st_dev, st_ino)? Then its size differs from what
 * the backing size says. Returns false if none. Used by getattr of files that are not open. */
bool cfile_lookup_size(struct store *s, uint64_t dev, uint64_t ino, uint64_t *ret_size);

/* Read up to 'len' plaintext bytes at 'off'; short only at end of file; holes read as zeros. */
ssize_t cfile_read(struct cfile *f, void *buf, size_t len, uint64_t off);
/* Write all 'len' bytes, or fail with nothing of the failing block changed. Returns bytes written
 * (short when ENOSPC struck after some blocks), or the error when none was. */
ssize_t cfile_write(struct cfile *f, const void *buf, size_t len, uint64_t off);
int cfile_truncate(struct cfile *f, uint64_t size);
/* fallocate(2) modes: 0 and KEEP_SIZE (charge and, as far as the format can, nothing more),
 * PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE. Others: -EOPNOTSUPP. */
int cfile_allocate(struct cfile *f, int mode, uint64_t off, uint64_t len);
/* SEEK_DATA / SEEK_HOLE in whole blocks. Returns the offset or -ENXIO. */
off_t cfile_seek(struct cfile *f, uint64_t off, int whence);

/* The promise of design: bytes written before survive a power cut once this returned 0. */
int cfile_fsync(struct cfile *f, bool data_only);
/* Write what only memory knows of a file that was never synced (its header, the exact size): before
 * a rename over another name, so that a crash cannot leave an unreadable file in place of it. */
int cfile_settle(struct cfile *f);
/* chmod, rename, link, xattr happened on the backing inode: the next fsync must sync home too. */
void cfile_note_metadata(struct cfile *f);
/* The last name is gone: the data will be given up at the last put; then bytes and the file are
 * released from the quota. */
void cfile_note_unlinked(struct cfile *f);
void cfile_note_relinked(struct cfile *f);

uint64_t cfile_size(const struct cfile *f);
uint64_t cfile_mapped(const struct cfile *f);
const uint8_t *cfile_id(const struct cfile *f); /* 16 bytes */
int cfile_fd(const struct cfile *f);            /* borrowed: for fstat, xattr */
/* The times ride in the header; the backing inode's mtime is set by the caller (futimens). */
int cfile_set_mtime(struct cfile *f, int64_t mtime_ns);
/* Show the time of the last write at home: for mounts where the kernel does not tell it. */
void cfile_show_mtime(struct cfile *f);
