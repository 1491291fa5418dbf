/* A store in a directory of its own, with fixed keys, for the unit tests of fs/. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "fs/block.h"
#include "fs/cfile.h"
#include "fs/quota.h"
#include "fs/store.h"
#include "fs/store_io.h"
#include "keys/secret.h"
#include "tests/check.h"

struct kit {
	char dir[256];
	int dirfd, tree;
	struct store_params p;
	struct quota *quota;
	struct store *s;
	unsigned lines; /* that the store logged */
	bool verbose;
};

static uint8_t kit_keys[2][32] = { { 1, 2, 3 }, { 4, 5, 6 } };

static inline const uint8_t *kit_head_key(void *ctx, uint32_t keygen)
{
	return keygen == 7 ? kit_keys[0] : NULL;
}

static inline const uint8_t *kit_log_key(void *ctx, uint32_t keygen)
{
	return keygen == 7 ? kit_keys[1] : NULL;
}

static inline void kit_line(void *ctx, const char *line)
{
	struct kit *k = ctx;

	k->lines++;
	if (k->verbose || getenv("KIT_VERBOSE"))
		fprintf(stderr, "store: %s\n", line);
}

static inline int kit_rm(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static inline void kit_remove_dir(const char *dir)
{
	nftw(dir, kit_rm, 16, FTW_DEPTH | FTW_PHYS);
}

/* Tests that only need the logic run where syncs cost nothing. */
static inline const char *kit_base(void)
{
	const char *env = getenv("KIT_DIR");

	return env ? env : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* The system's calls, but inodes have numbers 'stride' apart: 0, and one mark is for all of them;
 * KIT_APART, and each is alone in its group, with none beside it (fs/marks.h). */
#define KIT_APART 448u
static uint64_t kit_stride = KIT_APART;

static inline uint64_t kit_was_ino(void *ctx, uint64_t ino)
{
	return ino * kit_stride;
}

static inline bool kit_was_bind(void *ctx, uint8_t ret[static 32])
{
	memset(ret, 0x42, 32);
	return true;
}

static inline const struct store_io *kit_numbered_io(uint64_t stride)
{
	static struct store_io io;

	kit_stride = stride;
	io = store_io_system;
	io.was_ino = kit_was_ino;
	io.was_bind = kit_was_bind;
	return &io;
}

static inline void kit_params(struct kit *k, uint8_t suite, const struct store_io *io)
{
	memset(&k->p, 0, sizeof(k->p));
	memset(k->p.vol_id, 0x5a, 16);
	k->p.suite = suite;
	k->p.keygen = 7;
	k->p.conf_counter = 1;
	k->p.head_key = kit_head_key;
	k->p.log_key = kit_log_key;
	k->p.quota = k->quota;
	k->p.io = io;
	k->p.log = kit_line;
	k->p.log_ctx = k;
}

static inline void kit_open_dir(struct kit *k)
{
	k->dirfd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	k->tree = openat(k->dirfd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline int kit_store_open(struct kit *k)
{
	struct err err = { 0 };
	int r = store_open(k->dirfd, &k->p, &k->s, &err);

	if (r < 0)
		fprintf(stderr, "store_open: %s\n", err.text);
	return r;
}

static inline void kit_begin(struct kit *k, uint8_t suite, uint32_t ring, bool pad,
			     const struct store_io *io)
{
	struct err err = { 0 };

	memset(k, 0, sizeof(*k));
	secret_setup(NULL);
	snprintf(k->dir, sizeof(k->dir), "%s/sbx-unit-XXXXXX", kit_base());
	if (!mkdtemp(k->dir) || quota_new(0, 0, &k->quota) < 0)
		exit(99);
	kit_params(k, suite, io);
	k->p.pad = pad;
	k->dirfd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store_create(k->dirfd, &k->p, ring, &err) < 0) {
		fprintf(stderr, "store_create: %s\n", err.text);
		exit(99);
	}
	close(k->dirfd);
	kit_open_dir(k);
	if (kit_store_open(k) < 0)
		exit(99);
}

static inline void kit_start(struct kit *k, uint8_t suite, uint32_t ring, const struct store_io *io)
{
	kit_begin(k, suite, ring, false, io);
}

static inline int kit_close(struct kit *k)
{
	struct err err = { 0 };
	int r = store_close(k->s, &err);

	if (r < 0)
		fprintf(stderr, "store_close: %s\n", err.text);
	k->s = NULL;
	return r;
}

static inline void kit_end(struct kit *k)
{
	if (k->s)
		store_abandon(k->s);
	close(k->tree);
	close(k->dirfd);
	quota_free(k->quota);
	kit_remove_dir(k->dir);
}

static inline int kit_create(struct kit *k, const char *name, struct cfile **ret)
{
	int fd, r = store_begin_change(k->s);

	if (r < 0)
		return r;
	fd = openat(k->tree, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : cfile_create(k->s, fd, ret);
	if (r < 0 && fd >= 0)
		close(fd);
	store_end_change(k->s);
	return r;
}

static inline int kit_open(struct kit *k, const char *name, struct cfile **ret)
{
	int fd = openat(k->tree, name, (k->p.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	int r = fd < 0 ? -errno : cfile_open(k->s, fd, ret);

	if (r < 0 && fd >= 0)
		close(fd);
	return r;
}

/* A generator of one's own: the same on every machine, from the seed that is printed. */
static inline uint64_t kit_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static inline uint64_t kit_seed(void)
{
	const char *env = getenv("SEED");
	uint64_t seed =
		env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid();

	printf("SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}
