/* Attributes of the outputs: what the store keeps, and what is shown of it.
 *
 * Size: of an open file from its cfile; else from the store's state in memory, if it holds any of
 * the file; else computed from the backing size.  Mode: the backing inode's permission bits, unless
 * its sticky bit says that the true ones are in an xattr (doc/format.md section 5).  Owner:
 * out_owner.c. Times: the backing inode's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fs/blockmap.h"
#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/quota.h"
#include "fs/store.h"

#define TREE_BLKSIZE    (128 * 1024)
#define FILE_OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* -- modes ---------------------------------------------------------------- */

mode_t mode_backing(mode_t type, mode_t mode)
{
	return (mode & 0777) | (S_ISDIR(type) ? 0700 : 0600);
}

bool mode_refused(const struct out *o, mode_t type, mode_t mode)
{
	return o->flat && mode_backing(type, mode) != (mode & MODE_KEPT);
}

int mode_set(struct out *o, struct node *n, int fd, mode_t mode)
{
	mode_t backing = mode_backing(n->type, mode);
	bool marked = backing != (mode & MODE_KEPT);
	uint8_t kept[2], was[2];
	ssize_t had = -1;
	int r;

	if (mode_refused(o, n->type, mode))
		return -EOPNOTSUPP;
	le16_store(kept, (uint16_t)(mode & MODE_KEPT));
	if (marked) {
		had = fgetxattr(fd, MODE_XATTR, was, sizeof(was));
		if (fsetxattr(fd, MODE_XATTR, kept, sizeof(kept), 0) < 0)
			return -errno;
	}
	if (fchmod(fd, backing | (marked ? S_ISVTX : 0)) < 0) {
		r = -errno;
		/* If not even this can be undone, what the store says from now on counts. */
		if (marked &&
		    (had == (ssize_t)sizeof(was) ? fsetxattr(fd, MODE_XATTR, was, sizeof(was), 0)
						 : fremovexattr(fd, MODE_XATTR)) < 0)
			n->mode_known = false;
		return r;
	}
	n->mode = mode & MODE_KEPT;
	n->mode_known = true;
	return 0;
}

/* The plain mode of a marked file or directory. */
static mode_t mode_read_marked(struct out *o, struct node *n, int dirfd, const char *stored,
			       mode_t backing)
{
	autoclose int own = -1;
	uint8_t kept[2];
	int fd = n->cf ? cfile_fd(n->cf) : -1;

	if (fd < 0)
		fd = own = openat(dirfd, stored, FILE_OPEN_FLAGS);
	if (fd >= 0 && fgetxattr(fd, MODE_XATTR, kept, sizeof(kept)) == (ssize_t)sizeof(kept))
		return le16_load(kept) & MODE_KEPT;
	out_log_damage(o, dirfd, stored, "its mode is missing");
	return backing & 0777;
}

static mode_t mode_get(struct out *o, struct node *n, int dirfd, const char *stored,
		       const struct stat *st)
{
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return st->st_mode & MODE_KEPT;
	if (!n->mode_known) {
		n->mode = st->st_mode & S_ISVTX && !o->flat
				  ? mode_read_marked(o, n, dirfd, stored, st->st_mode)
				  : st->st_mode & 0777;
		n->mode_known = true;
	}
	return n->mode;
}

/* -- sizes ---------------------------------------------------------------- */

/* What the backing file occupies without its header page and tag pages, in units of 512 bytes. */
static blkcnt_t data_blocks(blkcnt_t backing)
{
	blkcnt_t pages = backing * 512 / BLOCK_SIZE, head = 1 + HEAD_BLOCKS;

	if (pages > head)
		pages -= (pages - head + GROUP_BLOCKS) / (GROUP_BLOCKS + 1);
	return (MAX(pages, 1) - 1) * (BLOCK_SIZE / 512);
}

