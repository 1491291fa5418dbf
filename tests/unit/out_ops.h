/* Every kind of change of the outputs, on a small tree that has something of everything. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/out.h"
#include "fs/store.h"
#include "fs/store_priv.h"
#include "tests/check.h"
#include "tests/unit/fault_kit.h"
#include "tests/unit/out_view.h"

struct scene {
	struct out *o;
	struct store *s;
	bool flat; /* no xattrs here */
	bool root; /* owners can be given */
};

enum {
	OP_DATA = 1,  /* may be done in part: a write that is short */
	OP_LAZY = 32, /* of the contents: a crash may take it back */
	OP_MANY = 64, /* several changes of the store: a dying disk may let some of them stand */
	OP_ROOT = 2,  /* gives something to somebody else */
	OP_XATTR = 4, /* needs xattrs in the store */
	OP_MAKES = 8, /* makes a name */
	OP_SYNCS = 16 /* asks for a sync of the store */
};

struct op {
	const char *name;
	int (*run)(struct scene *c);
	unsigned flags;
};

static char ops_data[300000];
static char long_a[201], long_b[201], far_target[3501];
static struct out_who ops_me, ops_other = { 1234, 1235 };

static void ops_init(void)
{
	memset(long_a, 'a', sizeof(long_a) - 1);
	memset(long_b, 'b', sizeof(long_b) - 1);
	memset(far_target, 't', sizeof(far_target) - 1);
	for (size_t i = 0; i < sizeof(ops_data); i++)
		ops_data[i] = (char)(i * 7 + i / 4096);
	ops_me = (struct out_who){ geteuid(), getegid() };
}

/* -- helpers: each does one call of the layer ----------------------------- */

static int find(struct scene *c, const char *path, uint64_t *ret)
{
	char copy[600], *save = NULL;
	struct out_entry e = { .nodeid = 1 };
	int r = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *part = strtok_r(copy, "/", &save); part && r == 0;
	     part = strtok_r(NULL, "/", &save))
		r = out_lookup(c->o, e.nodeid, part, &e);
	*ret = e.nodeid;
	return r;
}

static int in_dir(struct scene *c, const char *dir, const char *name,
		  int (*fn)(struct out *, uint64_t, const char *))
{
	uint64_t id;
	int r = find(c, dir, &id);

	return r < 0 ? r : fn(c->o, id, name);
}

static int make(struct scene *c, const char *name, mode_t mode, const struct out_who *who,
		size_t len)
{
	struct out_entry e;
	struct node *h;
	ssize_t n = 0;
	int r = out_create(c->o, 1, name, mode, O_RDWR | O_EXCL, who, &e, &h);

	if (r < 0)
		return r;
	if (len > 0)
		n = out_write(h, ops_data, len, 0);
	out_release(c->o, h, O_RDWR);
	return n < 0 ? (int)n : (size_t)n < len ? -EAGAIN : 0;
}

static int make_dir(struct scene *c, const char *name, mode_t mode, const struct out_who *who)
{
	struct out_entry e;

	return out_mkdir(c->o, 1, name, mode, who, &e);
}

static int make_node(struct scene *c, const char *name, mode_t mode, const struct out_who *who)
{
	struct out_entry e;

	return out_mknod(c->o, 1, name, mode, who, &e);
}

static int make_link(struct scene *c, const char *name, const char *target,
		     const struct out_who *who)
{
	struct out_entry e;

	return out_symlink(c->o, 1, name, target, who, &e);
}

static int hard_link(struct scene *c, const char *path, const char *name)
{
	struct out_entry e;
	uint64_t id;
	int r = find(c, path, &id);

	return r < 0 ? r : out_link(c->o, id, 1, name, &e);
}

static int move(struct scene *c, const char *name, const char *newname, unsigned flags)
{
	return out_rename(c->o, 1, name, 1, newname, flags);
}

static int unlink_one(struct out *o, uint64_t dir, const char *name)
{
	int late = -1, r = out_unlink(o, dir, name, &late);

	if (late >= 0)
		close(late);
	return r;
}

