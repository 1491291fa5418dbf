/* A full disk and a failing one: exact errors, nothing damaged, quota given back.
 *
 * The table of system calls refuses to allocate pages at random moments, in the middle of a write,
 * too, as a filesystem does; pages that exist can always be written. */
#include "tests/unit/store_kit.h"

#include <linux/falloc.h>
#include <pthread.h>

#include "fs/blockmap.h"

#define MODEL_MAX (2u << 20)
#define PAGES     1024u
#define TABLES    8u

static uint64_t rnd;
static unsigned refuse_per_mille, refused;
static int full_errno = ENOSPC;       /* or EDQUOT: a quota of the disk's own */
static int allowed = -1;              /* pages that may yet be allocated; -1: any number */
static bool fail_sync, copy_on_write; /* the latter: overwriting allocates, too */
static struct kit kit;
static uint8_t *model;
static uint64_t size;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	uint64_t ino;
	bool have[PAGES];
} tables[TABLES];

static uint64_t pick(uint64_t n)
{
	return kit_random(&rnd) % n;
}

static bool *pages_of(int fd)
{
	struct stat st;

	fstat(fd, &st);
	for (unsigned i = 0; i < TABLES; i++) {
		if (tables[i].ino == 0)
			tables[i].ino = st.st_ino;
		if (tables[i].ino == st.st_ino)
			return tables[i].have;
	}
	abort();
}

/* Bytes of [off, off + len) that can be written now. */
static uint64_t room_for(int fd, uint64_t off, uint64_t len)
{
	static uint64_t state = 1;
	bool *have;

	have = pages_of(fd);
	for (uint64_t p = off / 4096; p <= (off + len - 1) / 4096 && p < PAGES; p++) {
		if ((!have[p] || copy_on_write) &&
		    (kit_random(&state) % 1000 < refuse_per_mille || allowed == 0)) {
			refused++;
			return p * 4096 > off ? p * 4096 - off : 0;
		}
		allowed -= !have[p] && allowed > 0;
		have[p] = true;
	}
	return len;
}

static int log_fd_of_kit(void)
{
	struct stat a, b;

	return fstatat(kit.dirfd, "log", &a, 0) == 0 && fstat(kit.tree, &b) == 0 ? (int)a.st_ino
										 : 0;
}

static ssize_t full_pwritev(void *ctx, int fd, const struct iovec *iov, int n, off_t off)
{
	uint64_t len = 0, room, at = (uint64_t)off, left;
	struct stat st;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	fstat(fd, &st);
	pthread_mutex_lock(&lock);
	/* The log is allocated from the start. */
	room = (int)st.st_ino == log_fd_of_kit() ? len : room_for(fd, at, len);
	pthread_mutex_unlock(&lock);
	if (room == 0) {
		errno = full_errno;
		return -1;
	}
	left = room;
	for (int i = 0; i < n && left > 0; i++) {
		size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

		if (pwrite(fd, iov[i].iov_base, part, (off_t)at) != (ssize_t)part)
			abort();
		at += part;
		left -= part;
	}
	return (ssize_t)room;
}

static int full_sync(void *ctx, int fd)
{
	if (fail_sync) {
		errno = EIO;
		return -1;
	}
	return 0;
}

static int full_ftruncate(void *ctx, int fd, off_t len)
{
	bool *have;

	pthread_mutex_lock(&lock);
	have = pages_of(fd);
	for (uint64_t p = ((uint64_t)len + 4095) / 4096; p < PAGES; p++)
		have[p] = false;
	pthread_mutex_unlock(&lock);
	return ftruncate(fd, len);
}

static int full_fallocate(void *ctx, int fd, int mode, off_t off, off_t len)
{
	bool *have;

	pthread_mutex_lock(&lock);
	have = pages_of(fd);
	for (uint64_t p = ((uint64_t)off + 4095) / 4096;
	     p < (uint64_t)(off + len) / 4096 && p < PAGES; p++)
		have[p] = false;
	pthread_mutex_unlock(&lock);
	return fallocate(fd, mode, off, len);
}

static const struct store_io full_io = {
	.pwritev = full_pwritev,
	.fdatasync = full_sync,
	.fsync = full_sync,
	.syncfs = full_sync,
	.ftruncate = full_ftruncate,
	.fallocate = full_fallocate,
};

