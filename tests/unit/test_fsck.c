/* The check: a store as we leave it is clean; whichever byte changes is found, or meant nothing. */
#include "tests/unit/fsck_kit.h"

#include <dirent.h>
#include <linux/falloc.h>

#include "base/cleanup.h"
#include "fs/blockmap.h"
#include "fs/head.h"
#include "fs/log.h"

#define RING 128u

static uint64_t rnd;

static uint64_t pick(uint64_t n)
{
	return kit_random(&rnd) % n;
}

static void stored_name(const char *plain, char out[NAME_STORED_SIZE])
{
	static const uint8_t root[DIRID_LEN];
	char full[NAME_FULL_SIZE];
	bool is_long;

	CHECK_EQ(name_encrypt(&fsck_kit_keys, root, plain, strlen(plain), out, full, &is_long), 0);
}

static void make_file(struct kit *k, const char *plain, uint64_t size, bool holes)
{
	static uint8_t buf[600000];
	char stored[NAME_STORED_SIZE];
	struct cfile *f;

	for (uint64_t i = 0; i < size; i++)
		buf[i] = (uint8_t)(i * 7 + size);
	stored_name(plain, stored);
	CHECK_EQ(kit_create(k, stored, &f), 0);
	CHECK_EQ(cfile_write(f, buf, size, 0), (ssize_t)size);
	if (holes)
		CHECK_EQ(cfile_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 20000),
			 0);
	cfile_put(f);
}

static void fill(struct kit *k)
{
	make_file(k, "empty", 0, false);
	make_file(k, "small", 100, false);
	make_file(k, "page", 4096, false);
	make_file(k, "groups", 500001, false);
	make_file(k, "holes", 200000, true);
}

static void check_clean(struct kit *k, const char *when)
{
	struct fsck_seen seen = { .real_names = true };

	CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
	if (*seen.first)
		fprintf(stderr, "%s: %s\n", when, seen.first);
	CHECK(!*seen.first);
}

/* Is this byte of the file one that a reader relies on? Beyond the message of a block, and in the
 * page of a hole, it is not. */
static bool matters(const uint8_t *file, uint64_t size, uint64_t at)
{
	uint64_t page = at / 4096, block;
	uint8_t entry[ENTRY_SIZE];

	if (page == 0 || (page > 32 && (page - 33) % 65 == 0))
		return true;
	block = page <= 32 ? page - 1 : 32 + (page - 33) / 65 * 64 + (page - 33) % 65 - 1;
	memcpy(entry, file + blockmap_entry_off(block), sizeof(entry));
	return at % 4096 < entry_len(entry);
}

static uint8_t *slurp(int fd, uint64_t *ret_size)
{
	struct stat st;
	uint8_t *all;

	fstat(fd, &st);
	*ret_size = (uint64_t)st.st_size;
	all = malloc(*ret_size + 1);
	CHECK_EQ(pread(fd, all, *ret_size, 0), st.st_size);
	return all;
}

static void flip_in(struct kit *k, const char *plain, uint64_t at, bool expect)
{
	struct fsck_seen seen = { .real_names = true };
	char stored[NAME_STORED_SIZE];
	uint8_t b, changed;
	int fd;

	stored_name(plain, stored);
	fd = openat(k->tree, stored, O_RDWR | O_CLOEXEC);
	CHECK_EQ(pread(fd, &b, 1, (off_t)at), 1);
	changed = b ^ (uint8_t)(1u << pick(8));
	CHECK_EQ(pwrite(fd, &changed, 1, (off_t)at), 1);
	CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
	if ((seen.damage > 0) != expect)
		fprintf(stderr, "%s: byte %llu: %s\n", plain, (unsigned long long)at,
			*seen.first ? seen.first : "not found");
	CHECK_EQ(seen.damage > 0, expect);
	CHECK_EQ(pwrite(fd, &b, 1, (off_t)at), 1);
	close(fd);
}

static void flips(struct kit *k, const char *plain, unsigned times)
{
	char stored[NAME_STORED_SIZE];
	uint64_t size;
	uint8_t *all;
	int fd;

	stored_name(plain, stored);
	fd = openat(k->tree, stored, O_RDONLY | O_CLOEXEC);
	all = slurp(fd, &size);
	close(fd);
	for (unsigned i = 0; i < times; i++) {
		/* Half of them where header and entries are. */
		uint64_t at = pick(2) ? pick(MIN(size, 4096)) : pick(size);

		flip_in(k, plain, at, matters(all, size, at));
	}
	free(all);
}

