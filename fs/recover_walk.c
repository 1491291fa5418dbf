/* Recovery's walk over the tree, by several threads: one reads the directories, all look at files.
 *
 * What it costs is opening each file and reading its first page, which a disk does faster when
 * asked for several; so there are more threads than processors may be.  A file is looked at by one
 * thread; two files share nothing but the log, which is only read, and what rc->lock guards. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "fs/quota.h"
#include "fs/recover.h"

#define THREADS   8u /* that look at files, the reader of directories among them */
#define QUEUE     256u
#define TELL_MS   5000u /* a line in the log so often */
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

/* A directory whose files are being looked at; w->lock guards 'refs'. */
struct walked_dir {
	int fd;
	unsigned refs;
	char *path;
};

struct item {
	struct walked_dir *dir;
	char *name;
};

struct walk {
	struct recovery *rc;
	recover_fn fn;

	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t cond;
	struct item queue[QUEUE];
	unsigned first, count;
	bool read; /* all directories are read */
	int failed;

	uint64_t told_ms, seen; /* by the reader alone */
};

/* -- the count ------------------------------------------------------------- */

/* Counts the inode, if it is new. */
static int count_inode(struct recovery *rc, const struct stat *st, uint64_t bytes, bool *ret_seen)
{
	int r;

	pthread_mutex_lock(&rc->lock);
	r = idset_met(&rc->links, st, ret_seen);
	if (r == 0 && !*ret_seen) {
		recover_count(rc, st->st_ino, bytes, 1);
		rc->looked++;
	}
	pthread_mutex_unlock(&rc->lock);
	return r;
}

/* -- one file -------------------------------------------------------------- */

/* It may be one that the log has batches for. Charged by its size. */
static int cannot_open(struct recovery *rc, int dirfd, const char *name, const char *path, int r)
{
	struct stat st;
	bool seen;

	if (!recover_this_file_only(r))
		return r;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	recover_note_unread(rc, path, r);
	return count_inode(rc, &st, quota_file_bytes((uint64_t)st.st_size / BLOCK_SIZE), &seen);
}