static int set_attr(struct scene *c, const char *path, const struct out_attr *a)
{
	struct stat st;
	uint64_t id;
	int r = find(c, path, &id);

	return r < 0 ? r : out_setattr(c->o, id, a, &st);
}

static int change_mode(struct scene *c, const char *path, mode_t mode)
{
	return set_attr(c, path, &(struct out_attr){ .valid = OUT_SET_MODE, .mode = mode });
}

static int change_time(struct scene *c, const char *path, time_t t)
{
	return set_attr(c, path,
			&(struct out_attr){ .valid = OUT_SET_ATIME | OUT_SET_MTIME,
					    .atime = { t, 1 },
					    .mtime = { t, 2 } });
}

static int change_size(struct scene *c, const char *path, uint64_t size, unsigned more)
{
	return set_attr(c, path,
			&(struct out_attr){ .valid = OUT_SET_SIZE | more,
					    .size = size,
					    .mode = 0604,
					    .mtime = { 5000, 5 } });
}

static int change_owner(struct scene *c, const char *path, unsigned more)
{
	return set_attr(c, path,
			&(struct out_attr){ .valid = OUT_SET_OWNER | more,
					    .uid = ops_other.uid,
					    .gid = ops_other.gid,
					    .mode = 0700,
					    .atime = { 6000, 5 },
					    .mtime = { 6000, 5 } });
}

static int set_xattr(struct scene *c, const char *path, const char *name, const char *value,
		     size_t len)
{
	uint64_t id;
	int r = find(c, path, &id);

	return r < 0 ? r : out_setxattr(c->o, id, name, value, len, 0);
}

static int del_xattr(struct scene *c, const char *path, const char *name)
{
	uint64_t id;
	int r = find(c, path, &id);

	return r < 0 ? r : out_removexattr(c->o, id, name);
}

/* Open, 'len' bytes at 'off', then what 'fn' does, close. */
static int write_in(struct scene *c, const char *path, int flags, size_t len, uint64_t off,
		    int (*fn)(struct scene *c, struct node *h))
{
	struct node *h;
	ssize_t n = 0;
	uint64_t id;
	int r = find(c, path, &id);

	if (r == 0)
		r = out_open(c->o, id, O_RDWR | flags, &h);
	if (r < 0)
		return r;
	if (len > 0)
		n = out_write(h, ops_data, len, off);
	r = n < 0 ? (int)n : (size_t)n < len ? -EAGAIN : 0;
	if (r == 0 && fn)
		r = fn(c, h);
	out_release(c->o, h, O_RDWR | flags);
	return r;
}

/* -- the tree ------------------------------------------------------------- */

static void times_long_ago(struct scene *c, uint64_t dir)
{
	char *names[VIEW_NAMES];
	struct out_entry e;
	struct stat st;
	int n = view_list(c->o, dir, names);

	for (int i = 0; i < n; i++) {
		struct out_attr a = { .valid = OUT_SET_ATIME | OUT_SET_MTIME,
				      .atime = { 1000 + i, 7 },
				      .mtime = { 2000 + i, 8 } };

		CHECK_EQ(out_lookup(c->o, dir, names[i], &e), 0);
		if (S_ISDIR(e.st.st_mode))
			times_long_ago(c, e.nodeid);
		CHECK_EQ(out_setattr(c->o, e.nodeid, &a, &st), 0);
		out_forget(c->o, e.nodeid, 1);
		free(names[i]);
	}
}

/* What an operation leaves where the sidecar could not be removed. */
static void make_strays(struct scene *c, const char *dir)
{
	struct out_entry d, e;
	char name[201];

	memset(name, 's', 200);
	name[200] = '\0';
	CHECK_EQ(out_mkdir(c->o, 1, dir, 0755, &ops_me, &d), 0);
	CHECK_EQ(out_mknod(c->o, d.nodeid, name, S_IFIFO | 0600, &ops_me, &e), 0);
	CHECK_EQ(store_begin_change_of(c->s, e.st.st_ino), 0); /* what it would need first */
	store_end_change(c->s);
	fault_arm(FAULT_ONCE, 2, EIO);
	CHECK_EQ(unlink_one(c->o, d.nodeid, name), 0);
	CHECK(fault.fired);
	fault_disarm();
}

