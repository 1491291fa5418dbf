/* Extended attributes "user.*" of files and directories of the outputs.  Names and values are
 * sealed for their owner: the file id, or the directory id.  Other namespaces do not exist. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/store.h"
#include "keys/buffer.h"

#define USER_PREFIX     "user."
#define USER_PREFIX_LEN 5
#define LIST_MAX        65536 /* what Linux allows for one inode */
#define VALUE_MAX       65536

/* An inode opened for its xattrs; n->mu is held. */
struct xnode {
	struct node *n;
	struct cfile *cf;
	int fd;
	const uint8_t *owner; /* 16 bytes */
};

static int xnode_open(struct out *o, struct node *n, struct xnode *ret)
{
	int r;

	*ret = (struct xnode){ .n = n, .fd = -1 };
	if (o->flat || (!n->dir && !S_ISREG(n->type)))
		return -EOPNOTSUPP;
	if (n->dir) {
		ret->fd = dir_get(o, n);
		ret->owner = n->dir->id;
		return ret->fd < 0 ? ret->fd : 0;
	}
	r = file_borrow(o, n, &ret->cf);
	if (r < 0)
		return r;
	ret->fd = cfile_fd(ret->cf);
	ret->owner = cfile_id(ret->cf);
	return 0;
}

static void xnode_close(struct out *o, struct xnode *x)
{
	if (x->cf)
		file_return(o, x->n, x->cf);
	else if (x->fd >= 0)
		dir_put(o, x->n);
}

/* "user.NAME" -> NAME. Other namespaces: there is no such attribute, or none can be made. */
static int user_name(const char *name, bool change, const char **ret)
{
	if (strncmp(name, USER_PREFIX, USER_PREFIX_LEN) != 0)
		return change ? -EOPNOTSUPP : -ENODATA;
	*ret = name + USER_PREFIX_LEN;
	if (!**ret)
		return -EINVAL;
	return strlen(*ret) > XATTR_NAME_MAX_PLAIN ? -ERANGE : 0;
}

static ssize_t value_read(struct out *o, const struct xnode *x, const char *name, void *buf,
			  size_t size)
{
	char stored[XATTR_STORED_SIZE];
	autofree uint8_t *sealed = NULL;
	autobuffer uint8_t *plain = NULL;
	ssize_t n, len;
	int r = xattr_name_encrypt(o->p.keys, x->owner, name, strlen(name), stored);

	if (r < 0)
		return r;
	sealed = malloc(VALUE_MAX + XATTR_VALUE_OVERHEAD);
	plain = buffer_alloc(VALUE_MAX);
	if (!sealed || !plain)
		return -ENOMEM;
	n = fgetxattr(x->fd, stored, sealed, VALUE_MAX + XATTR_VALUE_OVERHEAD);
	if (n < 0)
		return -errno;
	len = n - XATTR_VALUE_OVERHEAD;
	if (len < 0 || xattr_value_open(o->p.keys, x->n->dir != NULL, x->owner, name, sealed,
					(size_t)n, plain) < 0) {
		out_log_damage(o, x->fd, NULL, "an extended attribute does not verify");
		return -EIO;
	}
	if (size == 0)
		return len;
	if ((size_t)len > size)
		return -ERANGE;
	memcpy(buf, plain, (size_t)len);
	return len;
}

ssize_t out_getxattr(struct out *o, uint64_t nodeid, const char *name, void *buf, size_t size)
{
	struct xnode x;
	struct node *n;
	ssize_t r = user_name(name, false, &name);

	if (r == 0)
		r = node_get(o, nodeid, &n);
	if (r < 0)
		return r;
	mutex_lock(&n->mu);
	r = xnode_open(o, n, &x);
	if (r == 0) {
		r = value_read(o, &x, name, buf, size);
		xnode_close(o, &x);
	}
	mutex_unlock(&n->mu);
	return r == -EOPNOTSUPP ? -ENODATA : r;
}

