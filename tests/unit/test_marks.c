/* A mount after a crash looks at what was touched, and at no other file; where the record of that
 * cannot be believed, at all of them.  What is counted is what recovery says that it looked at. */
#include "fs/store_priv.h"
#include "tests/unit/store_kit.h"

#define FILES 2000u
#define RING  256u

static struct kit kit;
static unsigned looked, all, emptied; /* by the last recovery; 'all' 0: there was none */
static unsigned syncs_of_log, fail_syncs;

static void on_line(void *ctx, const char *line)
{
	unsigned batches, mended;

	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "store: %s\n", line);
	(void)sscanf(line,
		     "recovery: %u of %u files looked at, %u batches, %u files mended, %u emptied",
		     &looked, &all, &batches, &mended, &emptied);
}

static int count_sync(void *ctx, int fd)
{
	syncs_of_log++;
	if (fail_syncs && --fail_syncs == 0) {
		errno = EIO;
		return -1;
	}
	return 0;
}

static int no_sync(void *ctx, int fd)
{
	return 0;
}

static struct store_io io;

static void start(uint64_t stride)
{
	if (stride)
		io = *kit_numbered_io(stride);
	else
		io = store_io_system;
	io.fdatasync = count_sync;
	io.fsync = io.syncfs = no_sync;
	kit_start(&kit, SUITE_XCHACHA20, RING, &io);
	kit.p.log = on_line;
}

static const char *name_of(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof(name), "f%u", i);
	return name;
}

static void make(const char *name, size_t len)
{
	static const uint8_t data[3 * BLOCK_SIZE] = { 1, 2, 3 };
	struct cfile *f;

	CHECK_EQ(kit_create(&kit, name, &f), 0);
	if (len)
		CHECK_EQ(cfile_write(f, data, len, 0), len);
	cfile_put(f);
}

static void overwrite(unsigned i, char c)
{
	struct cfile *f;

	CHECK_EQ(kit_open(&kit, name_of(i), &f), 0);
	CHECK_EQ(cfile_write(f, &c, 1, 0), 1);
	CHECK_EQ(cfile_fsync(f, true), 0);
	cfile_put(f);
}

static void expect_byte(unsigned i, char want)
{
	struct cfile *f;
	char c = 0;

	CHECK_EQ(kit_open(&kit, name_of(i), &f), 0);
	CHECK_EQ(cfile_read(f, &c, 1, 0), 1);
	CHECK_EQ(c, want);
	cfile_put(f);
}

static int open_again(void)
{
	looked = all = emptied = 0;
	return kit_store_open(&kit);
}

static void crash(void)
{
	store_abandon(kit.s);
	kit.s = NULL;
}

static void close_and_open(void)
{
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, 0);
}

/* The quota says what a look at every file would. */
static void expect_sums(const char *when)
{
	struct quota_usage part, full;
	struct state st;

	quota_get(kit.quota, &part);
	kit.s->marks.on = false; /* the next state carries no record */
	CHECK_EQ(store_begin_change(kit.s), 0);
	pthread_mutex_lock(&kit.s->reclaim_lock);
	st = kit.s->log.st;
	CHECK_EQ(log_write_state(kit.s, &st), 0);
	CHECK_EQ(log_copy_state(kit.s), 0);
	pthread_mutex_unlock(&kit.s->reclaim_lock);
	store_end_change(kit.s);
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(looked, all);
	quota_get(kit.quota, &full);
	if (part.bytes != full.bytes || part.files != full.files)
		fprintf(stderr, "%s: %llu bytes in %llu files, there are %llu in %llu\n", when,
			(unsigned long long)part.bytes, (unsigned long long)part.files,
			(unsigned long long)full.bytes, (unsigned long long)full.files);
	CHECK_EQ(part.bytes, full.bytes);
	CHECK_EQ(part.files, full.files);
}