static void make_tree(struct scene *c)
{
	struct out_entry e;
	uint64_t id;

	CHECK_EQ(make(c, "file", 0644, &ops_me, 200000), 0);
	CHECK_EQ(make(c, "small", 0600, &ops_me, 9000), 0);
	CHECK_EQ(make(c, "none", 0644, &ops_me, 0), 0);
	CHECK_EQ(make(c, long_a, 0644, &ops_me, 100), 0);
	CHECK_EQ(hard_link(c, "small", "second"), 0);
	CHECK_EQ(make_dir(c, "dir", 0755, &ops_me), 0);
	CHECK_EQ(make_dir(c, "empty", 0755, &ops_me), 0);
	make_strays(c, "strays");
	CHECK_EQ(find(c, "dir", &id), 0);
	CHECK_EQ(out_mknod(c->o, id, "inner", S_IFREG | 0640, &ops_me, &e), 0);
	CHECK_EQ(write_in(c, "dir/inner", 0, 5000, 0, NULL), 0);
	CHECK_EQ(make_link(c, "link", "short", &ops_me), 0);
	CHECK_EQ(make_link(c, "far", far_target, &ops_me), 0);
	CHECK_EQ(make_node(c, "fifo", S_IFIFO | 0640, &ops_me), 0);
	CHECK_EQ(make_node(c, "sock", S_IFSOCK | 0640, &ops_me), 0);
	if (!c->flat) {
		CHECK_EQ(make(c, "suid", 06755, &ops_me, 300), 0);
		CHECK_EQ(make_dir(c, "sgid", 02777, &ops_me), 0);
		CHECK_EQ(set_xattr(c, "file", "user.a", "of the file", 11), 0);
		CHECK_EQ(set_xattr(c, "dir", "user.a", "of the directory", 16), 0);
	}
	CHECK_EQ(write_in(c, "file", 0, 5000, 250000, NULL), 0); /* with a hole */
	times_long_ago(c, 1);
}

/* One operation. */
#define RUN(name, call)                                                                            \
	static int op_##name(struct scene *c)                                                      \
	{                                                                                          \
		return call;                                                                       \
	}

/* -- operations: names ---------------------------------------------------- */

RUN(create, make(c, "new", 0644, &ops_me, 0))
RUN(create_long, make(c, long_b, 0644, &ops_me, 0))
RUN(create_marked, make(c, "new", 04711, &ops_me, 0))
RUN(create_owner, make(c, long_b, 04711, &ops_other, 0))
RUN(create_write, make(c, "new", 0644, &ops_me, 300000))
RUN(mkdir, make_dir(c, "new", 0700, &ops_me))
RUN(mkdir_mode, make_dir(c, "new", 0750, &ops_me))
RUN(mkdir_long, make_dir(c, long_b, 0755, &ops_me))
RUN(mkdir_marked, make_dir(c, "new", 01777, &ops_me))
RUN(mkdir_owner, make_dir(c, long_b, 02775, &ops_other))
RUN(mknod, make_node(c, "new", S_IFREG | 0600, &ops_me))
RUN(mknod_marked, make_node(c, long_b, 02755, &ops_me))
RUN(fifo, make_node(c, "new", S_IFIFO | 0600, &ops_me))
RUN(fifo_owner, make_node(c, long_b, S_IFIFO, &ops_other))
RUN(socket, make_node(c, long_b, S_IFSOCK, &ops_me))
RUN(symlink, make_link(c, "new", "there", &ops_me))
RUN(symlink_far, make_link(c, "new", far_target, &ops_me))
RUN(symlink_all, make_link(c, long_b, far_target, &ops_other))
RUN(link, hard_link(c, "file", "new"))
RUN(link_long, hard_link(c, "small", long_b))
RUN(link_symlink, hard_link(c, "far", "new"))
RUN(link_fifo, hard_link(c, "fifo", long_b))