/* Cut, grown, emptied, exchanged. */
static void whole_files(struct kit *k)
{
	struct fsck_seen seen = { .real_names = true };
	char a[NAME_STORED_SIZE], b[NAME_STORED_SIZE];
	uint64_t size;
	uint8_t *all;
	int fd;

	stored_name("groups", a);
	fd = openat(k->tree, a, O_RDWR | O_CLOEXEC);
	all = slurp(fd, &size);
	static const int64_t by[] = { -1, -5000, 1, 4096, -500000 };
	for (size_t i = 0; i < ARRAY_LEN(by); i++) {
		CHECK_EQ(ftruncate(fd, (off_t)((int64_t)size + by[i])), 0);
		seen = (struct fsck_seen){ .real_names = true };
		CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
		CHECK(seen.damage > 0);
		CHECK_EQ(pwrite(fd, all, size, 0), (ssize_t)size);
		CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	}
	close(fd);
	free(all);
	check_clean(k, "put back");
	/* Two names exchanged cannot be told without a manifest; a copy under another name can. */
	stored_name("page", b);
	CHECK_EQ(unlinkat(k->tree, b, 0), 0);
	CHECK_EQ(linkat(k->tree, a, k->tree, b, 0), 0);
	seen = (struct fsck_seen){ .real_names = true };
	CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
	CHECK_EQ(seen.quota, 1); /* one file less than the state says */
}

/* Everything of the two slots and nothing of an empty ring. */
static void state_page(struct kit *k)
{
	int fd = openat(k->dirfd, "log", O_RDWR | O_CLOEXEC);
	struct fsck_seen repaired = { .real_names = true };
	uint8_t b, changed;

	for (unsigned i = 0; i < 40; i++) {
		struct fsck_seen seen = { .real_names = true };
		uint64_t at = pick(2) * LOG_PAGE + pick(128);

		CHECK_EQ(pread(fd, &b, 1, (off_t)at), 1);
		changed = b ^ 0x10;
		CHECK_EQ(pwrite(fd, &changed, 1, (off_t)at), 1);
		CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
		CHECK_EQ(seen.unsynced, 1);
		CHECK_EQ(pwrite(fd, &b, 1, (off_t)at), 1);
	}
	CHECK_EQ(pwrite(fd, "x", 1, LOG_PAGE + 60), 1);
	close(fd);
	CHECK_EQ(fsck_kit_run(k, true, &repaired), 0);
	CHECK_EQ(repaired.repaired, 1);
	check_clean(k, "slots written anew");
}

static void orphans(struct kit *k)
{
	struct fsck_seen seen = { .real_names = true };

	CHECK_EQ(symlinkat("x", k->tree, "~stray.n"), 0);
	CHECK_EQ(symlinkat("x", k->dirfd, "l/nobody"), 0);
	CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
	CHECK_EQ(seen.orphan, 2);
	CHECK_EQ(seen.repaired, 0);
	CHECK_EQ(faccessat(k->tree, "~stray.n", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	seen = (struct fsck_seen){ .real_names = true };
	CHECK_EQ(fsck_kit_run(k, true, &seen), 0);
	CHECK_EQ(seen.repaired, 2);
	check_clean(k, "orphans removed");
	/* What may be needed by a link that cannot be read is kept. */
	CHECK_EQ(symlinkat("x", k->dirfd, "l/nobody"), 0);
	CHECK_EQ(symlinkat("not one of ours", k->tree, "bad"), 0);
	seen = (struct fsck_seen){ .real_names = true };
	CHECK_EQ(fsck_kit_run(k, true, &seen), 0);
	CHECK_EQ(seen.repaired, 0);
	CHECK_EQ(unlinkat(k->tree, "bad", 0), 0);
	CHECK_EQ(unlinkat(k->dirfd, "l/nobody", 0), 0);
}

/* Abandoned, as by a killed daemon: told, not touched; with repair recovered. */
static void unclean(struct kit *k)
{
	struct fsck_seen seen = { .real_names = true };

	CHECK_EQ(kit_store_open(k), 0);
	make_file(k, "late", 50000, false);
	store_abandon(k->s);
	k->s = NULL;
	CHECK_EQ(fsck_kit_run(k, false, &seen), 0);
	CHECK_EQ(seen.unclean, 1);
	CHECK_EQ(seen.damage, 0);
	CHECK_EQ(seen.repaired, 0);
	seen = (struct fsck_seen){ .real_names = true };
	CHECK_EQ(fsck_kit_run(k, true, &seen), 0);
	CHECK_EQ(seen.unclean, 1);
	CHECK(seen.repaired >= 1);
	check_clean(k, "recovered");
}

int main(void)
{
	static const char *const names[] = { "empty", "small", "page", "groups", "holes" };
	struct kit k;

	rnd = kit_seed();
	kit_start(&k, SUITE_XCHACHA20, RING, NULL);
	fill(&k);
	CHECK_EQ(kit_close(&k), 0);
	check_clean(&k, "new");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		flips(&k, names[i], 60);
	check_clean(&k, "flipped back");
	state_page(&k);
	orphans(&k);
	unclean(&k);
	whole_files(&k);
	kit_end(&k);
	return check_report();
}
