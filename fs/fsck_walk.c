/* The check's walk over the tree: names, sidecars, directories and their ids, symlinks and their
 * tails.  Regular files are handed on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/fsck_int.h"
#include "fs/quota.h"

#define DIR_FLAGS  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define TREE       "store/t"

/* A directory of the walk. 'path': in the clear, "" for the root. */
struct dir {
	int fd;
	bool has_id;
	uint8_t id[DIRID_LEN];
	const char *path, *place;
	uint64_t entries; /* without sidecars */
};

static int walk_dir(struct fsck *k, int fd, const char *path, const char *place);

/* -- names ---------------------------------------------------------------- */

static int read_link(int dirfd, const char *name, char *out, size_t size)
{
	ssize_t n = readlinkat(dirfd, name, out, size - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	return (size_t)n == size - 1 ? -ENAMETOOLONG : 0;
}

/* The stored name in full: itself, or what its sidecar holds. NULL, or what is wrong. */
static const char *full_name(const struct dir *d, const char *stored, char full[NAME_FULL_SIZE])
{
	char side[NAME_MAX + 8];
	int r;

	if (!name_is_long(stored)) {
		snprintf(full, NAME_FULL_SIZE, "%s", stored);
		return NULL;
	}
	snprintf(side, sizeof(side), "%s" NAME_SIDECAR_SUFFIX, stored);
	r = read_link(d->fd, side, full, NAME_FULL_SIZE);
	if (r == -ENOENT)
		return "the sidecar with its long name is missing";
	if (r < 0 || !name_long_matches(stored, full))
		return "the sidecar with its long name is damaged";
	return NULL;
}

/* NULL when the name is right. 'name' is what can be shown: "?" when nothing can. */
static const char *decode(const struct fsck *k, const struct dir *d, const char *stored,
			  char name[NAME_PLAIN_MAX + 1])
{
	char full[NAME_FULL_SIZE];
	const char *wrong = full_name(d, stored, full);
	size_t len;

	strcpy(name, "?");
	if (wrong)
		return wrong;
	if (d->has_id && name_decrypt(k->p.keys, d->id, full, name, &len) == 0)
		return NULL;
	if (name_decrypt_unplaced(k->p.keys, full, name, &len) < 0) {
		strcpy(name, "?");
		return "its name does not verify";
	}
	/* Of a directory that lost its id all are so: that was told once. */
	return d->has_id ? "its name belongs to another directory, or is damaged" : NULL;
}

static void tell_name(struct fsck *k, const char *path, const char *place, const char *wrong)
{
	fsck_tell(
		k,
		&(struct finding){ .kind = FSCK_DAMAGE,
				   .path = path,
				   .place = place,
				   .consequence = "it is left out of listings and cannot be opened",
				   .remedy = "take it from a copy of the store; if it was moved "
					     "there, move it back" },
		"%s", wrong);
}

/* Readers look at "~hash.n" only when there is "~hash". */
static void check_sidecar(struct fsck *k, const struct dir *d, const char *name, const char *place)
{
	struct finding f = { .kind = FSCK_ORPHAN,
			     .place = place,
			     .consequence = "harmless",
			     .remedy = "sbxctl fsck --repair removes it" };
	char entry[NAME_MAX + 1];
	struct stat st;

	snprintf(entry, sizeof(entry), "%.*s", (int)(strlen(name) - strlen(NAME_SIDECAR_SUFFIX)),
		 name);
	if (fstatat(d->fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return;
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISLNK(st.st_mode)) {
		f.kind = FSCK_FOREIGN;
		f.remedy = "move it away";
	} else if (k->p.repair && !k->crashed && unlinkat(d->fd, name, 0) == 0) {
		f.state = FSCK_REPAIRED;
		f.remedy = "removed";
	}
	fsck_tell(k, &f, "a sidecar of a long name that is not there");
}

/* -- symlinks ------------------------------------------------------------- */

static int note_tail(struct fsck *k, const char *tail)
{
	uint64_t before;
	uint8_t id[16] = { 0 };

	/* The name is a hash: its first characters are as good as all of it. */
	memcpy(id, tail, MIN(strlen(tail), sizeof(id)));
	return idset_note(&k->tails, id, 1, &before);
}

static int check_symlink(struct fsck *k, const struct dir *d, const char *name, const char *path,
			 const char *place)
{
	char stored[SYMLINK_STORED_SIZE + 1], tail[SYMLINK_STORED_SIZE + 1] = "";
	char tail_name[SYMLINK_TAIL_NAME_SIZE], target[SYMLINK_PLAIN_MAX + 1];
	autofree char *below = NULL;
	const char *wrong = NULL;
	bool has_tail = false;
	size_t len;
	int r = read_link(d->fd, name, stored, sizeof(stored));

	k->others++;
	if (r == 0) {
		has_tail = symlink_needs_tail(stored, tail_name);
		if (has_tail) {
			if (note_tail(k, tail_name) < 0)
				return -ENOMEM;
			below = str_printf("l/%s", tail_name);
			if (!below)
				return -ENOMEM;
			if (read_link(store_dirfd(k->s), below, tail, sizeof(tail)) < 0)
				wrong = "the second part of the symlink's target is missing";
		}
		if (!wrong &&
		    symlink_decrypt(k->p.keys, stored, has_tail ? tail : NULL, target, &len) < 0)
			wrong = "the symlink's target does not verify";
	} else {
		wrong = "the symlink cannot be read";
	}
	if (!wrong)
		return 0;
	/* What it named, if it was long, cannot be told any more. */
	k->tails_unknown |= !has_tail;
	fsck_tell(k,
		  &(struct finding){ .kind = FSCK_DAMAGE,
				     .path = path,
				     .place = place,
				     .consequence = "reading the link gives EIO",
				     .remedy = "make the symlink anew" },
		  "%s", wrong);
	return 0;
}

/* Names in l/ that no symlink needs. */
int fsck_tails(struct fsck *k)
{
	int fd = openat(store_dirfd(k->s), "l", DIR_FLAGS);
	autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir)
		return -errno;
	for (errno = 0; (e = readdir(dir)); errno = 0) {
		struct finding f = { .kind = FSCK_ORPHAN,
				     .consequence = "harmless",
				     .remedy = "sbxctl fsck --repair removes it" };
		autofree char *place = str_printf("store/l/%s", e->d_name);
		uint8_t id[16] = { 0 };
		struct stat st;

		memcpy(id, e->d_name, MIN(strlen(e->d_name), sizeof(id)));
		if (e->d_name[0] == '.' || idset_has(&k->tails, id) ||
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		f.place = place;
		if (!S_ISLNK(st.st_mode)) {
			f.kind = FSCK_FOREIGN;
			f.remedy = "move it away";
		} else if (k->tails_unknown) {
			f.consequence = "it may belong to what could not be read";
			f.remedy = "it is kept";
		} else if (k->p.repair && !k->crashed && unlinkat(dirfd(dir), e->d_name, 0) == 0) {
			f.state = FSCK_REPAIRED;
			f.remedy = "removed";
		}
		fsck_tell(k, &f, "the tail of a long symlink that is not there");
	}
	return -errno;
}

/* -- one entry ------------------------------------------------------------ */

static void tell_unreadable(struct fsck *k, const char *path, const char *place, int code)
{
	k->tails_unknown = k->sum_unknown = true;
	fsck_tell(k,
		  &(struct finding){ .kind = FSCK_UNREADABLE,
				     .path = path,
				     .place = place,
				     .consequence = "it was not checked",
				     .remedy = "look at the backing filesystem and its "
					       "permissions" },
		  "it cannot be read: %s", strerror(-code));
}

/* Waits while the workers are busy. Takes ownership of the job's parts. */
static int hand_on(struct fsck *k, struct fsck_job *job)
{
	int r;

	pthread_mutex_lock(&k->lock);
	while (k->count == FSCK_QUEUE && !k->fatal)
		pthread_cond_wait(&k->cond, &k->lock);
	r = k->fatal;
	if (r == 0) {
		k->queue[(k->first + k->count++) % FSCK_QUEUE] = *job;
		*job = (struct fsck_job){ .fd = -1 };
		pthread_cond_broadcast(&k->cond);
	}
	pthread_mutex_unlock(&k->lock);
	if (job->fd >= 0)
		close(job->fd);
	free(job->path);
	free(job->place);
	return r;
}

static int visit_file(struct fsck *k, const struct dir *d, const char *name, const char *path,
		      const char *place)
{
	struct fsck_job job = { .fd = openat(d->fd, name, FILE_FLAGS) };

	if (job.fd < 0 || fstat(job.fd, &job.st) < 0 || !S_ISREG(job.st.st_mode)) {
		tell_unreadable(k, path, place, errno ? -errno : -EIO);
		if (job.fd >= 0)
			close(job.fd);
		return 0;
	}
	job.path = strdup(path);
	job.place = strdup(place);
	if (!job.path || !job.place) {
		close(job.fd);
		free(job.path);
		free(job.place);
		return -ENOMEM;
	}
	return hand_on(k, &job);
}

static int visit_dir(struct fsck *k, const struct dir *d, const char *name, const char *path,
		     const char *place)
{
	int fd = openat(d->fd, name, DIR_FLAGS);

	k->dirs++;
	if (fd >= 0)
		return walk_dir(k, fd, path, place);
	tell_unreadable(k, path, place, -errno);
	return 0;
}

static int visit_typed(struct fsck *k, const struct dir *d, const char *name, const struct stat *st,
		       const char *path, const char *place)
{
	bool again = false;
	int r = 0;

	if (!S_ISDIR(st->st_mode))
		r = idset_met(&k->links, st, &again);
	if (r < 0 || again)
		return r;
	pthread_mutex_lock(&k->lock);
	k->sum_files++;
	if (!S_ISREG(st->st_mode))
		k->sum_bytes += QUOTA_PAGE;
	pthread_mutex_unlock(&k->lock);
	if (S_ISREG(st->st_mode))
		return visit_file(k, d, name, path, place);
	if (S_ISDIR(st->st_mode))
		return visit_dir(k, d, name, path, place);
	if (S_ISLNK(st->st_mode))
		return check_symlink(k, d, name, path, place);
	k->others++;
	if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
		return 0;
	fsck_tell(k,
		  &(struct finding){ .kind = FSCK_FOREIGN,
				     .path = path,
				     .place = place,
				     .consequence = "it is left out of listings",
				     .remedy = "remove it" },
		  "a device node");
	return 0;
}

static int visit(struct fsck *k, struct dir *d, const char *stored)
{
	autofree char *place = str_printf("%s/%s", d->place, stored), *path = NULL;
	char name[NAME_PLAIN_MAX + 1];
	const char *wrong;
	struct stat st;

	if (!place)
		return -ENOMEM;
	if (name_is_sidecar(stored)) {
		check_sidecar(k, d, stored, place);
		return 0;
	}
	d->entries++;
	wrong = decode(k, d, stored, name);
	path = str_printf("%s%s%s", d->path, *d->path ? "/" : "", name);
	if (!path)
		return -ENOMEM;
	if (fstatat(d->fd, stored, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		tell_unreadable(k, path, place, -errno);
		return 0;
	}
	if (wrong)
		tell_name(k, path, place, wrong);
	return visit_typed(k, d, stored, &st, path, place);
}

/* -- directories ---------------------------------------------------------- */

/* Its id; NULL or what is wrong. */
static const char *read_id(const struct fsck *k, struct dir *d)
{
	uint8_t sealed[DIRID_XATTR_LEN + 1];
	ssize_t n;

	d->has_id = true;
	if (k->p.flat || !*d->path)
		return NULL; /* sixteen zeros */
	n = fgetxattr(d->fd, DIRID_XATTR, sealed, sizeof(sealed));
	if (n >= 0 && dirid_open(k->p.keys, sealed, (size_t)n, d->id) == 0)
		return NULL;
	d->has_id = false;
	return n < 0 && errno == ENODATA ? "the directory's id is missing"
					 : "the directory's id is damaged";
}

static int check_dir(struct fsck *k, const struct dir *d, const struct stat *st, const char *wrong)
{
	uint64_t before = 0;
	int r = 0;

	/* mkdir that was cut off leaves an empty one without an id; it gets one when it is used. */
	if (wrong && (d->entries > 0 || strstr(wrong, "damaged")))
		fsck_tell(k,
			  &(struct finding){
				  .kind = FSCK_DAMAGE,
				  .path = d->path,
				  .place = d->place,
				  .consequence = "the directory cannot be opened; the files in it "
						 "are whole if nothing else is said of them",
				  .remedy = "put back its xattr " DIRID_XATTR
					    " from a copy of the store (cp -a, rsync -X)" },
			  "%s", wrong);
	if (d->has_id && *d->path && !k->p.flat) {
		pthread_mutex_lock(&k->lock);
		r = idset_note(&k->ids, d->id, st->st_ino, &before);
		pthread_mutex_unlock(&k->lock);
	}
	if (before)
		fsck_tell(k,
			  &(struct finding){ .kind = FSCK_DAMAGE,
					     .path = d->path,
					     .place = d->place,
					     .consequence =
						     "names can be moved between the two unnoticed",
					     .remedy = "remove the copy" },
			  "the directory is a copy, within the store, of the one with inode %llu",
			  (unsigned long long)before);
	return r < 0 ? r : fsck_attrs(k, d->fd, st, d->has_id ? d->id : NULL, d->path, d->place);
}

/* Takes ownership of 'fd'. */
static int walk_dir(struct fsck *k, int fd, const char *path, const char *place)
{
	struct dir d = { .fd = fd, .path = path, .place = place };
	autoclosedir DIR *dir = fdopendir(fd);
	const char *wrong;
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	wrong = read_id(k, &d);
	while (r == 0) {
		errno = 0;
		e = readdir(dir);
		if (!e)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = visit(k, &d, e->d_name);
	}
	if (r == 0 && errno)
		tell_unreadable(k, path, place, -errno);
	return r < 0 ? r : check_dir(k, &d, &st, wrong);
}

int fsck_walk(struct fsck *k)
{
	int fd = openat(store_dirfd(k->s), "t", DIR_FLAGS);

	return fd < 0 ? -errno : walk_dir(k, fd, "", TREE);
}

/* -- before it ------------------------------------------------------------ */

/* Takes ownership of 'fd'. */
static int count_dir(struct fsck *k, int fd)
{
	autoclosedir DIR *dir = fdopendir(fd);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(dir))) {
		int sub;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    e->d_type == DT_LNK || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode)) {
			k->files_total++;
			k->bytes_total += (uint64_t)st.st_size;
		} else if (S_ISDIR(st.st_mode) && (sub = openat(fd, e->d_name, DIR_FLAGS)) >= 0) {
			r = count_dir(k, sub);
		}
	}
	return r;
}

int fsck_count(struct fsck *k)
{
	int fd = openat(store_dirfd(k->s), "t", DIR_FLAGS);

	k->files_total = k->bytes_total = 0;
	return fd < 0 ? -errno : count_dir(k, fd);
}

char *fsck_plain_path(struct fsck *k, const char *place)
{
	autofree char *copy = strdup(place), *path = strdup("");
	autoclose int fd = openat(k->p.storefd, "t", DIR_FLAGS);
	char name[NAME_PLAIN_MAX + 1], *save = NULL;

	if (!copy || !path || fd < 0 || !strtok_r(copy, "/", &save))
		return NULL;
	for (char *c; (c = strtok_r(NULL, "/", &save));) {
		struct dir d = { .fd = fd, .path = path };
		char *longer;
		int sub;

		(void)read_id(k, &d);
		(void)decode(k, &d, c, name);
		longer = str_printf("%s%s%s", path, *path ? "/" : "", name);
		if (!longer)
			return NULL;
		free(path);
		path = longer;
		sub = openat(fd, c, DIR_FLAGS);
		if (sub < 0)
			break; /* the file itself */
		close(fd);
		fd = sub;
	}
	return take_ptr(path);
}
