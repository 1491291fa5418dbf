/* What a name needs besides its entry: the symlink that keeps a long name, the tail of a very long
 * symlink, the id of a directory.
 *
 * A journal that keeps one order for everything (ext4, xfs) makes them durable with whatever comes
 * after them, and nothing is done here.  Where a sync takes along one inode alone (btrfs; assumed
 * of all that is not known) a file would survive whose name cannot be read.  There, helpers are
 * synced before what needs them is made: a rename and a sync of the same file may run at once.  Ids
 * of new directories are synced before the next sync of anything: what that promises was made after
 * them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fs/out_int.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

void sides_init(struct out *o)
{
	struct statfs sf;

	pthread_mutex_init(&o->sides.mu, NULL);
	o->sides.ordered = o->root_fd >= 0 && fstatfs(o->root_fd, &sf) == 0 &&
			   (sf.f_type == EXT4_SUPER_MAGIC || sf.f_type == XFS_SUPER_MAGIC ||
			    sf.f_type == TMPFS_MAGIC);
}

void sides_free(struct out *o)
{
	for (unsigned i = 0; i < o->sides.n; i++)
		close(o->sides.fd[i]);
	o->sides.n = 0;
	pthread_mutex_destroy(&o->sides.mu);
}

int sides_made(struct out *o, int dirfd)
{
	return !o->sides.ordered && fsync(dirfd) < 0 ? -errno : 0;
}

void sides_note_id(struct out *o, int fd)
{
	struct sides *s = &o->sides;
	int copy = -1;

	if (s->ordered || o->flat)
		return;
	pthread_mutex_lock(&s->mu);
	if (!s->many && s->n < SIDES_MAX)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		s->fd[s->n++] = copy;
	else
		s->many = true;
	atomic_store(&s->any, true);
	pthread_mutex_unlock(&s->mu);
}

/* Under the lock, so that whoever comes meanwhile waits for what it needs, too. */
static int sync_noted(struct out *o, struct sides *s)
{
	int r = s->failed;

	if (r == 0 && s->many && syncfs(o->root_fd) < 0)
		r = -EIO;
	for (unsigned i = 0; i < s->n && r == 0; i++) {
		if (!s->many && fsync(s->fd[i]) < 0)
			r = -EIO;
	}
	/* Never a success later: the kernel may have dropped what it could not write. */
	s->failed = r;
	if (r < 0)
		return r;
	for (unsigned i = 0; i < s->n; i++)
		close(s->fd[i]);
	s->n = 0;
	s->many = false;
	atomic_store(&s->any, false);
	return 0;
}

int sides_sync(struct out *o)
{
	struct sides *s = &o->sides;
	int r;

	if (!atomic_load(&s->any))
		return 0;
	pthread_mutex_lock(&s->mu);
	r = atomic_load(&s->any) ? sync_noted(o, s) : 0;
	pthread_mutex_unlock(&s->mu);
	return r;
}