static void size_fill(struct out *o, struct node *n, int dirfd, const char *stored,
		      const struct stat *st, struct stat *ret)
{
	uint64_t size = 0;

	if (n->cf) {
		ret->st_size = (off_t)cfile_size(n->cf);
		ret->st_blocks = (blkcnt_t)(cfile_mapped(n->cf) * (BLOCK_SIZE / 512));
		return;
	}
	if (!cfile_lookup_size(o->p.store, st->st_dev, st->st_ino, &size)) {
		if (store_get_params(o->p.store)->pad) {
			struct cfile_stat cs = { 0 };
			autoclose int fd = openat(dirfd, stored, FILE_OPEN_FLAGS);

			if (fd >= 0 && cfile_peek(o->p.store, fd, &cs) == 0)
				size = cs.size;
		} else if (!blockmap_plain_size((uint64_t)st->st_size, &size)) {
			size = 0; /* damaged: open says EIO */
		}
	}
	ret->st_size = (off_t)size;
	ret->st_blocks = n->mapped_known ? (blkcnt_t)(n->mapped * (BLOCK_SIZE / 512))
					 : data_blocks(st->st_blocks);
	/* Never more than a file without holes needs. */
	ret->st_blocks = MIN(ret->st_blocks, (blkcnt_t)(blockmap_count(size) * (BLOCK_SIZE / 512)));
}

/* Mostly the length tells; reading the link would change its atime. */
static void symlink_size_fill(int dirfd, const char *stored, struct stat *ret)
{
	char text[SYMLINK_STORED_SIZE];
	uint64_t size = 0;
	ssize_t n = 0;

	if (symlink_size_of_length((size_t)ret->st_size, &size) == -EAGAIN)
		n = readlinkat(dirfd, stored, text, sizeof(text) - 1);
	if (n > 0) {
		text[n] = '\0';
		(void)symlink_plain_size(text, (size_t)n, &size);
	}
	ret->st_size = (off_t)size;
}

void attr_fill(struct out *o, struct node *n, int dirfd, const char *stored,
	       const struct stat *backing, struct stat *ret)
{
	*ret = *backing;
	ret->st_mode = n->type | mode_get(o, n, dirfd, stored, backing);
	owner_show(o, ret);
	ret->st_blksize = TREE_BLKSIZE;
	ret->st_rdev = 0;
	if (S_ISREG(n->type))
		size_fill(o, n, dirfd, stored, backing, ret);
	else if (S_ISLNK(n->type))
		symlink_size_fill(dirfd, stored, ret);
	node_tell(n, ret);
}

/* -- getattr -------------------------------------------------------------- */

void show_written(struct out *o, struct node *n)
{
	if (o->strict && atomic_exchange(&n->written, false))
		cfile_show_mtime(n->cf);
}

void out_set_strict(struct out *o, bool strict)
{
	o->strict = strict;
}

