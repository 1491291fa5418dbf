/* Clean while idle (doc/format.md 6.3): what changes the store opens the gate, what only looks
 * leaves it shut, and what lies on the disk while it is shut opens without recovery, with the right
 * sums. */
#include <dirent.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "fs/name.h"
#include "fs/out_int.h"
#include "fs/store_priv.h"
#include "tests/unit/store_kit.h"

#define RING 512u

static struct kit kit;
static struct out *o;
static const struct out_who who;
static struct name_keys keys = { .vol_id = { 1 }, .nm = { 2 }, .ne = { 3 } };
static uint64_t file_id, dir_id; /* nodes */
static struct node *handle;      /* of the file, for writing */
static uint8_t data[100000];

static bool shut(void)
{
	return atomic_load(&kit.s->shut);
}

/* -- a crash -------------------------------------------------------------- */

/* The store as it lies there now, opened by somebody else: how many lines recovery wrote. */
static unsigned after_crash(struct quota_usage *ret)
{
	char cmd[1200];
	struct kit k = { 0 };
	unsigned lines;

	snprintf(k.dir, sizeof(k.dir), "%.200s-crash", kit.dir);
	snprintf(cmd, sizeof(cmd), "cp -a --sparse=always '%s' '%s'", kit.dir, k.dir);
	CHECK_EQ(system(cmd), 0);
	CHECK_EQ(quota_new(0, 0, &k.quota), 0);
	kit_params(&k, SUITE_XCHACHA20, NULL);
	kit_open_dir(&k);
	CHECK_EQ(kit_store_open(&k), 0);
	quota_get(k.quota, ret);
	lines = k.lines;
	CHECK_EQ(kit_close(&k), 0);
	kit_end(&k);
	return lines;
}

/* -- what is a change ----------------------------------------------------- */

static void put_handle(int r, struct node *h, int flags)
{
	if (r == 0)
		out_release(o, h, flags);
}

static void op_create(void)
{
	struct out_entry e;
	struct node *h;
	int r = out_create(o, 1, "new", 0644, O_RDWR, &who, &e, &h);

	CHECK_EQ(r, 0);
	put_handle(r, h, O_RDWR);
}

static void op_mkdir(void)
{
	struct out_entry e;

	CHECK_EQ(out_mkdir(o, 1, "newdir", 0755, &who, &e), 0);
}

static void op_mknod(void)
{
	struct out_entry e;

	CHECK_EQ(out_mknod(o, 1, "fifo", S_IFIFO | 0644, &who, &e), 0);
}

static void op_symlink(void)
{
	struct out_entry e;

	CHECK_EQ(out_symlink(o, 1, "symlink", "target", &who, &e), 0);
}

static void op_link(void)
{
	struct out_entry e;

	CHECK_EQ(out_link(o, file_id, 1, "link", &e), 0);
}

static void op_rename(void)
{
	CHECK_EQ(out_rename(o, 1, "link", 1, "link2", 0), 0);
}

static void op_unlink(void)
{
	int late;

	CHECK_EQ(out_unlink(o, 1, "new", &late), 0);
	out_close_late(o, late);
}

static void op_rmdir(void)
{
	CHECK_EQ(out_rmdir(o, 1, "newdir"), 0);
}

static void op_chmod(void)
{
	const struct out_attr a = { .valid = OUT_SET_MODE, .mode = 0600 };
	struct stat st;

	CHECK_EQ(out_setattr(o, dir_id, &a, &st), 0);
}

static void op_time(void)
{
	static time_t when = 12345;
	const struct out_attr a = { .valid = OUT_SET_MTIME, .mtime = { .tv_sec = when++ } };
	struct stat st;

	CHECK_EQ(out_setattr(o, file_id, &a, &st), 0);
}

static void op_size(void)
{
	const struct out_attr a = { .valid = OUT_SET_SIZE, .size = 5000 };
	struct stat st;

	CHECK_EQ(out_setattr(o, file_id, &a, &st), 0);
}

static void op_write(void)
{
	CHECK_EQ(out_write(handle, data, 5000, 300), 5000);
}

