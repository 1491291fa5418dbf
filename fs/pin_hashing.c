/* The content of all files of a tree, leaf by leaf, by as many threads as there are processors. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch.h"
#include "fs/pin_job_int.h"

#define UNPACK_WAIT_NS 5000000

struct hashing {
	struct pin_job *j;
	uint32_t dir; /* whose descriptor is kept: files of one directory follow each other */
	int dirfd;
	uint8_t *block;
	uint8_t leaves[PIN_BATCH * PIN_HASH];
};

/* Up to PIN_BATCH leaves of files that follow each other. */
struct batch {
	uint32_t rec, end; /* records */
	uint64_t leaf;     /* of the first of them, where this begins */
	uint64_t count;    /* when it is a piece of that file only; else 0: all leaves of all */
};

/* -- what to do next ------------------------------------------------------- */

static bool wanted(const struct pin_job *j, uint32_t i)
{
	return j->tree.rec[i].type == 'f' && (!j->pin || j->match[i] != PIN_NO_RECORD);
}

/* False: nothing is left. */
static bool batch_take(struct pin_job *j, struct batch *b)
{
	const struct pin_tree *t = &j->tree;
	uint64_t sum = 0;

	pthread_mutex_lock(&j->lock);
	while (j->next < t->n && !wanted(j, j->next))
		j->next++;
	*b = (struct batch){ .rec = j->next, .end = j->next + 1, .leaf = j->next_leaf };
	if (b->rec < t->n && pin_leaves(t->rec[b->rec].size) > PIN_BATCH) {
		b->count = MIN(pin_leaves(t->rec[b->rec].size) - b->leaf, (uint64_t)PIN_BATCH);
		j->next_leaf += b->count;
		if (j->next_leaf == pin_leaves(t->rec[b->rec].size)) {
			j->next_leaf = 0;
			j->next++;
		}
	} else if (b->rec < t->n) {
		for (b->end = b->rec; b->end < t->n; b->end++) {
			uint64_t n = wanted(j, b->end) ? pin_leaves(t->rec[b->end].size) : 0;

			if (sum + n > PIN_BATCH)
				break;
			sum += n;
		}
		j->next = b->end;
	}
	pthread_mutex_unlock(&j->lock);
	return b->rec < t->n;
}

/* -- reading --------------------------------------------------------------- */

static int file_open(struct hashing *h, uint32_t i)
{
	const struct pin_tree *t = &h->j->tree;
	const struct pin_record *rec = &t->rec[i];
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, fd;
	char name[256];

	if (h->j->what == DATA_IS_FILE)
		return data_source_open(h->j->path, flags);
	if (h->dirfd < 0 || h->dir != rec->parent) {
		if (h->dirfd >= 0)
			close(h->dirfd);
		h->dir = rec->parent;
		h->dirfd = pin_tree_open(t, h->j->top, rec->parent, O_PATH | O_DIRECTORY);
	}
	if (h->dirfd < 0)
		return h->dirfd;
	memcpy(name, pin_tree_name(t, i), rec->name_len);
	name[rec->name_len] = '\0';
	fd = openat(h->dirfd, name, flags);
	return fd < 0 ? -errno : fd;
}

static ssize_t read_at(struct hashing *h, int fd, uint32_t i, void *buf, size_t len, uint64_t off)
{
	struct pin_job *j = h->j;
	ssize_t n;

	if (!j->arch)
		return fd_pread_full(fd, buf, len, off);
	/* Another thread unpacks it. */
	while ((n = arch_pread(j->arch, j->tree.inode[i], buf, len, off)) == -EINPROGRESS) {
		if (job_cancelled(j))
			return -ECANCELED;
		nanosleep(&(struct timespec){ .tv_nsec = UNPACK_WAIT_NS }, NULL);
	}
	return n;
}

/* What leaf 'k' of record 'i' hashes to; one that ends early hashes to what is there. */
static int leaf_hash(struct hashing *h, int fd, uint32_t i, uint64_t k, uint8_t *ret)
{
	struct pin_job *j = h->j;
	size_t len = pin_leaf_len(j->tree.rec[i].size, k);
	ssize_t n = read_at(h, fd, i, h->block, len, k * PIN_LEAF);

	if (job_cancelled(j))
		return -ECANCELED;
	if (n < 0)
		return (int)n;
	pin_hash(PIN_USE_LEAF, h->block, (size_t)n, ret);
	atomic_fetch_add_explicit(&j->done, len, memory_order_relaxed);
	return 0;
}

static bool is_as_listed(const struct pin_tree *t, uint32_t i, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && pin_stamp(&st) == t->stamp[i] &&
	       (uint64_t)st.st_size == t->rec[i].size;
}

/* -- one file, or a piece of it -------------------------------------------- */

