/* The check of what a file or directory carries beside its bytes: xattrs and its mode. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fs/fsck_int.h"

#define LIST_MAX  65536
#define VALUE_MAX 65536

struct carrier {
	struct fsck *k;
	int fd;
	bool is_dir;
	const uint8_t *id;
	const char *path, *place;
};

static void damage(const struct carrier *c, const char *consequence, const char *remedy,
		   const char *what)
{
	fsck_tell(c->k,
		  &(struct finding){ .kind = FSCK_DAMAGE,
				     .path = c->path,
				     .place = c->place,
				     .consequence = consequence,
				     .remedy = remedy },
		  "%s", what);
}

/* One of ours; 'sealed' and 'plain' have room for any. */
static int check_one(const struct carrier *c, const char *stored, uint8_t *sealed, uint8_t *plain)
{
	char name[XATTR_NAME_MAX_PLAIN + 1];
	ssize_t n;
	size_t len;

	if (xattr_name_decrypt(c->k->p.keys, c->id, stored, name, &len) < 0) {
		damage(c, "the attribute is not listed", "set it anew",
		       "the name of an extended attribute does not verify");
		return 0;
	}
	n = fgetxattr(c->fd, stored, sealed, VALUE_MAX + XATTR_VALUE_OVERHEAD);
	if (n < 0)
		return -errno;
	if (n < XATTR_VALUE_OVERHEAD ||
	    xattr_value_open(c->k->p.keys, c->is_dir, c->id, name, sealed, (size_t)n, plain) < 0)
		damage(c, "reading the attribute gives EIO", "set it anew",
		       "the value of an extended attribute does not verify");
	return 0;
}

static int check_list(const struct carrier *c)
{
	autofree char *list = malloc(LIST_MAX);
	autofree uint8_t *sealed = NULL, *plain = NULL;
	ssize_t n = list ? flistxattr(c->fd, list, LIST_MAX) : 0;
	int r = 0;

	if (!list)
		return -ENOMEM;
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (ssize_t at = 0; at < n && r == 0; at += (ssize_t)strlen(list + at) + 1) {
		if (strncmp(list + at, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0)
			continue;
		if (!sealed) {
			sealed = malloc(VALUE_MAX + XATTR_VALUE_OVERHEAD);
			plain = malloc(VALUE_MAX);
		}
		r = sealed && plain ? check_one(c, list + at, sealed, plain) : -ENOMEM;
	}
	return r;
}

/* The sticky bit says that the true mode is in an xattr. */
static void check_mode(const struct carrier *c, const struct stat *st)
{
	mode_t need = c->is_dir ? 0700 : 0600;
	uint8_t kept[2];

	if ((st->st_mode & need) != need)
		damage(c, "it may not be possible to open it", "chmod u+rw the backing file",
		       "the backing file's mode lacks rights of its owner");
	if (!(st->st_mode & S_ISVTX))
		return;
	if (c->k->p.flat || fgetxattr(c->fd, MODE_XATTR, kept, sizeof(kept)) != sizeof(kept) ||
	    le16_load(kept) > 07777)
		damage(c, "its permissions are shown as those of the backing file",
		       "set its mode anew with chmod", "its mode is missing or damaged");
}

int fsck_attrs(struct fsck *k, int fd, const struct stat *st, const uint8_t *id, const char *path,
	       const char *place)
{
	const struct carrier c = { .k = k,
				   .fd = fd,
				   .is_dir = S_ISDIR(st->st_mode),
				   .id = id,
				   .path = path,
				   .place = place };

	check_mode(&c, st);
	return k->p.flat || !id ? 0 : check_list(&c);
}