static int look_at(struct walk *w, const struct item *it)
{
	autofree char *path = str_printf("%s/%s", it->dir->path, it->name);
	autoclose int fd = openat(it->dir->fd, it->name,
				  O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	bool seen;
	int r;

	if (!path)
		return -ENOMEM;
	if (fd < 0)
		return cannot_open(w->rc, it->dir->fd, it->name, path, -errno);
	if (fstat(fd, &st) < 0)
		return -errno;
	r = count_inode(w->rc, &st, 0, &seen);
	if (r == 0 && !seen)
		r = w->fn(w->rc, fd, path);
	if (r < 0)
		store_log(w->rc->s, "recovery: %s: %s", path, strerror(-r));
	return r;
}

/* -- the queue ------------------------------------------------------------- */

static void dir_release(struct walk *w, struct walked_dir *d)
{
	bool last;

	pthread_mutex_lock(&w->lock);
	last = --d->refs == 0;
	pthread_mutex_unlock(&w->lock);
	if (last) {
		close(d->fd);
		free(d->path);
		free(d);
	}
}

/* Under w->lock, which is given up meanwhile. */
static void do_one(struct walk *w)
{
	struct item it = w->queue[w->first];
	int r;

	w->first = (w->first + 1) % QUEUE;
	w->count--;
	pthread_mutex_unlock(&w->lock);
	r = look_at(w, &it);
	free(it.name);
	dir_release(w, it.dir);
	pthread_mutex_lock(&w->lock);
	if (r < 0 && w->failed == 0)
		w->failed = r;
}

static void *helper(void *arg)
{
	struct walk *w = arg;

	pthread_mutex_lock(&w->lock);
	while (w->count > 0 || !w->read) {
		if (w->count > 0)
			do_one(w);
		else
			pthread_cond_wait(&w->cond, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static int push(struct walk *w, struct walked_dir *d, const char *name)
{
	char *copy = strdup(name);
	int r;

	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&w->lock);
	while (w->count == QUEUE)
		do_one(w); /* rather than wait */
	w->queue[(w->first + w->count++) % QUEUE] = (struct item){ d, copy };
	d->refs++;
	r = w->failed;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* -- directories ----------------------------------------------------------- */

static void tell_progress(struct walk *w)
{
	uint64_t now = store_now_ms();

	if (now - w->told_ms < TELL_MS)
		return;
	w->told_ms = now;
	pthread_mutex_lock(&w->rc->lock);
	store_log(w->rc->s, "recovery: %llu of %llu files and directories looked at so far",
		  (unsigned long long)w->rc->looked, (unsigned long long)w->seen);
	pthread_mutex_unlock(&w->rc->lock);
}

static int read_dir(struct walk *w, int fd, const char *path);

static int enter(struct walk *w, struct walked_dir *d, const struct dirent *e)
{
	autofree char *path = str_printf("%s/%s", d->path, e->d_name);
	int fd;

	if (!path)
		return -ENOMEM;
	if (recover_wants(w->rc, e->d_ino)) {
		pthread_mutex_lock(&w->rc->lock);
		recover_count(w->rc, e->d_ino, QUOTA_PAGE, 1);
		w->rc->looked++;
		pthread_mutex_unlock(&w->rc->lock);
	}
	fd = openat(d->fd, e->d_name, DIR_FLAGS);
	return fd < 0 ? -errno : read_dir(w, fd, path);
}

/* The second name of a long name is no file of its own. */
static bool is_sidecar(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '~' && len > 2 && strcmp(name + len - 2, ".n") == 0;
}

static int visit(struct walk *w, struct walked_dir *d, const struct dirent *e)
{
	bool wanted = recover_wants(w->rc, e->d_ino), seen;
	unsigned char type = e->d_type;
	struct stat st;
	int r;

	if (type == DT_UNKNOWN || (wanted && type != DT_REG && type != DT_DIR)) {
		if (fstatat(d->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		type = IFTODT(st.st_mode);
	}
	if (type != DT_REG && type != DT_DIR && is_sidecar(e->d_name))
		return 0;
	w->seen++;
	r = recover_note_ino(w->rc, e->d_ino);
	if (r == 0 && type == DT_DIR)
		r = enter(w, d, e);
	else if (r == 0 && wanted)
		r = type == DT_REG ? push(w, d, e->d_name)
				   : count_inode(w->rc, &st, QUOTA_PAGE, &seen);
	return r;
}

/* Takes ownership of 'fd'. */
static int read_dir(struct walk *w, int fd, const char *path)
{
	struct walked_dir *d = calloc(1, sizeof(*d));
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* outlives the listing: files are opened by it */
	autoclosedir DIR *list = own >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int r = 0;

	if (d)
		*d = (struct walked_dir){ .fd = own, .refs = 1, .path = strdup(path) };
	if (!list)
		close(fd);
	if (!d || !d->path || !list)
		r = -ENOMEM;
	while (r == 0) {
		errno = 0;
		e = readdir(list);
		if (!e) {
			r = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = visit(w, d, e);
		tell_progress(w);
	}
	if (d)
		dir_release(w, d);
	return r;
}

int recover_walk(struct recovery *rc, recover_fn fn)
{
	struct walk w = { .rc = rc,
			  .fn = fn,
			  .lock = PTHREAD_MUTEX_INITIALIZER,
			  .cond = PTHREAD_COND_INITIALIZER,
			  .told_ms = store_now_ms() };
	int fd = openat(rc->s->dirfd, "t", DIR_FLAGS), r;
	pthread_t threads[THREADS - 1];
	unsigned n = 0;

	if (fd < 0)
		return -errno;
	/* With fewer threads it takes longer, that is all. */
	while (n < THREADS - 1 && pthread_create(&threads[n], NULL, helper, &w) == 0)
		n++;
	r = read_dir(&w, fd, "t");
	pthread_mutex_lock(&w.lock);
	w.read = true;
	pthread_cond_broadcast(&w.cond);
	while (w.count > 0)
		do_one(&w);
	pthread_mutex_unlock(&w.lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return r < 0 ? r : w.failed;
}