static int op_create_sgid(struct scene *c)
{
	struct out_entry e;
	struct node *h;
	uint64_t id;
	int r = find(c, "sgid", &id);

	if (r == 0)
		r = out_create(c->o, id, "new", 0644, O_RDWR, &ops_me, &e, &h);
	if (r == 0)
		out_release(c->o, h, O_RDWR);
	return r;
}

static int op_tmpfile(struct scene *c)
{
	struct out_entry e;
	struct node *h;
	int r = out_tmpfile(c->o, 1, 02711, O_RDWR, &ops_me, &e, &h);

	if (r < 0)
		return r;
	r = (int)out_write(h, ops_data, 5000, 0);
	out_release(c->o, h, O_RDWR);
	return r < 0 ? r : 0;
}

static int op_tmpfile_link(struct scene *c)
{
	struct out_entry e, l;
	struct node *h;
	int r = out_tmpfile(c->o, 1, 0644, O_RDWR, &ops_me, &e, &h);

	if (r < 0)
		return r;
	r = (int)out_write(h, ops_data, 5000, 0);
	if (r >= 0)
		r = r < 5000 ? -EAGAIN : out_link(c->o, e.nodeid, 1, long_b, &l);
	out_release(c->o, h, O_RDWR);
	return r;
}

RUN(rename, move(c, "file", "new", 0))
RUN(rename_long, move(c, "file", long_b, 0))
RUN(rename_short, move(c, long_a, "new", 0))
RUN(rename_longs, move(c, long_a, long_b, RENAME_NOREPLACE))
RUN(rename_dir, move(c, "dir", long_b, 0))
RUN(replace, move(c, "small", "file", 0))
RUN(replace_long, move(c, "none", long_a, 0))
RUN(replace_by_long, move(c, long_a, "far", 0))
RUN(replace_fifo, move(c, "link", "fifo", 0))
RUN(replace_dir, move(c, "dir", "empty", 0))
RUN(replace_strays, move(c, "dir", "strays", 0))
RUN(replace_linked, move(c, "file", "second", 0))
RUN(exchange, move(c, "file", long_a, RENAME_EXCHANGE))
RUN(exchange_dir, move(c, "dir", "far", RENAME_EXCHANGE))

static int op_rename_into(struct scene *c)
{
	uint64_t id;
	int r = find(c, "dir", &id);

	return r < 0 ? r : out_rename(c->o, 1, long_a, id, "inner", 0);
}

/* As programs save a file. */
static int op_save(struct scene *c)
{
	int r = make(c, "new", 0644, &ops_me, 70000);

	if (r == 0)
		r = move(c, "new", "file", 0);
	if (r < 0)
		(void)unlink_one(c->o, 1, "new");
	return r;
}

RUN(unlink, unlink_one(c->o, 1, "file"))
RUN(unlink_linked, unlink_one(c->o, 1, "small"))
RUN(unlink_long, unlink_one(c->o, 1, long_a))
RUN(unlink_far, unlink_one(c->o, 1, "far"))
RUN(unlink_fifo, unlink_one(c->o, 1, "fifo"))
RUN(unlink_inner, in_dir(c, "dir", "inner", unlink_one))
RUN(rmdir, out_rmdir(c->o, 1, "empty"))
RUN(rmdir_strays, out_rmdir(c->o, 1, "strays"))

static int unlink_small(struct scene *c, struct node *h)
{
	int r = unlink_one(c->o, 1, "none");

	if (r == 0)
		(void)out_write(h, ops_data, 3000, 0); /* nobody will miss it */
	return r;
}

RUN(unlink_open, write_in(c, "none", 0, 0, 0, unlink_small))

/* -- operations: attributes ----------------------------------------------- */

