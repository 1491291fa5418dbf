/* How many syncs each operation costs before it returns: the table of doc/format.md section 6, row
 * by row.  The calls of the C library are ours here, so that whatever syncs is counted. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "fs/name.h"
#include "fs/out_int.h"
#include "fs/store_priv.h"
#include "tests/unit/store_kit.h"

#define RING 16384u

enum { OF_HOME, OF_LOG, OF_DIR, OF_STORE, KINDS };
static const char *const kind_names[KINDS] = { "home", "log", "directory", "store" };

static atomic_uint counts[KINDS];
static uint64_t log_ino;
static atomic_bool dirs_fail;
/* Called in the place of the first sync of the log, when set. */
static void (*_Atomic gate)(void);

static int counted(long number, int fd)
{
	struct stat st;
	void (*wait)(void);

	fstat(fd, &st);
	if (number == SYS_syncfs) {
		atomic_fetch_add(&counts[OF_STORE], 1);
		return 0; /* of the whole machine's memory: slow, and nothing to see */
	}
	if (S_ISDIR(st.st_mode) && atomic_load(&dirs_fail)) {
		errno = EIO;
		return -1;
	}
	if (S_ISDIR(st.st_mode))
		atomic_fetch_add(&counts[OF_DIR], 1);
	else
		atomic_fetch_add(&counts[st.st_ino == log_ino ? OF_LOG : OF_HOME], 1);
	wait = st.st_ino == log_ino ? atomic_exchange(&gate, NULL) : NULL;
	if (wait)
		wait();
	return (int)syscall(number, fd);
}