int attr_get(struct out *o, struct node *n, struct stat *ret)
{
	struct place p;
	struct stat st;
	int r;

	if (n->dir) {
		int fd = dir_get(o, n);

		if (fd >= 0) {
			r = fstat(fd, &st) < 0 ? -errno : 0;
			if (r == 0)
				attr_fill(o, n, fd, ".", &st, ret);
			dir_put(o, n);
			return r;
		}
		if (fd != -ENOENT)
			return fd;
	} else if (n->cf) {
		show_written(o, n);
		if (fstat(cfile_fd(n->cf), &st) < 0)
			return -errno;
		attr_fill(o, n, -1, "", &st, ret);
		return 0;
	} else if ((r = place_get(o, n, &p)) == 0) {
		r = fstatat(p.dirfd, p.s.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
		if (r == 0 && st.st_ino != n->ino)
			r = -EIO;
		if (r == 0)
			attr_fill(o, n, p.dirfd, p.s.name, &st, ret);
		place_put(o, &p);
		return r;
	} else if (r != -ENOENT) {
		return r;
	}
	/* No name and no descriptor any more: what was last known. */
	n->nlink = 0;
	node_told(n, ret);
	return 0;
}

int attr_keep(struct out *o, struct node *n, int dirfd, const char *stored)
{
	struct stat st, shown;
	int r = node_keep(n);

	if (r < 0)
		return r;
	if (n->cf)
		r = fstat(cfile_fd(n->cf), &st);
	else
		r = fstatat(dirfd, stored, &st, AT_SYMLINK_NOFOLLOW);
	/* What somebody took out of the store has no attributes, and can be removed all the same.
	 */
	if (r == 0 && st.st_ino == n->ino)
		attr_fill(o, n, dirfd, stored, &st, &shown);
	return 0;
}

int out_getattr(struct out *o, uint64_t nodeid, struct stat *ret)
{
	struct node *n;
	int r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	mutex_lock(&n->mu);
	r = attr_get(o, n, ret);
	mutex_unlock(&n->mu);
	return r;
}

/* -- links and the whole -------------------------------------------------- */

static int readlink_tail(struct out *o, const char *name, char tail[static SYMLINK_STORED_SIZE])
{
	ssize_t n = readlinkat(o->links_fd, name, tail, SYMLINK_STORED_SIZE - 1);

	if (n < 0)
		return errno == ENOENT || errno == EINVAL ? -EBADMSG : -errno;
	tail[n] = '\0';
	return 0;
}

static int readlink_place(struct out *o, const struct place *p,
			  char target[static SYMLINK_PLAIN_MAX + 1])
{
	char stored[SYMLINK_STORED_SIZE], tail_name[SYMLINK_TAIL_NAME_SIZE];
	char tail[SYMLINK_STORED_SIZE];
	ssize_t n = readlinkat(p->dirfd, p->s.name, stored, sizeof(stored) - 1);
	bool has_tail;
	size_t len;
	int r = 0;

	if (n < 0)
		return -errno;
	stored[n] = '\0';
	has_tail = symlink_needs_tail(stored, tail_name);
	if (has_tail)
		r = readlink_tail(o, tail_name, tail);
	if (r == 0)
		r = symlink_decrypt(o->p.keys, stored, has_tail ? tail : NULL, target, &len);
	if (r == -EBADMSG) {
		out_log_damage(o, p->dirfd, p->s.name, "the target does not verify");
		return -EIO;
	}
	return r;
}

int out_readlink(struct out *o, uint64_t nodeid, char *buf, size_t size)
{
	char target[SYMLINK_PLAIN_MAX + 1];
	struct place p;
	struct node *n;
	int r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	if (!S_ISLNK(n->type))
		return -EINVAL;
	mutex_lock(&n->mu);
	r = place_get(o, n, &p);
	if (r == 0) {
		r = readlink_place(o, &p, target);
		place_put(o, &p);
	}
	mutex_unlock(&n->mu);
	if (r < 0)
		return r;
	if (strlen(target) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, target);
	return 0;
}

uint64_t out_disk_room(const struct out *o)
{
	struct statvfs v;

	if (fstatvfs(o->root_fd, &v) < 0)
		return UINT64_MAX;
	return v.f_bavail * (v.f_frsize ? v.f_frsize : v.f_bsize);
}

/* Pages of data that fit into so many: a new file needs its header, and pages for its tags. */
static uint64_t data_pages(uint64_t pages)
{
	uint64_t n = pages > 0 ? pages - 1 - (pages - 1) / (GROUP_BLOCKS + 1) : 0;

	while (n > 0 && quota_file_bytes(n) / QUOTA_PAGE > pages)
		n--;
	while (quota_file_bytes(n + 1) / QUOTA_PAGE <= pages)
		n++;
	return n;
}

int out_statfs(struct out *o, struct statvfs *ret)
{
	struct quota_usage q;
	struct statvfs v;
	uint64_t unit;

	if (fstatvfs(o->root_fd, &v) < 0)
		return -errno;
	quota_get(o->p.quota, &q);
	unit = v.f_frsize ? v.f_frsize : v.f_bsize;
	*ret = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_PLAIN_MAX };
	ret->f_blocks = v.f_blocks * unit / 4096;
	ret->f_bfree = ret->f_bavail = v.f_bavail * unit / 4096;
	ret->f_files = v.f_files;
	ret->f_ffree = ret->f_favail = v.f_favail;
	if (q.limit_bytes) {
		ret->f_blocks = q.limit_bytes / 4096;
		ret->f_bfree = MIN(ret->f_bfree, (MAX(q.limit_bytes, q.bytes) - q.bytes) / 4096);
	}
	ret->f_bavail = data_pages(ret->f_bfree);
	if (q.limit_files) {
		ret->f_files = q.limit_files;
		ret->f_ffree = MIN(ret->f_ffree, MAX(q.limit_files, q.files) - q.files);
		ret->f_favail = ret->f_ffree;
	}
	return 0;
}