static void verify(struct cfile *f)
{
	uint8_t *buf = malloc(MODEL_MAX);
	struct quota_usage u;

	CHECK_EQ(cfile_size(f), size);
	CHECK_EQ(cfile_read(f, buf, MODEL_MAX, 0), size);
	CHECK(memcmp(buf, model, size) == 0);
	quota_get(kit.quota, &u);
	CHECK_EQ(u.bytes, quota_file_bytes(cfile_mapped(f)));
	free(buf);
}

static void do_write(struct cfile *f)
{
	static uint8_t buf[400000];
	uint64_t off = pick(2) ? pick(size + 1) : pick(MODEL_MAX / 2), len = 1 + pick(sizeof(buf));
	ssize_t n;

	if (pick(2)) {
		off &= ~UINT64_C(4095);
		len = (len + 4095) & ~UINT64_C(4095);
	}
	if (len > sizeof(buf))
		len = sizeof(buf);
	if (off + len > MODEL_MAX)
		len = MODEL_MAX - off;
	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(kit_random(&rnd) | 1);
	n = cfile_write(f, buf, len, off);
	CHECK(n > 0 || n == -full_errno);
	if (n > 0) {
		CHECK(n == (ssize_t)len || refused > 0);
		memcpy(model + off, buf, (size_t)n);
		if (off + (uint64_t)n > size)
			size = off + (uint64_t)n;
	}
}