static int leaves_compare(struct hashing *h, uint32_t i, uint64_t from, uint64_t n,
			  const uint8_t *leaves)
{
	struct pin_job *j = h->j;
	struct pin_finding f = { .kind = PIN_OTHER_CONTENT, .i = i };
	struct pin_record rec;
	uint8_t want[PIN_HASH];
	int r = pin_record(j->pin, j->match[i], &rec);

	for (uint64_t k = 0; r == 0 && k < n; k++) {
		r = pin_leaf(j->pin, rec.leaf + from + k, 1, want);
		if (r == 0 && memcmp(want, leaves + k * PIN_HASH, PIN_HASH) != 0 && f.a++ == 0)
			f.b = from + k;
	}
	if (r < 0)
		return job_fail(j, r, "read the pin");
	return f.a > 0 ? job_find(j, &f) : 0;
}

static int file_failed(struct hashing *h, uint32_t i, int r)
{
	struct pin_job *j = h->j;
	autofree char *path = NULL;

	if (r == -ECANCELED)
		return r;
	if (j->pin)
		return job_find(j,
				&(struct pin_finding){ PIN_UNREADABLE, false, i, 0, (uint64_t)-r });
	path = pin_tree_path(&j->tree, i);
	if (r == -ESTALE)
		return job_fail(j, r, "'%s' was changed while it was read: try again.",
				path ? path : "?");
	return job_fail(j, r, "read '%s' in '%s'", path ? path : "?", j->path);
}

/* 'n' leaves from 'from' on, into 'leaves'. */
static int file_hash(struct hashing *h, uint32_t i, uint64_t from, uint64_t n, uint8_t *leaves)
{
	struct pin_job *j = h->j;
	struct pin_tree *t = &j->tree;
	autoclose int fd = j->arch ? -1 : file_open(h, i);
	int r = !j->arch && fd < 0 ? fd : 0;

	if (r == 0 && !j->arch && !j->pin && !is_as_listed(t, i, fd))
		r = -ESTALE;
	if (r == 0 && n > 8)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (uint64_t k = 0; r == 0 && k < n; k++)
		r = leaf_hash(h, fd, i, from + k, leaves + k * PIN_HASH);
	if (r == 0 && !j->arch && !j->pin && !is_as_listed(t, i, fd))
		r = -ESTALE;
	if (r < 0)
		return file_failed(h, i, r);
	if (from + n == pin_leaves(t->rec[i].size))
		atomic_fetch_add_explicit(&j->files, 1, memory_order_relaxed);
	return j->pin ? leaves_compare(h, i, from, n, leaves) : 0;
}

static int batch_hash(struct hashing *h, const struct batch *b)
{
	struct pin_job *j = h->j;
	struct pin_tree *t = &j->tree;
	uint64_t sum = 0;
	int r = 0;

	if (b->count > 0) {
		r = file_hash(h, b->rec, b->leaf, b->count, h->leaves);
		sum = b->count;
	}
	for (uint32_t i = b->rec; r == 0 && b->count == 0 && i < b->end; i++) {
		uint64_t n = wanted(j, i) ? pin_leaves(t->rec[i].size) : 0;

		if (n > 0)
			r = file_hash(h, i, 0, n, h->leaves + sum * PIN_HASH);
		sum += n;
	}
	if (r == 0 && !j->pin && sum > 0) {
		r = fd_pwrite_full(j->fd, h->leaves, sum * PIN_HASH,
				   j->at.leaves + (t->rec[b->rec].leaf + b->leaf) * PIN_HASH);
		if (r < 0)
			return job_fail(j, r, "write the pin");
	}
	/* Its leaves are overwritten by this. */
	for (uint32_t i = b->rec; r == 0 && !j->pin && b->count == 0 && i < b->end; i++) {
		struct pin_record *rec = &t->rec[i];

		if (rec->type == 'f')
			pin_hash_file(rec->size,
				      h->leaves + (rec->leaf - t->rec[b->rec].leaf) * PIN_HASH,
				      pin_leaves(rec->size), rec->digest);
	}
	return r;
}

static void *hash_thread(void *arg)
{
	struct pin_job *j = arg;
	struct hashing *h = malloc(sizeof(*h));
	struct batch b;
	int r = 0;

	if (h)
		*h = (struct hashing){ .j = j, .dirfd = -1, .block = malloc(PIN_LEAF) };
	if (!h || !h->block)
		r = job_fail(j, -ENOMEM, "read the dataset");
	while (r == 0 && !job_cancelled(j) && batch_take(j, &b))
		r = batch_hash(h, &b);
	if (h && h->dirfd >= 0)
		close(h->dirfd);
	if (h)
		free(h->block);
	free(h);
	return NULL;
}

static unsigned processors(void)
{
	cpu_set_t cpus;

	/* Those that we may use. */
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) < 1)
		return 1;
	return MIN((unsigned)CPU_COUNT(&cpus), PIN_THREADS_MAX);
}

int pin_hash_content(struct pin_job *j)
{
	pthread_t threads[PIN_THREADS_MAX];
	unsigned n = 0, want = processors();

	while (n + 1 < want && pthread_create(&threads[n], NULL, hash_thread, j) == 0)
		n++;
	hash_thread(j); /* we are one of them */
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return job_cancelled(j) ? -ECANCELED : 0;
}
