/* Large reads past the page cache give what reads through it give, and see what was written last.
 */
#include "tests/unit/store_kit.h"

#include <fcntl.h>
#include <stdatomic.h>

#include "base/cleanup.h"
#include "fs/cfile_priv.h"

#define SIZE ((3u << 20) + 1234)

static struct kit kit;
static uint8_t *model, *buf;
static struct cfile *f;

/* Nothing of the file is in the page cache any more, as far as the kernel likes. */
static void forget(void)
{
	CHECK_EQ(fsync(cfile_fd(f)), 0);
	CHECK_EQ(posix_fadvise(cfile_fd(f), 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void write_at(uint64_t off, uint64_t len, uint64_t seed)
{
	for (uint64_t i = 0; i < len; i++)
		model[off + i] = (uint8_t)kit_random(&seed);
	for (uint64_t done = 0; done < len;) {
		ssize_t n = cfile_write(f, model + off + done, len - done, off + done);

		CHECK(n > 0);
		done += n > 0 ? (uint64_t)n : len;
	}
}

static void compare(uint64_t off, uint64_t len)
{
	uint64_t want = off < SIZE ? MIN(len, SIZE - off) : 0;

	memset(buf, 0xee, len);
	CHECK_EQ(cfile_read(f, buf, len, off), want);
	CHECK(memcmp(buf, model + off, want) == 0);
}

/* Can this place be read directly at all? */
static bool possible(void)
{
	forget();
	compare(0, 1 << 20);
	return atomic_load(&f->direct_fd) >= 0;
}

static void everywhere(void)
{
	static const uint64_t lens[] = { 256 << 10, 1 << 20, (1 << 20) - 1, 300000, 2 << 20 };

	for (uint64_t off = 0; off < SIZE; off += 77 * BLOCK_SIZE) {
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			forget();
			compare(off, MIN(lens[i], SIZE - off));
			compare(off + 1, MIN(lens[i], SIZE - off - 1));
		}
	}
}

/* What is only in the page cache, or only in the log, is what a direct read must give. */
static void after_writes(void)
{
	uint64_t seed = 5;

	for (int i = 0; i < 60; i++) {
		uint64_t at = kit_random(&seed) % (SIZE - 9000);

		if (i % 3 == 0)
			forget();
		write_at(at, 1 + kit_random(&seed) % 9000, seed);
		if (i % 7 == 0)
			CHECK_EQ(cfile_fsync(f, true), 0);
		if (i % 10 == 0)
			CHECK_EQ(store_sync(kit.s), 0);
		compare(0, SIZE);
		compare(at & ~UINT64_C(4095), 512 << 10);
	}
}

static void damaged(void)
{
	uint64_t at = blockmap_data_off(200) + 77;
	unsigned lines = kit.lines;
	uint8_t c;

	CHECK_EQ(store_sync(kit.s), 0);
	CHECK_EQ(pread(cfile_fd(f), &c, 1, (off_t)at), 1);
	c ^= 1;
	CHECK_EQ(pwrite(cfile_fd(f), &c, 1, (off_t)at), 1);
	forget();
	CHECK_EQ(cfile_read(f, buf, 1 << 20, 0), -EIO);
	CHECK_EQ(kit.lines, lines + 1);
}

int main(void)
{
	bool direct;

	setenv("KIT_DIR", "/var/tmp", 0); /* rather a disk than memory */
	model = calloc(1, SIZE + (2 << 20));
	buf = aligned_alloc(BLOCK_SIZE, 4 << 20);
	kit_start(&kit, SUITE_XCHACHA20, 1024, NULL);
	CHECK_EQ(kit_create(&kit, "f", &f), 0);
	write_at(0, SIZE, 1);
	CHECK_EQ(store_sync(kit.s), 0);
	direct = possible();
	if (direct) {
		everywhere();
		after_writes();
		damaged();
	}
	cfile_put(f);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
	free(model);
	free(buf);
	if (!direct && check_failures == 0) {
		printf("no O_DIRECT or no cachestat(2) here\n");
		return 77;
	}
	return check_report();
}
