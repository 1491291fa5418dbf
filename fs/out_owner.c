/* Owners of the outputs: what the store's inodes have, what the mount shows, and the set-id bits
 * that go with an owner.
 *
 * Three ways, chosen with the mount (enum out_ids_kind).  The checks are the kernel's; this file
 * only translates, and gives new inodes their owner.  That costs a system call only where the
 * inode is not the creator's already. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/out_int.h"

#define NOBODY 65534u

/* The same for users and groups. 'back' of the store is 'shown' by the mount. */
static uint32_t id_shown(enum out_ids_kind kind, uint32_t back, uint32_t shown, uint32_t id)
{
	if (kind == OUT_IDS_ONE || id == back)
		return shown;
	return kind == OUT_IDS_ALL ? id : NOBODY;
}

static bool id_stored(enum out_ids_kind kind, uint32_t back, uint32_t shown, uint32_t id,
		      uint32_t *ret)
{
	if (kind == OUT_IDS_ALL)
		*ret = id == shown ? back : id;
	else
		*ret = kind == OUT_IDS_PAIR ? back : OWNER_KEEP;
	return kind == OUT_IDS_ALL || id == shown;
}

void owner_show(const struct out *o, struct stat *st)
{
	const struct out_ids *i = &o->ids;

	st->st_uid = id_shown(i->kind, o->owner.uid, i->uid, st->st_uid);
	st->st_gid = id_shown(i->kind, o->owner.gid, i->gid, st->st_gid);
}

int owner_translate(const struct out *o, struct out_attr *a)
{
	const struct out_ids *i = &o->ids;
	uid_t uid = OWNER_KEEP;
	gid_t gid = OWNER_KEEP;

	if (a->valid & OUT_SET_UID && a->uid != OWNER_KEEP &&
	    !id_stored(i->kind, o->owner.uid, i->uid, a->uid, &uid))
		return -EPERM;
	if (a->valid & OUT_SET_GID && a->gid != OWNER_KEEP &&
	    !id_stored(i->kind, o->owner.gid, i->gid, a->gid, &gid))
		return -EPERM;
	a->uid = uid;
	a->gid = gid;
	return 0;
}

void owner_new(struct out *o, struct node *dir, int dirfd, const struct out_who *who, mode_t type,
	       struct out_who *ret, mode_t *mode)
{
	struct stat st;
	mode_t dir_mode;

	*ret = o->owner;
	if (o->ids.kind == OUT_IDS_ALL) {
		(void)id_stored(OUT_IDS_ALL, o->owner.uid, o->ids.uid, who->uid, &ret->uid);
		(void)id_stored(OUT_IDS_ALL, o->owner.gid, o->ids.gid, who->gid, &ret->gid);
	}
	mutex_lock(&dir->mu);
	dir_mode = dir->mode_known ? dir->mode : 0;
	if (!dir->mode_known && attr_get(o, dir, &st) == 0)
		dir_mode = st.st_mode;
	mutex_unlock(&dir->mu);
	if (!(dir_mode & S_ISGID))
		return;
	if (S_ISDIR(type))
		*mode |= S_ISGID;
	if (fstat(dirfd, &st) == 0)
		ret->gid = st.st_gid;
}

int owner_give(const struct out *o, const struct out_who *want, int fd, int dirfd,
	       const char *stored, struct stat *st)
{
	int r;

	if (o->ids.kind == OUT_IDS_ONE || (st->st_uid == want->uid && st->st_gid == want->gid))
		return 0;
	r = fd >= 0 ? fchown(fd, want->uid, want->gid)
		    : fchownat(dirfd, stored, want->uid, want->gid, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return -errno;
	st->st_uid = want->uid;
	st->st_gid = want->gid;
	return 0;
}

void out_set_ids(struct out *o, const struct out_ids *ids)
{
	o->ids = *ids;
	if (ids->kind == OUT_IDS_ALL && ids->uid == OWNER_KEEP) {
		o->ids.uid = o->owner.uid;
		o->ids.gid = o->owner.gid;
	}
}

void out_without_idmap(struct out *o)
{
	if (o->ids.kind == OUT_IDS_ALL && o->ids.sandbox != 0)
		o->ids.uid = o->ids.gid = o->ids.sandbox;
}

void out_get_owner(const struct out *o, struct out_who *ret)
{
	*ret = o->owner;
}

/* -- set-id bits ---------------------------------------------------------- */

int setid_strip(struct out *o, struct node *n, struct out_attr *a)
{
	mode_t mode, strip;
	struct stat st;
	int r;

	if (n->dir || S_ISLNK(n->type))
		return 0;
	if (S_ISREG(n->type) && n->mode_known) {
		mode = n->mode;
	} else {
		r = attr_get(o, n, &st);
		if (r < 0)
			return r;
		mode = st.st_mode & MODE_KEPT;
	}
	if (a->valid & OUT_SET_MODE)
		mode = a->mode;
	/* Without the right to execute, set-gid once meant mandatory locking: it stays. */
	strip = S_ISUID | (mode & S_IXGRP ? S_ISGID : 0);
	if (mode & strip) {
		a->valid |= OUT_SET_MODE;
		a->mode = mode & ~strip;
	}
	return 0;
}

int out_strip_setid(struct out *o, uint64_t nodeid)
{
	const struct out_attr a = { .valid = OUT_SET_STRIP };
	struct node *n;
	struct stat st;
	bool none;
	int r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	mutex_lock(&n->mu);
	none = n->mode_known && !(n->mode & (S_ISUID | S_ISGID));
	mutex_unlock(&n->mu);
	if (none)
		return 0;
	r = out_setattr(o, nodeid, &a, &st);
	return r < 0 ? r : 1;
}