static void op_punch(void)
{
	CHECK_EQ(out_fallocate(handle, 3, 0, 4096), 0);
}

static void op_trunc(void)
{
	struct node *h;
	int r = out_open(o, file_id, O_WRONLY | O_TRUNC, &h);

	CHECK_EQ(r, 0);
	put_handle(r, h, O_WRONLY);
}

static void op_setxattr(void)
{
	CHECK_EQ(out_setxattr(o, file_id, "user.a", "b", 1, 0), 0);
}

static void op_removexattr(void)
{
	CHECK_EQ(out_removexattr(o, file_id, "user.a"), 0);
}

static void op_tmpfile(void)
{
	struct out_entry e;
	struct node *h;
	int r = out_tmpfile(o, 1, 0644, O_RDWR, &who, &e, &h);

	CHECK_EQ(r, 0);
	put_handle(r, h, O_RDWR);
}

/* Strict mode: the time of a write is shown after the fact. */
static void op_show_time(void)
{
	struct stat st;

	atomic_store(&handle->written, true);
	out_set_strict(o, true);
	CHECK_EQ(out_getattr(o, file_id, &st), 0);
	out_set_strict(o, false);
}

static void op_counter(void)
{
	CHECK_EQ(store_set_conf_counter(kit.s, kit.p.conf_counter), 0);
}

/* -- what is none --------------------------------------------------------- */

static void op_read(void)
{
	uint8_t buf[100];
	struct node *h;

	CHECK_EQ(out_open(o, file_id, O_RDONLY, &h), 0);
	CHECK(out_read(h, buf, sizeof(buf), 0) >= 0);
	out_release(o, h, O_RDONLY);
}

/* Of what a checkpoint made durable. */
static void op_fsync(void)
{
	CHECK_EQ(out_fsync(o, handle, false), 0);
}

/* A descriptor that could write, but did not. */
static void op_open_close(void)
{
	struct node *h;

	CHECK_EQ(out_open(o, file_id, O_RDWR, &h), 0);
	out_release(o, h, O_RDWR);
}

static void op_look(void)
{
	struct out_entry e;
	struct statvfs v;
	struct stat st;
	char buf[100];

	CHECK_EQ(out_lookup(o, 1, "file", &e), 0);
	CHECK_EQ(out_getattr(o, file_id, &st), 0);
	CHECK_EQ(out_statfs(o, &v), 0);
	CHECK_EQ(out_getxattr(o, file_id, "user.none", buf, sizeof(buf)), -ENODATA);
	CHECK(out_listxattr(o, file_id, buf, sizeof(buf)) >= 0);
	CHECK_EQ(out_fsyncdir(o, 1), 0);
}

static void op_list(void)
{
	struct out_dirent d;
	struct out_dirit it;

	CHECK_EQ(out_dir_begin(o, 1, 0, &it), 0);
	while (out_dir_next(&it, &d))
		;
	out_dir_end(&it);
}

/* The kernel tells times once more that are what they are. */
static void op_same_time(void)
{
	struct out_attr a = { .valid = OUT_SET_MTIME };
	struct stat st;

	CHECK_EQ(out_getattr(o, file_id, &st), 0);
	a.mtime = st.st_mtim;
	CHECK_EQ(out_setattr(o, file_id, &a, &st), 0);
}

static void op_refused(void)
{
	struct out_entry e;
	int late;

	CHECK_EQ(out_mkdir(o, 1, "dir", 0755, &who, &e), -EEXIST);
	CHECK_EQ(out_unlink(o, 1, "missing", &late), -ENOENT);
	CHECK_EQ(out_rename(o, 1, "missing", 1, "x", 0), -ENOENT);
	CHECK_EQ(out_rename(o, 1, "file", 1, "file", 0), 0);
}