static ssize_t list_read(struct out *o, const struct xnode *x, char *buf, size_t size)
{
	autofree char *list = malloc(LIST_MAX);
	size_t used = 0;
	ssize_t n;

	if (!list)
		return -ENOMEM;
	n = flistxattr(x->fd, list, LIST_MAX);
	if (n < 0)
		return -errno;
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1) {
		char name[XATTR_NAME_MAX_PLAIN + 1];
		size_t len;

		if (xattr_name_decrypt(o->p.keys, x->owner, list + at, name, &len) < 0) {
			/* Others are foreign, or ours for other purposes. */
			if (size > 0 && strncmp(list + at, XATTR_PREFIX, strlen(XATTR_PREFIX)) == 0)
				out_log_damage(o, x->fd, NULL,
					       "an extended attribute is not its own; left out");
			continue;
		}
		if (size > 0) {
			if (used + USER_PREFIX_LEN + len + 1 > size)
				return -ERANGE;
			memcpy(buf + used, USER_PREFIX, USER_PREFIX_LEN);
			memcpy(buf + used + USER_PREFIX_LEN, name, len + 1);
		}
		used += USER_PREFIX_LEN + len + 1;
	}
	return (ssize_t)used;
}

ssize_t out_listxattr(struct out *o, uint64_t nodeid, char *buf, size_t size)
{
	struct xnode x;
	struct node *n;
	ssize_t r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	mutex_lock(&n->mu);
	r = xnode_open(o, n, &x);
	if (r == 0) {
		r = list_read(o, &x, buf, size);
		xnode_close(o, &x);
	}
	mutex_unlock(&n->mu);
	return r == -EOPNOTSUPP ? 0 : r;
}

static int value_write(struct out *o, const struct xnode *x, const char *name, const void *value,
		       size_t len, int flags)
{
	char stored[XATTR_STORED_SIZE];
	autofree uint8_t *sealed = malloc(len + XATTR_VALUE_OVERHEAD);
	int r;

	if (!sealed)
		return -ENOMEM;
	r = xattr_name_encrypt(o->p.keys, x->owner, name, strlen(name), stored);
	if (r == 0)
		r = xattr_value_seal(o->p.keys, x->n->dir != NULL, x->owner, name, value, len,
				     sealed);
	if (r < 0)
		return r;
	if (fsetxattr(x->fd, stored, sealed, len + XATTR_VALUE_OVERHEAD, flags) < 0)
		return errno == E2BIG || errno == ERANGE ? -ENOSPC : -errno;
	return 0;
}

static int value_remove(struct out *o, const struct xnode *x, const char *name)
{
	char stored[XATTR_STORED_SIZE];
	int r = xattr_name_encrypt(o->p.keys, x->owner, name, strlen(name), stored);

	if (r < 0)
		return r;
	return fremovexattr(x->fd, stored) < 0 ? -errno : 0;
}

/* 'value' NULL: remove */
static int change(struct out *o, uint64_t nodeid, const char *name, const void *value, size_t len,
		  int flags)
{
	struct xnode x;
	struct node *n;
	int r = user_name(name, true, &name);

	if (r == 0)
		r = node_get(o, nodeid, &n);
	if (r < 0)
		return r;
	if (o->p.read_only)
		return -EROFS;
	r = store_begin_change(o->p.store);
	if (r < 0)
		return r;
	mutex_lock(&n->mu);
	r = xnode_open(o, n, &x);
	if (r == 0) {
		r = value ? value_write(o, &x, name, value, len, flags) : value_remove(o, &x, name);
		xnode_close(o, &x);
	}
	if (r == 0)
		note_metadata(o, n);
	mutex_unlock(&n->mu);
	store_end_change(o->p.store);
	return r;
}

int out_setxattr(struct out *o, uint64_t nodeid, const char *name, const void *value, size_t len,
		 int flags)
{
	if (len > VALUE_MAX)
		return -E2BIG;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	return change(o, nodeid, name, value, len, flags);
}

int out_removexattr(struct out *o, uint64_t nodeid, const char *name)
{
	return change(o, nodeid, name, NULL, 0, 0);
}