static void remove_file(const char *name)
{
	struct cfile *f;
	struct stat st;

	CHECK_EQ(kit_open(&kit, name, &f), 0);
	CHECK_EQ(fstat(cfile_fd(f), &st), 0);
	CHECK_EQ(store_begin_change_of(kit.s, st.st_ino), 0);
	CHECK_EQ(unlinkat(kit.tree, name, 0), 0);
	cfile_note_unlinked(f);
	store_end_change(kit.s);
	cfile_put(f);
}

/* -- how many ------------------------------------------------------------- */

static void test_few(void)
{
	unsigned before;

	start(0);
	syncs_of_log = 0;
	for (unsigned i = 0; i < FILES; i++)
		make(name_of(i), 100);
	CHECK(syncs_of_log < 20); /* numbers follow each other: not one for each group */
	close_and_open();
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, 0); /* nothing was touched */

	overwrite(77, 'x');
	overwrite(1500, 'y');
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, FILES);
	CHECK(looked >= 2 && looked <= 2 * 64); /* two groups, of 64 at most */
	expect_byte(77, 'x');
	expect_byte(1500, 'y');
	expect_byte(78, 1);

	/* New ones beside old ones; one gone. */
	for (unsigned i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "new%u", i);
		make(name, 5000);
	}
	remove_file("f600");
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, FILES + 40 - 1);
	CHECK(looked <= 40 + 3 * 64);
	before = all;
	expect_sums("made and removed");
	CHECK_EQ(all, before);
	kit_end(&kit);
}

/* However they lie, it does not take a sync for each. */
static void test_scattered(void)
{
	start(KIT_APART);
	for (unsigned i = 0; i < FILES; i++)
		make(name_of(i), 0);
	close_and_open();
	for (unsigned i = 0; i < 10; i++)
		overwrite(i * 150, 'z');
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(looked, 10);
	syncs_of_log = 0;
	for (unsigned i = 0; i < FILES; i++) {
		struct cfile *f;

		CHECK_EQ(kit_open(&kit, name_of(i), &f), 0);
		CHECK_EQ(cfile_write(f, "q", 1, 5000), 1);
		cfile_put(f);
	}
	printf("%u files, each far from the others: %u syncs\n", FILES, syncs_of_log);
	CHECK(syncs_of_log < FILES / 2);
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(looked, FILES);
	kit_end(&kit);
}

/* -- what cannot be marked before ----------------------------------------- */

static void test_new_inode(void)
{
	struct cfile *f;
	int fd;

	start(KIT_APART);
	for (unsigned i = 0; i < 200; i++)
		make(name_of(i), 100);
	close_and_open();
	overwrite(3, 'a');
	/* The name is there, and the crash comes before anything else. */
	fd = openat(kit.tree, "cut off", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	close(fd);
	CHECK_EQ(symlinkat("target", kit.tree, "link"), 0);
	CHECK_EQ(mkdirat(kit.tree, "dir", 0700), 0);
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(looked, 1 + 3);
	CHECK_EQ(all, 203);
	CHECK_EQ(emptied, 1);
	CHECK_EQ(kit_open(&kit, "cut off", &f), 0);
	CHECK_EQ(cfile_size(f), 0);
	cfile_put(f);
	expect_sums("a new inode without a mark");

	/* Somebody takes a file out of the store, while it is not open. */
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(unlinkat(kit.tree, "f5", 0), 0);
	CHECK_EQ(open_again(), 0);
	overwrite(3, 'b');
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, 202);
	expect_sums("a file taken out");
	kit_end(&kit);
}

/* -- again ---------------------------------------------------------------- */

/* Recovery that is cut off, wherever, leaves the same work to the next one. */
static void test_twice(void)
{
	start(KIT_APART);
	for (unsigned i = 0; i < 300; i++)
		make(name_of(i), 9000);
	close_and_open();
	for (unsigned n = 1; n < 8; n++) {
		int r;

		for (unsigned i = 0; i < 5; i++)
			overwrite(i * 50 + n, (char)('0' + n));
		crash();
		fail_syncs = n;
		r = open_again();
		fail_syncs = 0;
		if (r == 0)
			crash();
		CHECK_EQ(open_again(), 0);
		CHECK(all == 0 || looked <= 10);
		for (unsigned i = 0; i < 5; i++)
			expect_byte(i * 50 + n, (char)('0' + n));
	}
	expect_sums("recovered again and again");
	kit_end(&kit);
}

