/* The file of a pin that is being made: its size is known when all names are, its leaves come from
 * all threads, its table last.  It has no name of its own until it is whole and durable. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/pin_job_int.h"

#define LEVEL_MAX (1u << 20) /* nodes of one file: 32 TiB of it */

static struct pin_head head_of(const struct pin_job *j)
{
	return (struct pin_head){
		.records = j->tree.n,
		.names = j->tree.names_len,
		.leaves = j->tree.leaves,
		.files = j->tree.files,
		.bytes = j->tree.bytes,
	};
}

int pin_write_begin(struct pin_job *j)
{
	static atomic_uint number;
	struct pin_head head = head_of(j);

	pin_layout(&head, &j->at);
	snprintf(j->temp, sizeof(j->temp), ".%u.pin.new", atomic_fetch_add(&number, 1));
	(void)unlinkat(j->dir, j->temp, 0);
	j->fd = openat(j->dir, j->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return job_fail(j, -errno, "create '" PIN_DIR "/%s'", j->temp);
	if (ftruncate(j->fd, (off_t)j->at.end) < 0)
		return job_fail(j, -errno, "write the pin");
	return 0;
}

/* The digest of a file that was hashed in pieces: node by node from what was written. */
static int large_file(struct pin_job *j, struct pin_record *rec)
{
	uint64_t leaves = pin_leaves(rec->size), n = (leaves - 1) / PIN_FANOUT + 1;
	autofree uint8_t *level = n <= LEVEL_MAX ? malloc(n * PIN_HASH) : NULL;
	uint8_t buf[PIN_FANOUT * PIN_HASH];

	if (!level)
		return n <= LEVEL_MAX ? -ENOMEM : -EFBIG;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = i * PIN_FANOUT;
		size_t len = MIN(leaves - at, (uint64_t)PIN_FANOUT) * PIN_HASH;
		ssize_t got =
			fd_pread_full(j->fd, buf, len, j->at.leaves + (rec->leaf + at) * PIN_HASH);

		if (got != (ssize_t)len)
			return got < 0 ? (int)got : -EIO;
		pin_hash(PIN_USE_NODE, buf, len, level + i * PIN_HASH);
	}
	pin_hash_file(rec->size, level, n, rec->digest);
	return 0;
}

static int large_files(struct pin_job *j)
{
	struct pin_tree *t = &j->tree;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < t->n; i++)
		if (t->rec[i].type == 'f' && pin_leaves(t->rec[i].size) > PIN_BATCH)
			r = large_file(j, &t->rec[i]);
	return r;
}

static int put_records(struct pin_job *j)
{
	const uint32_t per_page = PIN_PAGE / PIN_RECORD;
	uint8_t page[PIN_PAGE];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < j->tree.n; i += per_page) {
		memset(page, 0, sizeof(page));
		for (uint32_t k = 0; k < per_page && i + k < j->tree.n; k++)
			pin_record_store(&j->tree.rec[i + k], page + (size_t)k * PIN_RECORD);
		r = fd_pwrite_full(j->fd, page, sizeof(page),
				   j->at.records + (uint64_t)i * PIN_RECORD);
	}
	return r;
}

/* The first page and the table, over what stands in the file. */
static int put_table(struct pin_job *j, const struct pin_head *head)
{
	autofree uint8_t *table = malloc(j->at.pages * PIN_HASH + 1);
	uint8_t page[PIN_PAGE];
	struct pin_hasher *h;
	int r;

	if (!table)
		return -ENOMEM;
	for (uint64_t i = 0; i < j->at.pages; i++) {
		ssize_t n = fd_pread_full(j->fd, page, PIN_PAGE, PIN_PAGE + i * PIN_PAGE);

		if (n != PIN_PAGE)
			return n < 0 ? (int)n : -EIO;
		if (i % 4096 == 0 && job_cancelled(j))
			return -ECANCELED;
		pin_hash(PIN_USE_PAGE, page, PIN_PAGE, table + i * PIN_HASH);
	}
	pin_head_store(head, page);
	h = pin_hasher_new(PIN_USE_TABLE);
	if (!h)
		return -ENOMEM;
	pin_hasher_add(h, page, PIN_PAGE);
	pin_hasher_add(h, table, j->at.pages * PIN_HASH);
	pin_hasher_end(h, j->made.table);
	r = fd_pwrite_full(j->fd, page, PIN_PAGE, 0);
	if (r == 0)
		r = fd_pwrite_full(j->fd, table, j->at.pages * PIN_HASH, j->at.table);
	return r;
}

int pin_write_end(struct pin_job *j)
{
	struct pin_head head = head_of(j);
	int r = large_files(j);

	if (r == 0)
		r = pin_tree_finish(&j->tree, head.digest);
	if (r == 0)
		r = put_records(j);
	if (r == 0)
		r = fd_pwrite_full(j->fd, j->tree.names, j->tree.names_len, j->at.names);
	if (r == 0)
		r = put_table(j, &head);
	if (r == 0 && fdatasync(j->fd) < 0)
		r = -errno;
	if (r < 0)
		return r == -ECANCELED ? r : job_fail(j, r, "write the pin");
	memcpy(j->made.digest, head.digest, PIN_HASH);
	j->made.files = head.files;
	j->made.bytes = head.bytes;
	return 0;
}