int fsync(int fd)
{
	return counted(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return counted(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
	return counted(SYS_syncfs, fd);
}

static void start(void)
{
	for (int i = 0; i < KINDS; i++)
		atomic_store(&counts[i], 0);
}

/* One row: what was counted since start(). */
static void expect(const char *row, unsigned home, unsigned log, unsigned dir, unsigned store)
{
	const unsigned want[KINDS] = { home, log, dir, store };

	for (int i = 0; i < KINDS; i++) {
		if (atomic_load(&counts[i]) != want[i])
			fprintf(stderr, "%s: %u syncs of %s, expected %u\n", row,
				atomic_load(&counts[i]), kind_names[i], want[i]);
		CHECK_EQ(atomic_load(&counts[i]), want[i]);
	}
	start();
}

static struct kit kit;
static uint8_t data[6u << 20];

/* Without the background thread: its timer would sync, too. */
static void open_quiet(void)
{
	if (!kit.s)
		CHECK_EQ(kit_store_open(&kit), 0);
	store_bg_stop(kit.s);
}

static void write_at(struct cfile *f, uint64_t off, size_t len)
{
	CHECK_EQ(cfile_write(f, data, len, off), len);
}

static void sync_now(struct cfile *f)
{
	CHECK_EQ(cfile_fsync(f, true), 0);
}

static void test_new_file(void)
{
	struct cfile *f;

	start();
	CHECK_EQ(kit_create(&kit, "new", &f), 0);
	expect("the first change ever, a new file: the state, then with its mark", 0, 2, 0, 0);
	write_at(f, 0, 100000);
	write_at(f, 100000, 500);
	write_at(f, 300, 5000);
	cfile_put(f);
	expect("create, write, append, overwrite, close", 0, 0, 0, 0);
	CHECK_EQ(kit_open(&kit, "new", &f), 0);
	sync_now(f);
	expect("fsync, new file", 1, 0, 0, 0);
	sync_now(f);
	expect("fsync again", 0, 0, 0, 0);
	CHECK_EQ(cfile_fsync(f, false), 0);
	expect("fsync again, of all", 0, 0, 0, 0);
	cfile_put(f);
}

static void test_durable_file(void)
{
	struct cfile *f;

	CHECK_EQ(kit_create(&kit, "durable", &f), 0);
	write_at(f, 0, 400000);
	sync_now(f);
	start();
	for (unsigned i = 0; i < 200; i++)
		write_at(f, i * 1973, 700);
	expect("overwrites without fsync", 0, 0, 0, 0);
	sync_now(f);
	expect("fsync after overwrites", 0, 1, 0, 0);
	sync_now(f);
	expect("fsync again", 0, 0, 0, 0);
	write_at(f, cfile_size(f), 100);
	write_at(f, cfile_size(f), 60000);
	sync_now(f);
	expect("fsync after at most 64 KiB appended", 0, 1, 0, 0);
	write_at(f, cfile_size(f), 500000);
	expect("append", 0, 0, 0, 0);
	sync_now(f);
	expect("fsync after more than 64 KiB appended", 1, 1, 0, 0);
	CHECK_EQ(cfile_truncate(f, 5000), 0);
	expect("truncate", 0, 0, 0, 0);
	sync_now(f);
	expect("fsync after truncate", 0, 1, 0, 0);
	CHECK_EQ(cfile_truncate(f, 5000000), 0);
	write_at(f, 3000000, 4096);
	expect("first write into a hole", 0, 0, 0, 0);
	sync_now(f);
	expect("fsync after it", 0, 1, 0, 0);
	cfile_note_metadata(f);
	sync_now(f);
	expect("fsync after chmod, rename, link or xattr", 1, 0, 0, 0);
	cfile_put(f);
}

static void test_rewritten_file(void)
{
	struct cfile *f;

	CHECK_EQ(kit_create(&kit, "rewritten", &f), 0);
	write_at(f, 0, 3u << 20);
	sync_now(f);
	start();
	CHECK_EQ(cfile_truncate(f, 0), 0);
	write_at(f, 0, 3u << 20);
	cfile_put(f);
	expect("O_TRUNC, at most 4 MiB, close", 0, 0, 0, 0);
	CHECK_EQ(kit_open(&kit, "rewritten", &f), 0);
	CHECK_EQ(cfile_truncate(f, 0), 0);
	write_at(f, 0, sizeof(data));
	write_at(f, sizeof(data), sizeof(data));
	expect("O_TRUNC, more than 4 MiB", 1, 1, 0, 0);
	cfile_put(f);
}

/* -- several at once ------------------------------------------------------ */

#define CROWD 8u

static uint64_t crowd_seq;

/* The first sync of the log takes until all others have appended, too. */
static void wait_for_crowd(void)
{
	for (unsigned i = 0; i < 10000 && log_last_seq(kit.s) < crowd_seq; i++)
		usleep(1000);
}

static void *sync_one(void *arg)
{
	sync_now(arg);
	return NULL;
}

static void test_crowd(void)
{
	struct cfile *f[CROWD];
	pthread_t t[CROWD];
	char name[16];

	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "crowd%u", i);
		CHECK_EQ(kit_create(&kit, name, &f[i]), 0);
		write_at(f[i], 0, 5000);
		sync_now(f[i]);
		write_at(f[i], 10, 100);
	}
	start();
	crowd_seq = log_last_seq(kit.s) + CROWD;
	atomic_store(&gate, wait_for_crowd);
	for (unsigned i = 0; i < CROWD; i++)
		pthread_create(&t[i], NULL, sync_one, f[i]);
	for (unsigned i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(log_last_seq(kit.s), crowd_seq);
	expect("8 fsyncs at once: one for the first, one for all others", 0, 2, 0, 0);
	for (unsigned i = 0; i < CROWD; i++)
		write_at(f[i], 10, 100);
	CHECK_EQ(store_commit_all(kit.s, true), 0);
	expect("the timer: all files", 0, 1, 0, 0);
	for (unsigned i = 0; i < CROWD; i++)
		cfile_put(f[i]);
}

static void test_whole_store(void)
{
	struct cfile *f;

	CHECK_EQ(kit_create(&kit, "last", &f), 0);
	write_at(f, 0, 5000);
	sync_now(f);
	write_at(f, 0, 10);
	start();
	CHECK_EQ(store_checkpoint(kit.s), 0);
	expect("checkpoint: log, store twice, state", 0, 2, 0, 2);
	CHECK_EQ(store_checkpoint(kit.s), 0);
	expect("checkpoint without a change", 0, 0, 0, 0);
	cfile_put(f);
	CHECK_EQ(kit_close(&kit), 0);
	expect("unmount after a checkpoint: both state slots", 0, 2, 0, 0);
	open_quiet();
	expect("mount: the state that is there", 0, 1, 0, 0);
	CHECK_EQ(kit_close(&kit), 0);
	expect("unmount without a change", 0, 0, 0, 0);
	open_quiet();
	start();
	CHECK_EQ(kit_open(&kit, "last", &f), 0);
	write_at(f, 0, 10);
	cfile_put(f);
	expect("the first change after the mount: the state", 0, 1, 0, 0);
	CHECK_EQ(kit_close(&kit), 0);
	expect("unmount: log, store twice, state, both slots of the clean one", 0, 4, 0, 2);
	open_quiet();
}

static void read_it(struct cfile *f)
{
	uint8_t buf[100];

	CHECK_EQ(cfile_read(f, buf, sizeof(buf), 0), sizeof(buf));
}

/* Clean while nobody changes anything: the first change afterwards pays, nothing else does. */
static void test_idle(void)
{
	struct cfile *f, *other;

	CHECK_EQ(kit_open(&kit, "last", &f), 0);
	write_at(f, 0, 10);
	start();
	CHECK_EQ(store_make_clean(kit.s), 0);
	expect("idle: log, store twice, state, both slots of the clean one", 0, 4, 0, 2);
	CHECK_EQ(store_make_clean(kit.s), 0);
	read_it(f);
	CHECK_EQ(kit_open(&kit, "new", &other), 0);
	read_it(other);
	cfile_put(other);
	sync_now(f);
	expect("idle and clean: read, synced, nothing written", 0, 0, 0, 0);
	write_at(f, 0, 10);
	expect("the first write after a pause: the state", 0, 1, 0, 0);
	write_at(f, 100, 10);
	CHECK_EQ(cfile_truncate(f, 4000), 0);
	expect("the next ones", 0, 0, 0, 0);
	CHECK_EQ(store_checkpoint(kit.s), 0);
	start();
	CHECK_EQ(store_make_clean(kit.s), 0);
	expect("idle after a checkpoint: both slots of the clean state", 0, 2, 0, 0);
	write_at(f, 0, 10);
	sync_now(f);
	expect("write and fsync after a pause: state, log", 0, 2, 0, 0);
	cfile_put(f);
}

/* -- names ---------------------------------------------------------------- */

static char long_name[2][201];
static const struct out_who who; /* root, or ignored */

static void make_names(struct out *o)
{
	struct out_entry e, file;
	struct node *h;
	int late;

	CHECK_EQ(out_create(o, 1, "file", 0644, O_RDWR, &who, &file, &h), 0);
	out_release(o, h, O_RDWR);
	CHECK_EQ(out_mkdir(o, 1, "dir", 0755, &who, &e), 0);
	CHECK_EQ(out_link(o, file.nodeid, e.nodeid, "link", &e), 0);
	CHECK_EQ(out_rename(o, 1, "file", 1, "renamed", 0), 0);
	CHECK_EQ(out_setxattr(o, file.nodeid, "user.x", "y", 1, 0), 0);
	CHECK_EQ(out_unlink(o, 1, "renamed", &late), 0);
	if (late >= 0)
		close(late);
	CHECK_EQ(out_symlink(o, 1, "symlink", "target", &who, &e), 0);
}

static void make_long_names(struct out *o)
{
	struct out_entry e;
	char target[3500];

	CHECK_EQ(out_mkdir(o, 1, long_name[0], 0755, &who, &e), 0);
	memset(target, 't', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	CHECK_EQ(out_symlink(o, 1, "far", target, &who, &e), 0);
	CHECK_EQ(out_rename(o, 1, "far", 1, long_name[1], 0), 0);
}

/* What cannot be made durable is not made, or not promised, then and ever after. */
static void fail_helpers(struct out *o)
{
	struct out_entry e;
	struct node *h;

	atomic_store(&dirs_fail, true);
	memset(long_name[0], 'e', 200);
	CHECK_EQ(out_mkdir(o, 1, long_name[0], 0755, &who, &e), -EIO);
	CHECK_EQ(out_lookup(o, 1, long_name[0], &e), -ENOENT);
	CHECK_EQ(out_mkdir(o, 1, "doubtful", 0755, &who, &e), 0);
	CHECK_EQ(out_create(o, e.nodeid, "in it", 0644, O_RDWR, &who, &e, &h), 0);
	CHECK_EQ(out_fsync(o, h, true), -EIO);
	atomic_store(&dirs_fail, false);
	CHECK_EQ(out_fsync(o, h, true), -EIO);
	CHECK_EQ(out_fsyncdir(o, 1), -EIO);
	out_release(o, h, O_RDWR);
}

static void test_names(bool ordered)
{
	struct name_keys keys = { .vol_id = { 1 }, .nm = { 2 }, .ne = { 3 } };
	struct out_params p = { .store = kit.s, .quota = kit.quota, .keys = &keys };
	unsigned helpers = ordered ? 0 : 3, ids = ordered ? 0 : 2;
	struct err err = { 0 };
	struct out_entry e;
	struct node *h;
	struct out *o;

	memset(long_name[0], ordered ? 'a' : 'b', 200);
	memset(long_name[1], ordered ? 'c' : 'd', 200);
	CHECK_EQ(out_new(&p, &o, &err), 0);
	o->sides.ordered = ordered;
	start();
	CHECK_EQ(out_mkdir(o, 1, "first", 0755, &who, &e), 0);
	expect("the first mkdir after a pause: the state, and the id later", 0, 1, 0, 0);
	CHECK_EQ(out_fsyncdir(o, 1), 0);
	CHECK_EQ(out_create(o, 1, "marked", 0644, O_RDWR, &who, &e, &h), 0);
	out_release(o, h, O_RDWR);
	start();
	make_names(o);
	expect("create, mkdir, link, rename, xattr, unlink, symlink", 0, 0, 0, 0);
	make_long_names(o);
	expect("long names, a very long symlink", 0, 0, helpers, 0);
	CHECK_EQ(out_create(o, 1, "synced", 0644, O_RDWR, &who, &e, &h), 0);
	CHECK_EQ(out_fsync(o, h, true), 0);
	expect("fsync of a file, with ids of new directories", 1, 0, ids, 0);
	out_release(o, h, O_RDWR);
	CHECK_EQ(out_fsyncdir(o, 1), 0);
	expect("fsync of a directory", 0, 0, 1, 0);
	CHECK_EQ(out_mkdir(o, 1, "another", 0755, &who, &e), 0);
	CHECK_EQ(out_fsyncdir(o, 1), 0);
	expect("mkdir, fsync of the directory", 0, 0, ordered ? 1 : 2, 0);
	for (char name[8] = "many-a"; name[5] < 'a' + 12; name[5]++)
		CHECK_EQ(out_mkdir(o, 1, name, 0755, &who, &e), 0);
	CHECK_EQ(out_fsyncdir(o, 1), 0);
	expect("many mkdirs, fsync of the directory", 0, 0, 1, ordered ? 0 : 1);
	if (!ordered)
		fail_helpers(o);
	out_free(o);
}

static void note_log(void)
{
	struct stat st;

	CHECK_EQ(fstat(kit.s->log_fd, &st), 0);
	log_ino = st.st_ino;
}

static void clear_tree(void)
{
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
	kit_start(&kit, SUITE_XCHACHA20, RING, kit_numbered_io(0));
	open_quiet();
	note_log();
}

int main(void)
{
	kit_start(&kit, SUITE_XCHACHA20, RING, kit_numbered_io(0));
	open_quiet();
	note_log();
	test_new_file();
	test_durable_file();
	test_rewritten_file();
	test_crowd();
	test_whole_store();
	test_idle();
	clear_tree();
	test_names(true);
	clear_tree();
	test_names(false);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
	return check_report();
}