static void do_truncate(struct cfile *f)
{
	uint64_t to = pick(3) ? pick(size + 1) : pick(MODEL_MAX);
	int r = cfile_truncate(f, to);

	CHECK(r == 0 || r == -full_errno);
	if (r < 0)
		return;
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

static void full_disk(uint32_t ring)
{
	struct cfile *f;

	memset(tables, 0, sizeof(tables));
	model = calloc(1, MODEL_MAX);
	size = 0;
	refuse_per_mille = 0;
	kit_start(&kit, SUITE_XCHACHA20, ring, &full_io);
	CHECK_EQ(kit_create(&kit, "f", &f), 0);
	for (unsigned i = 0; i < 250 && !check_failures; i++) {
		uint64_t op = pick(100);
		int r = 0;

		refuse_per_mille = pick(3) ? 20 : 0;
		if (op < 60) {
			do_write(f);
		} else if (op < 75) {
			do_truncate(f);
		} else if (op < 85) {
			r = cfile_fsync(f, true);
		} else if (op < 92) {
			/* The last user goes while the disk is full: nothing is lost by that. */
			cfile_put(f);
			CHECK_EQ(kit_open(&kit, "f", &f), 0);
		} else {
			r = store_sync(kit.s);
		}
		CHECK(r == 0 || r == -full_errno);
		verify(f);
	}
	refuse_per_mille = 0;
	cfile_put(f);
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(kit_store_open(&kit), 0);
	CHECK_EQ(kit_open(&kit, "f", &f), 0);
	verify(f);
	cfile_put(f);
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(kit.lines, 0);
	kit_end(&kit);
	free(model);
}

/* Full, so that the log cannot be emptied; then not any more: the first write goes through, for the
 * attempt to make room that it asks for succeeds. */
static void room_again(void)
{
	static uint8_t page[BLOCK_SIZE];
	struct cfile *f;
	ssize_t n = 0;

	memset(tables, 0, sizeof(tables));
	copy_on_write = true;
	kit_start(&kit, SUITE_XCHACHA20, 128, &full_io);
	CHECK_EQ(kit_create(&kit, "f", &f), 0);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(cfile_write(f, page, BLOCK_SIZE, (uint64_t)i * BLOCK_SIZE), BLOCK_SIZE);
	CHECK_EQ(cfile_fsync(f, true), 0);
	for (int round = 0; round < 20; round++) {
		refuse_per_mille = 1000;
		for (int i = 0; i < 1000 && n >= 0; i++)
			n = cfile_write(f, page, BLOCK_SIZE, pick(64) * BLOCK_SIZE);
		CHECK_EQ(n, -ENOSPC);
		refuse_per_mille = 0;
		n = cfile_write(f, page, BLOCK_SIZE, pick(64) * BLOCK_SIZE);
		CHECK_EQ(n, BLOCK_SIZE);
	}
	cfile_put(f);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
}

/* A write fails after it made the backing file longer, and then the last user leaves: the size at
 * home is the header's again, whether the file is opened next or the store closed. */
static void cut_short(void)
{
	static uint8_t page[BLOCK_SIZE];
	struct stat before, after;
	struct cfile *f;

	memset(tables, 0, sizeof(tables));
	kit_start(&kit, SUITE_XCHACHA20, 128, &full_io);
	CHECK_EQ(kit_create(&kit, "f", &f), 0);
	CHECK_EQ(cfile_write(f, page, BLOCK_SIZE, 0), BLOCK_SIZE);
	CHECK_EQ(cfile_fsync(f, true), 0);
	for (int round = 0; round < 2 && !check_failures; round++) {
		fstat(cfile_fd(f), &before);
		allowed = 1; /* the tag page of the second group, not the block */
		CHECK_EQ(cfile_write(f, page, BLOCK_SIZE, HEAD_BLOCKS * BLOCK_SIZE), -ENOSPC);
		allowed = -1;
		fstat(cfile_fd(f), &after);
		CHECK(after.st_size > before.st_size);
		cfile_put(f);
		if (round == 1) {
			CHECK_EQ(kit_close(&kit), 0);
			CHECK_EQ(kit_store_open(&kit), 0);
		}
		CHECK_EQ(kit_open(&kit, "f", &f), 0);
		CHECK_EQ(cfile_size(f), BLOCK_SIZE);
	}
	cfile_put(f);
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(kit.lines, 0);
	kit_end(&kit);
}

/* Exact at the edge of the quota: the blocks that fit are written. */
static void quota_edge(void)
{
	static uint8_t buf[40 * BLOCK_SIZE];
	struct quota_usage u;
	struct cfile *f, *g;

	kit_start(&kit, SUITE_XCHACHA20, 256, NULL);
	quota_set_limits(kit.quota, quota_file_bytes(33), 1);
	CHECK_EQ(kit_create(&kit, "f", &f), 0);
	CHECK_EQ(kit_create(&kit, "g", &g), -EDQUOT);
	CHECK_EQ(cfile_write(f, buf, sizeof(buf), 0), 33 * BLOCK_SIZE);
	CHECK_EQ(cfile_write(f, buf, 1, 33 * BLOCK_SIZE), -ENOSPC);
	CHECK_EQ(cfile_write(f, buf, 1, UINT64_C(1) << 30), -ENOSPC);
	CHECK_EQ(cfile_size(f), 33 * BLOCK_SIZE);
	CHECK_EQ(cfile_write(f, buf, 20, 5), 20);
	CHECK_EQ(cfile_allocate(f, 0, 0, 34 * BLOCK_SIZE), -ENOSPC);
	CHECK_EQ(cfile_allocate(f, 0, 0, 33 * BLOCK_SIZE), 0);
	CHECK_EQ(cfile_truncate(f, UINT64_C(1) << 40), 0);
	CHECK_EQ(cfile_truncate(f, BLOCK_SIZE), 0);
	quota_get(kit.quota, &u);
	CHECK_EQ(u.bytes, quota_file_bytes(1));
	cfile_note_unlinked(f);
	cfile_put(f);
	quota_get(kit.quota, &u);
	CHECK_EQ(u.bytes, 0);
	CHECK_EQ(u.files, 0);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
}

/* After a failed sync nothing may look like a success. */
static void failing_sync(void)
{
	struct cfile *f;
	char c = 'x';

	memset(tables, 0, sizeof(tables));
	kit_start(&kit, SUITE_XCHACHA20, 256, &full_io);
	CHECK_EQ(kit_create(&kit, "f", &f), 0);
	CHECK_EQ(cfile_write(f, &c, 1, 0), 1);
	fail_sync = true;
	CHECK_EQ(cfile_fsync(f, true), -EIO);
	fail_sync = false;
	CHECK_EQ(cfile_fsync(f, true), -EIO);
	CHECK(store_failed(kit.s));
	CHECK_EQ(cfile_write(f, &c, 1, 0), -EROFS);
	CHECK_EQ(cfile_truncate(f, 0), -EROFS);
	CHECK_EQ(cfile_read(f, &c, 1, 0), 1);
	CHECK_EQ(kit_create(&kit, "g", &f), -EROFS);
	CHECK(kit_close(&kit) < 0);
	/* As after a crash: mended, not lost. */
	CHECK_EQ(kit_store_open(&kit), 0);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
}

int main(void)
{
	rnd = kit_seed();
	for (int i = 0; i < 4; i++) {
		copy_on_write = i >= 2;
		full_errno = i == 1 || i == 2 ? EDQUOT : ENOSPC;
		full_disk(i % 2 ? 128 : 1024);
	}
	full_errno = ENOSPC;
	CHECK(refused > 0);
	room_again();
	copy_on_write = false;
	cut_short();
	quota_edge();
	failing_sync();
	return check_report();
}
