/* Requests on the datasets mount, translated to fs/data.h.  Only what reads is in the table; the
 * mount is read-only too, so changes are refused by the kernel before they reach us. */
#include "fs/ops.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "fs/data.h"
#include "fs/fuse_wire.h"
#include "fs/ops_reply.h"
#include "fs/ops_wait.h"
#include "fs/passthrough.h"

/* The host may change its directories. */
#define TIMEOUT          10.0
#define NEGATIVE_TIMEOUT 1.0
/* What is inside an archive never changes: another archive has other inodes. */
#define FIXED_TIMEOUT 86400.0

static struct data *layer(fuse_req_t req)
{
	return req_layer(req);
}

static struct wait *waits(fuse_req_t req)
{
	return data_user(layer(req));
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	session_configure(conn, false, true);
	data_set_user(session_layer(userdata), wait_new());
}

static void op_destroy(void *userdata)
{
	struct data *d = session_layer(userdata);

	wait_free(data_user(d));
	data_set_user(d, NULL);
}

static struct fuse_entry_param entry_param(const struct data_entry *e)
{
	return (struct fuse_entry_param){
		.ino = e->nodeid,
		.attr = e->st,
		.attr_timeout = data_is_fixed(e->nodeid) ? FIXED_TIMEOUT : TIMEOUT,
		.entry_timeout = TIMEOUT,
	};
}

static bool lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param p = { .entry_timeout = NEGATIVE_TIMEOUT };
	struct data_entry e;
	int r = data_lookup(layer(req), parent, name, &e);

	if (r == -EINPROGRESS)
		return false;
	if (r < 0 && r != -ENOENT) {
		reply_code(req, r);
		return true;
	}
	if (r == 0)
		p = entry_param(&e);
	if (data_is_fixed(parent))
		p.entry_timeout = FIXED_TIMEOUT;
	if (fuse_reply_entry(req, &p) == -ENOENT && r == 0)
		data_forget(layer(req), e.nodeid, 1);
	return true;
}