static const struct row {
	const char *name;
	void (*fn)(void);
	bool change;
} rows[] = {
	{ "read", op_read, false },
	{ "open to write, close", op_open_close, false },
	{ "lookup, getattr, statfs, xattrs", op_look, false },
	{ "list", op_list, false },
	{ "fsync of what is durable", op_fsync, false },
	{ "the same time", op_same_time, false },
	{ "refused", op_refused, false },
	{ "create", op_create, true },
	{ "mkdir", op_mkdir, true },
	{ "mknod", op_mknod, true },
	{ "symlink", op_symlink, true },
	{ "link", op_link, true },
	{ "rename", op_rename, true },
	{ "unlink", op_unlink, true },
	{ "rmdir", op_rmdir, true },
	{ "chmod", op_chmod, true },
	{ "times", op_time, true },
	{ "write", op_write, true },
	{ "size", op_size, true },
	{ "punch", op_punch, true },
	{ "O_TRUNC", op_trunc, true },
	{ "setxattr", op_setxattr, true },
	{ "removexattr", op_removexattr, true },
	{ "tmpfile", op_tmpfile, true },
	{ "time shown late", op_show_time, true },
	{ "config counter", op_counter, true },
};

static void test_rows(void)
{
	struct quota_usage now, later;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_EQ(store_make_clean(kit.s), 0);
		CHECK(shut());
		rows[i].fn();
		if (shut() == rows[i].change)
			fprintf(stderr, "%s: the gate is %s\n", rows[i].name,
				shut() ? "shut" : "open");
		CHECK_EQ(shut(), !rows[i].change);
		CHECK_EQ(kit.s->log.st.clean, !rows[i].change);
		/* A crash after it needs recovery; one in the next pause does not, and the sums
		 * hold. */
		CHECK_EQ(after_crash(&later) > 0, rows[i].change);
		CHECK_EQ(store_make_clean(kit.s), 0);
		quota_get(kit.quota, &now);
		CHECK_EQ(after_crash(&later), 0);
		CHECK_EQ(later.bytes, now.bytes);
		CHECK_EQ(later.files, now.files);
	}
}

