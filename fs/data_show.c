/* What is shown of a dataset's inodes: ours by owner, read-only by mode, distinct by number. */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/data_int.h"

uint64_t data_ino(struct data *d, dev_t dev, uint64_t ino)
{
	size_t i;

	pthread_mutex_lock(&d->tree->lock);
	for (i = 0; i < d->ndevices && d->devices[i] != dev; i++)
		;
	if (i == d->ndevices && i < DATA_DEVICES)
		d->devices[d->ndevices++] = dev;
	pthread_mutex_unlock(&d->tree->lock);
	return ino ^ (uint64_t)i << 52;
}

static bool in_groups(gid_t gid)
{
	gid_t list[256];
	int n = getgroups(ARRAY_LEN(list), list);

	if (gid == getegid())
		return true;
	for (int i = 0; i < n; i++)
		if (list[i] == gid)
			return true;
	return false;
}

/* May we read (execute) it?  By the mode bits, as the kernel does; where they say no the kernel is
 * asked, for an ACL may say yes. */
static bool may(int dirfd, const char *name, const struct stat *st, unsigned bit, int access_mode)
{
	unsigned shift = 0;

	if (geteuid() == 0)
		return bit == 4 || S_ISDIR(st->st_mode) || (st->st_mode & 0111);
	if (st->st_uid == geteuid())
		shift = 6;
	else if (in_groups(st->st_gid))
		shift = 3;
	if (st->st_mode >> shift & bit)
		return true;
	return st->st_mode & (bit << 3) && dirfd >= 0 &&
	       faccessat(dirfd, name, access_mode,
			 AT_EACCESS | AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) == 0;
}

void data_show(struct data *d, int dirfd, const char *name, const struct stat *raw,
	       struct stat *ret)
{
	mode_t type = raw->st_mode & S_IFMT, mode = 0;

	*ret = *raw;
	ret->st_ino = data_ino(d, raw->st_dev, raw->st_ino);
	ret->st_uid = d->uid;
	ret->st_gid = d->gid;
	ret->st_rdev = 0;
	ret->st_blksize = 128 * 1024;
	if (S_ISLNK(type)) {
		mode = 0777;
	} else if (S_ISREG(type) || S_ISDIR(type)) {
		mode |= may(dirfd, name, raw, 4, R_OK) ? 0444 : 0;
		mode |= may(dirfd, name, raw, 1, X_OK) ? 0111 : 0;
	}
	ret->st_mode = type | mode; /* fifos, sockets, devices: seen, not opened */
}

void data_show_made_up(struct data *d, const char *name, struct stat *ret)
{
	uint64_t ino = 1;

	for (; *name; name++)
		ino = ino * 1099511628211u + (uint8_t)*name;
	*ret = (struct stat){
		.st_ino = ino,
		.st_mode = S_IFDIR | 0555,
		.st_nlink = 2,
		.st_uid = d->uid,
		.st_gid = d->gid,
		.st_blksize = 4096,
	};
}

int raw_stat(struct data *d, int dirfd, const char *name, struct stat *ret)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	struct statx sx;

	/* Our own mount answers from the kernel's cache here, without asking us. */
	if (d->has_own &&
	    statx(dirfd, name, flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &sx) == 0) {
		dev_t dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);

		if (dev == d->own[0] || dev == d->own[1])
			return -ENOENT;
	}
	return fstatat(dirfd, name, ret, flags) < 0 ? -errno : 0;
}