/* -- no record ------------------------------------------------------------ */

static void spoil(uint64_t page, size_t at, size_t len, bool zero)
{
	uint8_t buf[LOG_PAGE];
	int fd = openat(kit.dirfd, "log", O_RDWR | O_CLOEXEC);
	off_t off = (off_t)(page * LOG_PAGE + at);

	CHECK(pread(fd, buf, len, off) == (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		buf[i] = zero ? 0 : buf[i] ^ 0x55;
	CHECK(pwrite(fd, buf, len, off) == (ssize_t)len);
	close(fd);
}

enum lack { NO_MARKS, BAD_MARKS, BAD_TABLES, NO_TABLES, OTHER_TREE, KINDS_OF_LACK };

static void take_away(enum lack what)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t table = LOG_RING_AT + RING + i * MARK_TABLE_PAGES;

		if (what == NO_MARKS)
			spoil(i, 128, LOG_PAGE - 128, true);
		if (what == BAD_MARKS)
			spoil(i, 300, 1, false);
		if (what == BAD_TABLES)
			spoil(table + 5, 100, 8, false);
	}
	if (what == NO_TABLES) { /* a log of before there were any */
		int fd = openat(kit.dirfd, "log", O_RDWR | O_CLOEXEC);

		CHECK_EQ(ftruncate(fd, (off_t)(LOG_RING_AT + RING) * (off_t)LOG_PAGE), 0);
		close(fd);
	}
	if (what == OTHER_TREE) { /* as when the store was copied */
		CHECK_EQ(renameat(kit.dirfd, "t", kit.dirfd, "old"), 0);
		CHECK_EQ(mkdirat(kit.dirfd, "t", 0700), 0);
		int tree = openat(kit.dirfd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		for (unsigned i = 0; i < 150; i++)
			CHECK_EQ(renameat(kit.tree, name_of(i), tree, name_of(i)), 0);
		CHECK_EQ(unlinkat(kit.dirfd, "old", AT_REMOVEDIR), 0);
		close(kit.tree);
		kit.tree = tree;
	}
}

static void test_lack(enum lack what)
{
	start(0);
	for (unsigned i = 0; i < 150; i++)
		make(name_of(i), 100);
	close_and_open();
	overwrite(3, 'n');
	crash();
	take_away(what);
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, 150);
	CHECK_EQ(looked, 150);
	expect_byte(3, 'n');
	/* From now on there is a record. */
	overwrite(100, 'm');
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(all, 150);
	CHECK(looked < 150);
	expect_byte(100, 'm');
	expect_byte(3, 'n');
	kit_end(&kit);
}

/* A clean store without a record is served, and looked at in full after a crash. */
static void test_lack_clean(void)
{
	start(0);
	for (unsigned i = 0; i < 150; i++)
		make(name_of(i), 100);
	CHECK_EQ(kit_close(&kit), 0);
	take_away(NO_MARKS);
	CHECK_EQ(open_again(), 0);
	overwrite(3, 'n');
	close_and_open();
	overwrite(4, 'o');
	crash();
	CHECK_EQ(open_again(), 0);
	CHECK_EQ(looked, 150);
	expect_byte(4, 'o');
	kit_end(&kit);
}

static bool have_record(void)
{
	bool on;

	start(0);
	on = kit.s->marks.on;
	kit_end(&kit);
	return on;
}

int main(void)
{
	test_scattered();
	test_new_inode();
	test_twice();
	if (!have_record())
		CHECK_SKIP("inodes have no birth time here, or no lasting number");
	test_few();
	for (int what = 0; what < KINDS_OF_LACK; what++)
		test_lack((enum lack)what);
	test_lack_clean();
	return check_report();
}