/* A directory whose id a crash took is given one when it is met: that is a change, too. */
static void test_late_id(void)
{
	struct out_entry e, found;
	struct dirent *d;
	DIR *dir;

	CHECK_EQ(out_mkdir(o, 1, "only", 0755, &who, &e), 0);
	dir = fdopendir(openat(kit.dirfd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	CHECK_EQ(store_begin_change(kit.s), 0);
	while ((d = readdir(dir))) {
		struct stat st;
		int fd = openat(kit.tree, d->d_name, O_RDONLY | O_DIRECTORY | O_NONBLOCK);

		if (d->d_name[0] != '.' && fd >= 0 && fstat(fd, &st) == 0 &&
		    st.st_ino == e.st.st_ino)
			CHECK_EQ(fremovexattr(fd, DIRID_XATTR), 0);
		if (fd >= 0)
			close(fd);
	}
	closedir(dir);
	store_end_change(kit.s);
	out_reset(o);
	CHECK_EQ(store_make_clean(kit.s), 0);
	CHECK_EQ(out_lookup(o, 1, "only", &e), 0);
	CHECK(shut());
	CHECK_EQ(out_lookup(o, e.nodeid, "nothing", &found), -ENOENT);
	CHECK(!shut());
}

/* -- unlinked and open ---------------------------------------------------- */

static void test_unlinked(void)
{
	struct quota_usage before, open, crashed;
	struct out_entry e;
	struct node *h;
	int late;

	quota_get(kit.quota, &before);
	CHECK_EQ(out_create(o, 1, "temporary", 0600, O_RDWR, &who, &e, &h), 0);
	CHECK_EQ(out_write(h, data, sizeof(data), 0), (ssize_t)sizeof(data));
	CHECK_EQ(out_unlink(o, 1, "temporary", &late), 0);
	out_close_late(o, late);
	CHECK_EQ(store_make_clean(kit.s), 0);
	quota_get(kit.quota, &open);
	CHECK(open.bytes > before.bytes + sizeof(data));
	CHECK_EQ(open.files, before.files + 1);
	/* Gone after a crash, and not counted then; its last close is no change. */
	CHECK_EQ(after_crash(&crashed), 0);
	CHECK_EQ(crashed.bytes, before.bytes);
	CHECK_EQ(crashed.files, before.files);
	out_release(o, h, O_RDWR);
	out_forget(o, e.nodeid, 1);
	CHECK(shut());
	quota_get(kit.quota, &open);
	CHECK_EQ(open.bytes, before.bytes);
	/* Linked again it counts. */
	CHECK_EQ(out_tmpfile(o, 1, 0644, O_RDWR, &who, &e, &h), 0);
	CHECK_EQ(out_write(h, data, 9000, 0), 9000);
	CHECK_EQ(store_make_clean(kit.s), 0);
	CHECK_EQ(after_crash(&crashed), 0);
	CHECK_EQ(crashed.bytes, before.bytes);
	CHECK_EQ(out_link(o, e.nodeid, 1, "kept", &e), 0);
	CHECK(!shut());
	CHECK_EQ(store_make_clean(kit.s), 0);
	quota_get(kit.quota, &open);
	CHECK_EQ(after_crash(&crashed), 0);
	CHECK_EQ(crashed.bytes, open.bytes);
	CHECK_EQ(crashed.files, before.files + 1);
	out_release(o, h, O_RDWR);
}

/* -- the gate itself ------------------------------------------------------ */

/* Not clean while a change runs, nor right after one that ran beside the checkpoint. */
static void test_running(void)
{
	CHECK_EQ(store_make_clean(kit.s), 0);
	CHECK_EQ(store_begin_change(kit.s), 0);
	CHECK_EQ(store_make_clean(kit.s), -EBUSY);
	CHECK_EQ(store_begin_change(kit.s), 0); /* nested */
	store_end_change(kit.s);
	CHECK_EQ(store_sync(kit.s), 0);
	CHECK(!shut());
	store_end_change(kit.s);
	CHECK_EQ(store_make_clean(kit.s), 0);
	CHECK(shut());
}

static void start(uint32_t idle_ms)
{
	struct out_params p = { .store = NULL, .keys = &keys };
	struct err err = { 0 };

	kit_start(&kit, SUITE_XCHACHA20, RING, NULL);
	CHECK_EQ(kit_close(&kit), 0);
	kit.p.idle_ms = idle_ms;
	CHECK_EQ(kit_store_open(&kit), 0);
	p.store = kit.s;
	p.quota = kit.quota;
	CHECK_EQ(out_new(&p, &o, &err), 0);
}

static void end(void)
{
	out_free(o);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
}

/* The background does it by itself; again after the next change; the mount was clean before. */
static void test_background(void)
{
	struct quota_usage u;

	start(10);
	CHECK(shut());
	CHECK_EQ(after_crash(&u), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(store_begin_change(kit.s), 0);
		CHECK(!shut());
		store_end_change(kit.s);
		for (int k = 0; k < 3000 && !shut(); k++)
			usleep(10000);
		CHECK(shut());
		CHECK_EQ(after_crash(&u), 0);
	}
	end();
}

/* Recovery ends clean: a crash before the first change does not repeat it. */
static void test_after_recovery(void)
{
	struct quota_usage u;

	start(0);
	op_create();
	CHECK(!shut());
	out_free(o);
	store_abandon(kit.s);
	kit.lines = 0;
	CHECK_EQ(kit_store_open(&kit), 0);
	CHECK(kit.lines > 0);
	CHECK(shut());
	CHECK_EQ(after_crash(&u), 0);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
}

int main(void)
{
	struct out_entry e;

	test_background();
	test_after_recovery();
	start(0);
	store_bg_stop(kit.s);
	CHECK_EQ(out_mkdir(o, 1, "dir", 0755, &who, &e), 0);
	dir_id = e.nodeid;
	CHECK_EQ(out_create(o, 1, "file", 0644, O_RDWR, &who, &e, &handle), 0);
	file_id = e.nodeid;
	CHECK_EQ(out_write(handle, data, sizeof(data), 0), (ssize_t)sizeof(data));
	op_time(); /* as the kernel does after it */
	test_rows();
	test_unlinked();
	test_running();
	out_release(o, handle, O_RDWR);
	test_late_id();
	end();
	return check_report();
}