RUN(xattr, set_xattr(c, "file", "user.b", "new", 3))
RUN(xattr_again, set_xattr(c, "file", "user.a", "x", 1))
RUN(xattr_dir, set_xattr(c, "dir", "user.b", "new", 3))
RUN(xattr_big, set_xattr(c, "none", "user.c", ops_data, 3000))
RUN(unxattr, del_xattr(c, "file", "user.a"))
RUN(unxattr_dir, del_xattr(c, "dir", "user.a"))
RUN(chmod, change_mode(c, "file", 0600))
RUN(chmod_mark, change_mode(c, "file", 04755))
RUN(chmod_marked, change_mode(c, "suid", 02750))
RUN(chmod_unmark, change_mode(c, "suid", 0755))
RUN(chmod_dir, change_mode(c, "dir", 01777))
RUN(chmod_fifo, change_mode(c, "fifo", 0666))
RUN(chown, change_owner(c, "file", 0))
RUN(chown_suid, change_owner(c, "suid", 0))
RUN(chown_dir, change_owner(c, "dir", OUT_SET_MODE))
RUN(chown_link, change_owner(c, "link", 0))
RUN(utimens, change_time(c, "file", 4000))
RUN(utimens_dir, change_time(c, "dir", 4000))
RUN(utimens_link, change_time(c, "link", 4000))
RUN(cut, change_size(c, "file", 70001, 0))
RUN(cut_time, change_size(c, "file", 0, OUT_SET_MTIME))
RUN(cut_mode, change_size(c, "suid", 100, OUT_SET_MODE))
RUN(grow, change_size(c, "small", 500000, OUT_SET_MTIME))

static int op_chown_all(struct scene *c)
{
	return change_owner(c, "fifo", OUT_SET_MODE | OUT_SET_ATIME | OUT_SET_MTIME);
}

static int op_chmod_all(struct scene *c)
{
	return set_attr(c, "file",
			&(struct out_attr){ .valid = OUT_SET_MODE | OUT_SET_ATIME | OUT_SET_MTIME,
					    .mode = 02711,
					    .atime = { 6000, 5 },
					    .mtime = { 6000, 5 } });
}

static int chmod_it(struct scene *c, struct node *h)
{
	return change_mode(c, "file", 04700);
}

RUN(chmod_open, write_in(c, "file", 0, 0, 0, chmod_it))

/* -- operations: contents ------------------------------------------------- */

static int sync_it(struct scene *c, struct node *h)
{
	return out_fsync(c->o, h, true);
}

static int punch_it(struct scene *c, struct node *h)
{
	return out_fallocate(h, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 100000);
}

static int cut_open(struct scene *c, struct node *h)
{
	return change_size(c, "file", 1234, OUT_SET_MTIME);
}

RUN(append, write_in(c, "file", 0, 300000, 255000, NULL))
RUN(overwrite, write_in(c, "file", 0, 50000, 1000, NULL))
RUN(fill_hole, write_in(c, "file", 0, 70000, 190000, NULL))
RUN(write_sync, write_in(c, "file", 0, 9000, 100, sync_it))
RUN(append_sync, write_in(c, "none", 0, 90000, 0, sync_it))
RUN(trunc, write_in(c, "file", O_TRUNC, 0, 0, NULL))
RUN(rewrite, write_in(c, "file", O_TRUNC, 99999, 0, NULL))
RUN(punch, write_in(c, "file", 0, 0, 0, punch_it))
RUN(cut_open, write_in(c, "file", 0, 0, 0, cut_open))
RUN(fsyncdir, out_fsyncdir(c->o, 1))

static int op_checkpoint(struct scene *c)
{
	int r = write_in(c, "file", 0, 50000, 1000, NULL);

	if (r == 0)
		r = change_size(c, "small", 100, 0);
	return r < 0 ? r : store_checkpoint(c->s);
}

#define OP(name, flags)                                                                            \
	{                                                                                          \
#name, op_##name, flags                                                            \
	}