static bool lookup_again(struct waiting *w)
{
	return lookup(w->req, w->ino, w->name);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct waiting w = { .req = req, .ino = parent, .serve = lookup_again };

	if (lookup(req, parent, name))
		return;
	strncpy(w.name, name, sizeof(w.name) - 1);
	wait_add(waits(req), &w);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	data_forget(layer(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *f)
{
	for (size_t i = 0; i < count; i++)
		data_forget(layer(req), f[i].ino, f[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int r = data_getattr(layer(req), ino, &st);

	if (r < 0)
		reply_code(req, r);
	else
		fuse_reply_attr(req, &st, data_is_fixed(ino) ? FIXED_TIMEOUT : TIMEOUT);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX];
	int r = data_readlink(layer(req), ino, target, sizeof(target));

	if (r < 0)
		reply_code(req, r);
	else
		fuse_reply_readlink(req, target);
}

static struct data_file *file(uint64_t fh)
{
	return (struct data_file *)(uintptr_t)fh;
}

static void file_close(void *userdata, fuse_ino_t ino, struct data_file *f)
{
	struct passthrough *pass = session_passthrough(userdata);

	if (pass && data_fd(f) >= 0)
		passthrough_close(pass, ino);
	data_close(f);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	void *userdata = fuse_req_userdata(req);
	struct passthrough *pass = session_passthrough(userdata);
	struct wire_open_out reply = { 0 }; /* libfuse 3.14 has no backing id */
	struct data_file *f = NULL;
	bool keep;
	int r = data_open(layer(req), ino, fi->flags, &f, &keep);

	if (r == 0 && pass && data_fd(f) >= 0)
		r = passthrough_open(pass, ino, data_fd(f), &reply.backing_id);
	if (r < 0) {
		data_close(f);
		reply_code(req, r);
		return;
	}
	reply.fh = (uintptr_t)f;
	reply.flags = WIRE_FOPEN_NOFLUSH;
	if (reply.backing_id)
		reply.flags |= WIRE_FOPEN_PASSTHROUGH;
	else if (keep)
		reply.flags |= WIRE_FOPEN_KEEP_CACHE;
	if (fuse_reply_buf(req, (const char *)&reply, sizeof(reply)) == -ENOENT)
		file_close(userdata, ino, f);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	file_close(fuse_req_userdata(req), ino, file(fi->fh));
	reply_code(req, 0);
}

static bool read_some(struct waiting *w)
{
	void *userdata = fuse_req_userdata(w->req);
	char *buf = reply_buffer();
	bool changed = false;
	ssize_t n = -ENOMEM;

	if (buf)
		n = data_read(file(w->fh), buf, w->size, w->off, &changed);
	if (n == -EINPROGRESS)
		return false;
	/* The next read then asks for attributes, sees the new time and drops the old pages: nobody
	 * who has read something of now reads something of before. */
	if (changed)
		session_forget_attr(userdata, w->ino);
	if (n < 0)
		reply_code(w->req, (int)n);
	else
		fuse_reply_buf(w->req, buf, (size_t)n);
	return true;
}

/* The kernel keeps the file open until its reads have their replies. */
static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct waiting w = {
		.req = req,
		.ino = ino,
		.fh = fi->fh,
		.off = (uint64_t)off,
		.size = size < READ_MAX ? size : READ_MAX,
		.serve = read_some,
	};

	if (!read_some(&w))
		wait_add(waits(req), &w);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	off_t r = data_seek(file(fi->fh), off, whence);

	if (r < 0)
		reply_code(req, (int)r);
	else
		fuse_reply_lseek(req, r);
}

static struct data_dir *handle(const struct fuse_file_info *fi)
{
	return (struct data_dir *)(uintptr_t)fi->fh;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct data_dir *dir;
	int r = data_opendir(layer(req), ino, &dir);

	if (r < 0) {
		reply_code(req, r);
		return;
	}
	fi->fh = (uintptr_t)dir;
	if (fuse_reply_open(req, fi) == -ENOENT)
		data_closedir(dir);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	data_closedir(handle(fi));
	reply_code(req, 0);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static size_t add(fuse_req_t req, char *buf, size_t room, struct data_dir *dir,
		  const struct data_dirent *d, bool plus)
{
	struct fuse_entry_param p = { .attr = { .st_ino = d->ino, .st_mode = d->type } };
	struct data_entry e;

	if (!plus)
		return fuse_add_direntry(req, buf, room, d->name, &p.attr, (off_t)d->next_off);
	if (fuse_add_direntry_plus(req, NULL, 0, d->name, NULL, 0) > room)
		return room + 1;
	if (!is_dot(d->name) && data_dir_entry(dir, &e) == 0)
		p = entry_param(&e);
	if (!is_dot(d->name) && data_dir_is_fixed(dir))
		p.entry_timeout = FIXED_TIMEOUT;
	return fuse_add_direntry_plus(req, buf, room, d->name, &p, (off_t)d->next_off);
}

static void list(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct data_dir *dir = handle(fi);
	char *buf = reply_buffer();
	struct data_dirent d;
	size_t used = 0;

	if (!buf) {
		reply_code(req, -ENOMEM);
		return;
	}
	if (size > READ_MAX)
		size = READ_MAX;
	data_seekdir(dir, (uint64_t)off);
	while (data_readdir(dir, &d)) {
		size_t n = add(req, buf + used, size - used, dir, &d, plus);

		if (n > size - used)
			break; /* comes again: the kernel asks from its own last offset */
		used += n;
	}
	if (used == 0 && data_dir_error(dir) < 0)
		reply_code(req, data_dir_error(dir));
	else
		fuse_reply_buf(req, buf, used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	list(req, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	list(req, size, off, fi, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs v = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255 };

	fuse_reply_statfs(req, &v);
}

const struct fuse_lowlevel_ops ops_data = {
	.init = op_init,
	.destroy = op_destroy,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.lseek = op_lseek,
	.opendir = op_opendir,
	.releasedir = op_releasedir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.statfs = op_statfs,
};
