/* Archives as datasets: their indexes, their unpacked bytes, and who uses them.  Thread-safe.
 *
 * For each dataset that is an archive, WS/cache holds
 *
 *   NAME.index		its tree of names (fs/arch_index.h)
 *   NAME.CHECK.data	its members unpacked, one after the other, when they cannot be read in place
 *
 * both 0600 in a directory 0700, both only a cache: what is missing or does not fit the archive is
 * made anew, by a confined child (fs/arch_run.h) that a thread of ours listens to.  All bytes in
 * '*.data' together are bounded; the least recently used goes first.
 *
 * A 'struct arch' is one state of one archive, known by its inode, size and times.  When the
 * archive changes, lookups of the dataset find a new one, and what the kernel knew of the old one
 * answers -ESTALE or what it was, never a mixture. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct arch;
struct arch_cache;
struct arch_index;
struct err;

#define ARCH_CACHE_DIR     "cache"
#define ARCH_CACHE_DEFAULT (10ull << 30)
#define ARCH_ENTRIES_MAX   (4u << 20)

struct arch_cache_params {
	int wsfd;       /* borrowed for good */
	uint64_t bytes; /* of '*.data'; 0: no limit */
	void (*log)(void *ctx, const char *line);
	void *log_ctx;
};

int arch_cache_new(const struct arch_cache_params *p, struct arch_cache **ret);
/* Ends what is being read. No arch may be in use. */
void arch_cache_free(struct arch_cache *c);
void arch_cache_set_bytes(struct arch_cache *c, uint64_t bytes);
/* The dataset is gone: so are its files. */
void arch_cache_remove(struct arch_cache *c, const char *name);

/* Of files of other datasets than these, which a daemon that was killed left, and of what it was
 * writing, nothing stays.  For a cache that nobody uses yet. */
void arch_cache_sweep(struct arch_cache *c, const char *const *names, size_t n);

/* How far the indexing or unpacking of a dataset is. */
struct arch_progress {
	uint64_t done, total; /* bytes of the archive, or of what is unpacked */
	uint64_t entries;
};

/* The archive behind 'fd' (borrowed) under the name of its dataset, with a reference; 'base' is the
 * last component of its path, for the name of the member of a single compressed file.
 * -EINPROGRESS: it is being indexed, ask again; '*ret_progress' (may be NULL) says how far.
 * Without 'start' only an index that is there is looked at: -ENOENT.
 * -ENOEXEC: it is no archive. Other errors stay until the file changes, or arch_retry(). */
int arch_get(struct arch_cache *c, const char *name, const char *base, int fd, bool start,
	     struct arch **ret, struct arch_progress *ret_progress, struct err *err);
/* Forget a failure. */
void arch_retry(struct arch_cache *c, const char *name);
/* The one that is in memory now, with a reference, or NULL. */
struct arch *arch_current(struct arch_cache *c, const char *name);
/* By number, with a reference, or NULL: numbers are never used twice. */
struct arch *arch_by_slot(struct arch_cache *c, uint32_t slot);
uint32_t arch_slot(const struct arch *a);
void arch_ref(struct arch *a, uint64_t n);
/* NULL is accepted. */
void arch_unref(struct arch *a, uint64_t n);
/* The kernel knows one more, or 'n' fewer, of its inodes. */
void arch_lookup(struct arch *a);
void arch_forget(struct arch_cache *c, uint32_t slot, uint64_t n);
void arch_forget_all(struct arch_cache *c);

const struct arch_index *arch_index_of(const struct arch *a);
const char *arch_dataset(const struct arch *a);
/* A kind of file that only happens to be kept as a zip: a spreadsheet, a text, a jar, an array. */
bool arch_is_document(const struct arch *a);
/* How much of it is unpacked, and how much has to be. */
void arch_unpacked(struct arch *a, struct arch_progress *ret);

/* A file of it is opened and closed: so long its unpacked bytes stay. */
void arch_use(struct arch *a);
void arch_unuse(struct arch *a);
/* A count; -EINPROGRESS: these bytes are being unpacked, ask again; -EIO, with a line in the log
 * when unpacking failed; -ESTALE: the archive is another one by now. */
ssize_t arch_pread(struct arch *a, uint32_t inode, void *buf, size_t size, uint64_t off);