static const struct op ops[] = {
	OP(create, OP_MAKES),
	OP(create_long, OP_MAKES),
	OP(create_marked, OP_MAKES | OP_XATTR),
	OP(create_owner, OP_MAKES | OP_ROOT | OP_XATTR),
	OP(create_sgid, OP_MAKES | OP_XATTR),
	OP(create_write, OP_MAKES | OP_DATA),
	OP(mkdir, OP_MAKES),
	OP(mkdir_mode, OP_MAKES),
	OP(mkdir_long, OP_MAKES),
	OP(mkdir_marked, OP_MAKES | OP_XATTR),
	OP(mkdir_owner, OP_MAKES | OP_ROOT | OP_XATTR),
	OP(mknod, OP_MAKES),
	OP(mknod_marked, OP_MAKES | OP_XATTR),
	OP(fifo, OP_MAKES),
	OP(fifo_owner, OP_MAKES | OP_ROOT),
	OP(socket, OP_MAKES),
	OP(symlink, OP_MAKES),
	OP(symlink_far, OP_MAKES),
	OP(symlink_all, OP_MAKES | OP_ROOT),
	OP(link, OP_MAKES),
	OP(link_long, OP_MAKES),
	OP(link_symlink, OP_MAKES),
	OP(link_fifo, OP_MAKES),
	OP(tmpfile, OP_XATTR),
	OP(tmpfile_link, OP_MAKES),
	OP(rename, 0),
	OP(rename_long, 0),
	OP(rename_short, 0),
	OP(rename_longs, 0),
	OP(rename_dir, 0),
	OP(rename_into, 0),
	OP(replace, 0),
	OP(replace_long, 0),
	OP(replace_by_long, 0),
	OP(replace_fifo, 0),
	OP(replace_dir, 0),
	OP(replace_strays, 0),
	OP(replace_linked, 0),
	OP(exchange, 0),
	OP(exchange_dir, 0),
	OP(save, OP_DATA | OP_MAKES),
	OP(unlink, 0),
	OP(unlink_linked, 0),
	OP(unlink_long, 0),
	OP(unlink_far, 0),
	OP(unlink_fifo, 0),
	OP(unlink_inner, 0),
	OP(unlink_open, 0),
	OP(rmdir, 0),
	OP(rmdir_strays, 0),
	OP(xattr, OP_XATTR),
	OP(xattr_again, OP_XATTR),
	OP(xattr_dir, OP_XATTR),
	OP(xattr_big, OP_XATTR),
	OP(unxattr, OP_XATTR),
	OP(unxattr_dir, OP_XATTR),
	OP(chmod, 0),
	OP(chmod_mark, OP_XATTR),
	OP(chmod_marked, OP_XATTR | OP_MANY),
	OP(chmod_unmark, OP_XATTR),
	OP(chmod_dir, OP_XATTR),
	OP(chmod_fifo, 0),
	OP(chmod_all, OP_XATTR | OP_MANY),
	OP(chmod_open, OP_XATTR),
	OP(chown, OP_ROOT),
	OP(chown_suid, OP_ROOT | OP_XATTR | OP_MANY),
	OP(chown_dir, OP_ROOT | OP_MANY),
	OP(chown_link, OP_ROOT),
	OP(chown_all, OP_ROOT | OP_MANY),
	OP(utimens, 0),
	OP(utimens_dir, 0),
	OP(utimens_link, 0),
	OP(cut, OP_LAZY),
	OP(cut_time, OP_LAZY),
	OP(cut_mode, OP_XATTR | OP_LAZY | OP_MANY),
	OP(cut_open, OP_LAZY),
	OP(grow, OP_LAZY),
	OP(append, OP_DATA),
	OP(overwrite, OP_DATA),
	OP(fill_hole, OP_DATA),
	OP(write_sync, OP_DATA),
	OP(append_sync, OP_DATA),
	OP(trunc, OP_LAZY),
	OP(rewrite, OP_DATA),
	OP(punch, OP_DATA),
	OP(fsyncdir, 0),
	OP(checkpoint, OP_DATA),
};
