/* Requests on the outputs mount, translated to fs/out.h.  Every operation replies exactly once, at
 * its bottom.  A reply that counted a lookup or a handle and did not reach the kernel (-ENOENT: the
 * request was interrupted) is taken back. */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "fs/ops_brake.h"
#include "fs/ops_reply.h"
#include "fs/out.h"
#include "fs/setid.h"

static struct out *layer(fuse_req_t req)
{
	return req_layer(req);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct out *o = session_layer(userdata);

	session_configure(conn, session_brake(userdata) != NULL, false);
	if (!session_will_idmap(userdata))
		out_without_idmap(o);
}

static struct fuse_entry_param entry_param(fuse_req_t req, const struct out_entry *e)
{
	return (struct fuse_entry_param){
		.ino = e->nodeid,
		.attr = e->st,
		.attr_timeout = attr_timeout(req, &e->st),
		.entry_timeout = TIMEOUT,
	};
}

static void reply_entry(fuse_req_t req, int r, const struct out_entry *e)
{
	struct out *o = layer(req);
	struct fuse_entry_param p;

	if (r < 0) {
		reply_code(req, r);
		return;
	}
	p = entry_param(req, e);
	if (fuse_reply_entry(req, &p) == -ENOENT)
		out_forget(o, e->nodeid, 1);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct out_entry e;
	int r = out_lookup(layer(req), parent, name, &e);

	if (r == -ENOENT) { /* the kernel may remember that */
		struct fuse_entry_param none = { .entry_timeout = TIMEOUT };

		fuse_reply_entry(req, &none);
		return;
	}
	reply_entry(req, r, &e);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	out_forget(layer(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *f)
{
	for (size_t i = 0; i < count; i++)
		out_forget(layer(req), f[i].ino, f[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int r;

	if (fi && handle_writes(fi) && brake_is_on(brake(req))) {
		ops_ask(req, ino);
		return;
	}
	r = out_getattr(layer(req), ino, &st);
	ops_reply_stat(req, r, &st);
}

static struct timespec set_time(struct timespec given, bool now)
{
	return now ? (struct timespec){ .tv_nsec = UTIME_NOW } : given;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	static const struct {
		int fuse;
		unsigned ours;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, OUT_SET_MODE },
		{ FUSE_SET_ATTR_UID, OUT_SET_UID },
		{ FUSE_SET_ATTR_GID, OUT_SET_GID },
		{ FUSE_SET_ATTR_SIZE, OUT_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, OUT_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, OUT_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, OUT_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME_NOW, OUT_SET_MTIME },
		{ FUSE_SET_ATTR_KILL_SUID, OUT_SET_STRIP }, /* the kernel's KILL_SUIDGID */
	};
	struct out_attr a = {
		.mode = attr->st_mode & 07777,
		.uid = attr->st_uid,
		.gid = attr->st_gid,
		.size = (uint64_t)attr->st_size,
		.atime = set_time(attr->st_atim, to_set & FUSE_SET_ATTR_ATIME_NOW),
		.mtime = set_time(attr->st_mtim, to_set & FUSE_SET_ATTR_MTIME_NOW),
	};
	struct stat st;
	int r;

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (to_set & bits[i].fuse)
			a.valid |= bits[i].ours;
	if (to_set == 0) { /* "a write clears set-id bits": the file never had one */
		ops_unchanged(req, ino);
		return;
	}
	r = out_setattr(layer(req), ino, &a, &st);
	ops_reply_stat(req, r, &st);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX];
	int r = out_readlink(layer(req), ino, target, sizeof(target));

	if (r < 0)
		reply_code(req, r);
	else
		fuse_reply_readlink(req, target);
}

static struct out_who who(fuse_req_t req)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	return (struct out_who){ c->uid, c->gid };
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	const struct out_who w = who(req);
	struct out_entry e;
	int r = out_mknod(layer(req), parent, name, mode, &w, &e);

	reply_entry(req, r, &e);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct out_who w = who(req);
	struct out_entry e;
	int r = out_mkdir(layer(req), parent, name, mode, &w, &e);

	reply_entry(req, r, &e);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	const struct out_who w = who(req);
	struct out_entry e;
	int r = out_symlink(layer(req), parent, name, target, &w, &e);

	reply_entry(req, r, &e);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct out_entry e;
	int r = out_link(layer(req), ino, parent, name, &e);

	reply_entry(req, r, &e);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct out *o = layer(req); /* the request is gone after the reply */
	int late, r = out_unlink(o, parent, name, &late);

	reply_code(req, r);
	out_close_late(o, late);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_code(req, out_rmdir(layer(req), parent, name));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		      const char *newname, unsigned flags)
{
	reply_code(req, out_rename(layer(req), parent, name, newparent, newname, flags));
}

/* -- files ---------------------------------------------------------------- */

/* What the kernel cached of the file stays: nobody else changes it. */
static void handle_set(fuse_req_t req, struct fuse_file_info *fi, struct node *n)
{
	fi->fh = (uintptr_t)n | ((fi->flags & O_ACCMODE) != O_RDONLY ? HANDLE_WRITES : 0);
	fi->keep_cache = 1;
	if (handle_writes(fi))
		brake_count(brake(req), 1);
}

static void handle_end(struct out *o, struct brake *b, const struct fuse_file_info *fi)
{
	if (handle_writes(fi))
		brake_count(b, -1);
	out_release(o, handle(fi), fi->flags);
}

static void reply_create(fuse_req_t req, int r, const struct out_entry *e,
			 struct fuse_file_info *fi, struct node *n)
{
	struct out *o = layer(req);
	struct brake *b = brake(req);
	struct fuse_entry_param p;

	if (r < 0) {
		reply_code(req, r);
		return;
	}
	p = entry_param(req, e);
	handle_set(req, fi, n);
	if (fuse_reply_create(req, &p, fi) == -ENOENT) {
		handle_end(o, b, fi);
		out_forget(o, e->nodeid, 1);
	}
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	const struct out_who w = who(req);
	struct out_entry e;
	struct node *n = NULL;
	int r = out_create(layer(req), parent, name, mode & 07777, fi->flags, &w, &e, &n);

	reply_create(req, r, &e, fi, n);
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
static void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	const struct out_who w = who(req);
	struct out_entry e;
	struct node *n = NULL;
	int r = out_tmpfile(layer(req), parent, mode & 07777, fi->flags, &w, &e, &n);

	reply_create(req, r, &e, fi, n);
}
#endif

/* The kernel leaves it to us, and after writes it would go on showing them. */
static void strip_setid(fuse_req_t req, fuse_ino_t ino)
{
	if (out_strip_setid(layer(req), ino) > 0)
		session_forget_attr(fuse_req_userdata(req), ino);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct out *o = layer(req);
	struct brake *b = brake(req);
	struct node *n;
	int r = out_open(o, ino, fi->flags, &n);

	if (r < 0) {
		reply_code(req, r);
		return;
	}
	if (fi->flags & O_TRUNC && setid_lost())
		strip_setid(req, ino);
	handle_set(req, fi, n);
	/* What the kernel knows of the file may be from before the brake went on. */
	if (handle_writes(fi) && brake_is_on(brake(req)))
		session_forget_attr(fuse_req_userdata(req), ino);
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_end(o, b, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_end(layer(req), brake(req), fi);
	reply_code(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	char *buf = reply_buffer();
	ssize_t n = -ENOMEM;

	if (buf)
		n = out_read(handle(fi), buf, size < READ_MAX ? size : READ_MAX, (uint64_t)off);
	if (n < 0)
		reply_code(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	ssize_t n = out_write(handle(fi), buf, size, (uint64_t)off);

	if (n > 0 && setid_lost())
		strip_setid(req, ino);
	/* The application was told long ago that this is written: a part is not enough, and of the
	 * errors for "full" only ENOSPC passes unchanged to its close() and fsync(). */
	if (fi->writepage && n >= 0 && (size_t)n < size)
		n = -ENOSPC;
	if (fi->writepage && n == -EDQUOT)
		n = -ENOSPC;
	if (fi->writepage)
		ops_wrote(req, ino, n);
	if (n < 0)
		reply_code(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	reply_code(req, out_fsync(layer(req), handle(fi), datasync != 0));
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	int r = out_fallocate(handle(fi), mode, (uint64_t)off, (uint64_t)len);

	if (r == 0) /* the kernel does not tell whether the caller may keep them */
		strip_setid(req, ino);
	reply_code(req, r);
}

struct seek {
	fuse_req_t req;
	struct node *n;
	uint64_t off;
	int whence;
};

static void seek_reply(void *arg)
{
	struct seek *s = arg;
	off_t r = out_seek(s->n, s->off, s->whence);

	if (r < 0)
		reply_code(s->req, (int)r);
	else
		fuse_reply_lseek(s->req, r);
	free(s);
}

/* SEEK_HOLE and SEEK_DATA. The kernel asks without writing its dirty pages first: with a writer
 * about, what it holds must come to us before we can tell. */
static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct seek *s = malloc(sizeof(*s));

	if (!s) {
		reply_code(req, -ENOMEM);
		return;
	}
	*s = (struct seek){ req, handle(fi), (uint64_t)off, whence };
	if (!out_has_writers(layer(req), s->n) ||
	    !session_flush_then(fuse_req_userdata(req), seek_reply, s))
		seek_reply(s);
}

/* Told once, never asked again: closing needs nothing from us, data was written before. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_code(req, -ENOSYS);
}

/* -- directories ---------------------------------------------------------- */

/* No handle: offsets are good for ever, and the kernel may keep listings. */
static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_code(req, -ENOSYS);
}

static size_t add_plain(fuse_req_t req, char *buf, size_t room, const struct out_dirent *d)
{
	struct stat st = { .st_ino = d->ino, .st_mode = d->type };

	return fuse_add_direntry(req, buf, room, d->name, &st, (off_t)d->next_off);
}

static size_t add_plus(fuse_req_t req, char *buf, size_t room, struct out_dirit *it,
		       const struct out_dirent *d)
{
	struct fuse_entry_param p = { .attr = { .st_ino = d->ino, .st_mode = d->type } };
	struct out_entry e;
	size_t need = fuse_add_direntry_plus(req, NULL, 0, d->name, NULL, 0);

	if (need > room)
		return need;
	/* One that cannot be looked up is still listed, without attributes. */
	if (!d->is_dot && out_dir_entry(it, &e) == 0)
		p = entry_param(req, &e);
	return fuse_add_direntry_plus(req, buf, room, d->name, &p, (off_t)d->next_off);
}

/* A listing that did not reach the kernel: the lookups that it counted are taken back. */
static void forget_listed(struct out *o, const char *buf, size_t used)
{
	for (size_t at = 0; at < used;) {
		const struct fuse_direntplus *d = (const void *)(buf + at);

		if (d->entry_out.nodeid)
			out_forget(o, d->entry_out.nodeid, 1);
		at += FUSE_DIRENTPLUS_SIZE(d);
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	char *buf = reply_buffer();
	struct out_dirent d;
	struct out_dirit it;
	size_t used = 0;
	int r = buf ? out_dir_begin(layer(req), ino, (uint64_t)off, &it) : -ENOMEM;

	if (size > READ_MAX)
		size = READ_MAX;
	if (r == 0) {
		while (out_dir_next(&it, &d)) {
			size_t n = plus ? add_plus(req, buf + used, size - used, &it, &d)
					: add_plain(req, buf + used, size - used, &d);

			if (n > size - used)
				break;
			used += n;
		}
		out_dir_end(&it);
	}
	if (r < 0)
		reply_code(req, r);
	else if (fuse_reply_buf(req, buf, used) == -ENOENT && plus)
		forget_listed(layer(req), buf, used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	reply_code(req, out_fsyncdir(layer(req), ino));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs v;
	int r = out_statfs(layer(req), &v);

	if (r < 0)
		reply_code(req, r);
	else
		fuse_reply_statfs(req, &v);
}

/* -- extended attributes -------------------------------------------------- */

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *buf = reply_buffer();
	ssize_t r = -ENOMEM;

	if (size > READ_MAX)
		size = READ_MAX;
	if (buf)
		r = out_getxattr(layer(req), ino, name, buf, size);
	reply_xattr(req, r, buf, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *buf = reply_buffer();
	ssize_t r = -ENOMEM;

	if (size > READ_MAX)
		size = READ_MAX;
	if (buf)
		r = out_listxattr(layer(req), ino, buf, size);
	reply_xattr(req, r, buf, size);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	reply_code(req, out_setxattr(layer(req), ino, name, value, size, flags));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_code(req, out_removexattr(layer(req), ino, name));
}

const struct fuse_lowlevel_ops ops_out = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.create = op_create,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.flush = op_flush,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	.tmpfile = op_tmpfile,
#endif
};
