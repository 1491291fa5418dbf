#include "fs/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch.h"
#include "fs/data_arch.h"
#include "fs/data_int.h"

#define MAX_DIR_FDS 256
#define PATH_FLAGS  (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* -- the list ------------------------------------------------------------- */

int data_new(struct arch_cache *archives, struct data **ret)
{
	struct data *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	r = tree_new(1, MAX_DIR_FDS, &d->tree);
	if (r == 0)
		r = data_leaves_new(&d->leaves);
	if (r < 0) {
		data_free(d);
		return r;
	}
	d->archives = archives;
	d->uid = geteuid();
	d->gid = getegid();
	*ret = d;
	return 0;
}

void data_free(struct data *d)
{
	if (!d)
		return;
	if (d->tree)
		tree_free(d->tree);
	data_sources_free(d->sources, d->nsources);
	arch_pins_free(d);
	data_leaves_free(d->leaves);
	free(d);
}

void data_set_user(struct data *d, void *user)
{
	d->user = user;
}

void *data_user(const struct data *d)
{
	return d->user;
}

void data_set_log(struct data *d, void (*log)(void *ctx, const char *line), void *ctx)
{
	d->log = log;
	d->log_ctx = ctx;
}

void data_set_owner(struct data *d, uid_t uid, gid_t gid)
{
	d->uid = uid;
	d->gid = gid;
}

void data_set_own_devices(struct data *d, const dev_t devs[static 2])
{
	memcpy(d->own, devs, sizeof(d->own));
	d->has_own = devs[0] || devs[1];
}

void data_own_devices(const struct data *d, dev_t ret[static 2])
{
	memcpy(ret, d->own, sizeof(d->own));
}

void data_reset(struct data *d)
{
	struct tree *t;

	if (tree_new(1, MAX_DIR_FDS, &t) < 0)
		return; /* the old one is still true */
	tree_free(d->tree);
	d->tree = t;
	d->has_own = false;
	arch_forget_all(d->archives);
}

/* A symlink anywhere in the path is a change of what was agreed on. */
int data_source_open(const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* -ESTALE: the host has mounted something there. */
int data_open_below(int dirfd, const char *name, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
				.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	return fd >= 0 ? (int)fd : errno == EXDEV ? -ESTALE : -errno;
}

bool data_reachable(const struct data_source *s)
{
	autoclose int fd = data_source_open(s->source, PATH_FLAGS);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 &&
	       (s->what == DATA_IS_DIR ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) &&
	       faccessat(fd, "", s->what == DATA_IS_DIR ? R_OK | X_OK : R_OK,
			 AT_EACCESS | AT_EMPTY_PATH) == 0;
}

bool data_has_below(struct data *d, const char *dir, char ret_name[static 64])
{
	size_t len = strlen(dir);
	bool found = false;

	pthread_mutex_lock(&d->tree->lock);
	for (size_t i = 0; !found && i < d->nsources; i++) {
		const char *p = d->sources[i].path;

		found = strncmp(p, dir, len) == 0 && (p[len] == '\0' || p[len] == '/');
		if (found) {
			strncpy(ret_name, d->sources[i].name, 63);
			ret_name[63] = '\0';
		}
	}
	pthread_mutex_unlock(&d->tree->lock);
	return found;
}

/* Copies of path and base of the dataset 'name'. tree->lock must not be held. */
static int source_find(struct data *d, const char *name, char path[static PATH_MAX],
		       enum data_what *ret_what)
{
	int r = -ENOENT;

	pthread_mutex_lock(&d->tree->lock);
	for (size_t i = 0; i < d->nsources; i++) {
		if (strcmp(d->sources[i].name, name) != 0)
			continue;
		r = strlen(d->sources[i].path) < PATH_MAX ? 0 : -ENAMETOOLONG;
		if (r == 0)
			strcpy(path, d->sources[i].path);
		*ret_what = d->sources[i].what;
	}
	pthread_mutex_unlock(&d->tree->lock);
	return r;
}

/* -- ways ----------------------------------------------------------------- */

int data_node(struct data *d, uint64_t nodeid, struct node **ret)
{
	pthread_mutex_lock(&d->tree->lock);
	*ret = tree_by_id(d->tree, nodeid);
	pthread_mutex_unlock(&d->tree->lock);
	return *ret ? 0 : -ESTALE;
}

/* Name and parent (referenced) of a node. */
static int node_up(struct data *d, struct node *n, char name[static 256], struct node **ret_parent)
{
	int r = -ESTALE;

	pthread_mutex_lock(&d->tree->lock);
	if (n->aliases) {
		strcpy(name, n->aliases->name);
		*ret_parent = n->aliases->parent;
		(*ret_parent)->refs++;
		r = 0;
	}
	pthread_mutex_unlock(&d->tree->lock);
	return r;
}

static void node_unref(struct data *d, struct node *n)
{
	pthread_mutex_lock(&d->tree->lock);
	n->refs--;
	tree_reap(d->tree, n);
	pthread_mutex_unlock(&d->tree->lock);
}

/* A descriptor kept in the tree, as our own copy; -1: there is none. */
static int kept_fd(struct data *d, struct node *n)
{
	int fd = -1;

	pthread_mutex_lock(&d->tree->lock);
	if (n->dir->fd >= 0)
		fd = fcntl(n->dir->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&d->tree->lock);
	return fd;
}

static void keep_fd(struct data *d, struct node *n, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), old = -1;

	if (copy < 0)
		return;
	pthread_mutex_lock(&d->tree->lock);
	if (n->dir->fd < 0) {
		dir_set_fd(d->tree, n, copy);
		copy = -1;
		dir_unpin(d->tree, n, &old);
	}
	pthread_mutex_unlock(&d->tree->lock);
	if (copy >= 0)
		close(copy);
	if (old >= 0)
		close(old);
}

int data_same_inode(const struct node *n, const struct stat *st)
{
	return n->ino == st->st_ino && n->told->dev == (uint32_t)st->st_dev &&
			       n->type == (st->st_mode & S_IFMT)
		       ? 0
		       : -ESTALE;
}

/* The top of a dataset; -EISDIR: a file, in its made-up directory. Not inlined: PATH_MAX of stack
 * must not be taken at every step of the recursion below. */
static __attribute__((noinline)) int top_open(struct data *d, const char *name,
					      enum data_kind *ret_kind)
{
	char path[PATH_MAX];
	enum data_what what = DATA_IS_DIR;
	int fd, r = source_find(d, name, path, &what);

	*ret_kind = what == DATA_IS_FILE ? DATA_SOURCE_FILE : DATA_SOURCE_DIR;
	if (r < 0 || what != DATA_IS_DIR)
		return r < 0 ? r : what == DATA_IS_FILE ? -EISDIR : -ESTALE;
	fd = data_source_open(path, PATH_FLAGS | O_DIRECTORY);
	return fd >= 0 || fd == -EACCES ? fd : -ENOENT;
}

/* The way down to a directory of the host; -EISDIR: it is a made-up one of kind '*ret_kind'. */
static int dir_open(struct data *d, struct node *n, enum data_kind *ret_kind, int depth)
{
	enum data_kind up;
	struct node *parent;
	char name[256];
	struct stat st;
	int fd, pfd, r;

	*ret_kind = DATA_ROOT;
	if (n == d->tree->root)
		return -EISDIR;
	*ret_kind = DATA_BELOW;
	fd = kept_fd(d, n);
	if (fd >= 0 || depth > 2048)
		return fd >= 0 ? fd : -ELOOP;
	r = node_up(d, n, name, &parent);
	if (r < 0)
		return r;
	pfd = dir_open(d, parent, &up, depth + 1);
	node_unref(d, parent);
	if (pfd == -EISDIR && up == DATA_ROOT) {
		fd = top_open(d, name, ret_kind);
	} else if (pfd < 0) {
		return pfd;
	} else {
		fd = data_open_below(pfd, name, PATH_FLAGS | O_DIRECTORY);
		close(pfd);
	}
	if (fd < 0)
		return fd;
	r = fstat(fd, &st) < 0 ? -errno : data_same_inode(n, &st);
	if (r < 0) {
		close(fd);
		return r;
	}
	keep_fd(d, n, fd);
	return fd;
}

int spot_dir(struct data *d, struct node *n, enum data_kind *ret_kind, int *ret_fd)
{
	int fd;

	if (!n->dir)
		return -ENOTDIR;
	fd = part_check(d, n, "", true);
	if (fd == 0)
		fd = dir_open(d, n, ret_kind, 0);
	*ret_fd = fd;
	return fd == -EISDIR ? 0 : fd < 0 ? fd : 0;
}

int spot_get(struct data *d, struct node *n, struct spot *ret)
{
	enum data_kind up;
	struct node *parent;
	int r;

	*ret = (struct spot){ .kind = DATA_BELOW, .dirfd = -1 };
	if (n->dir) { /* by its own descriptor */
		r = spot_dir(d, n, &ret->kind, &ret->dirfd);
		return r;
	}
	r = part_check(d, n, "", false);
	if (r == 0)
		r = node_up(d, n, ret->name, &parent);
	if (r < 0)
		return r;
	r = spot_dir(d, parent, &up, &ret->dirfd);
	if (r == 0 && up == DATA_SOURCE_FILE) {
		char path[PATH_MAX], name[256];
		enum data_what what;
		struct node *root;

		ret->kind = DATA_FILE;
		r = node_up(d, parent, name, &root);
		if (r == 0)
			node_unref(d, root);
		if (r == 0)
			r = source_find(d, name, path, &what);
		if (r == 0) {
			*strrchr(path, '/') = '\0';
			ret->dirfd = data_source_open(*path ? path : "/", PATH_FLAGS | O_DIRECTORY);
			r = ret->dirfd < 0 ? -ENOENT : 0;
		}
	}
	node_unref(d, parent);
	return r;
}

void spot_put(struct spot *s)
{
	if (s->dirfd >= 0)
		close(s->dirfd);
	s->dirfd = -1;
}

/* -- nodes ---------------------------------------------------------------- */

int data_adopt(struct data *d, struct node *parent, const char *name, const struct stat *raw,
	       uint32_t id, struct node **ret)
{
	struct dentry *e;
	struct node *n = NULL;
	size_t len = strlen(name);

	pthread_mutex_lock(&d->tree->lock);
	e = dir_find(d->tree, parent, name, len);
	if (!e)
		e = dir_add(d->tree, parent, name, len, raw->st_ino, (uint8_t)IFTODT(raw->st_mode));
	if (e && dentry_node(e) && data_same_inode(dentry_node(e), raw) == 0 &&
	    dentry_node(e)->told->pin == id)
		n = dentry_node(e);
	if (e && !n) {
		/* Another inode than before, or what is cached of it is of another pin: the old
		 * node loses its name. */
		n = tree_make(d->tree, raw->st_ino, raw->st_mode);
		if (n && node_keep(n) < 0) {
			tree_reap(d->tree, n);
			n = NULL;
		}
		if (n) {
			node_tell(n, raw);
			n->told->pin = id;
			dentry_bind(d->tree, e, n);
		}
	}
	if (n)
		n->nlookup++;
	pthread_mutex_unlock(&d->tree->lock);
	*ret = n;
	return n ? 0 : -ENOMEM;
}

static int lookup_source(struct data *d, const char *name, struct stat *raw, int *ret_fd)
{
	char path[PATH_MAX];
	enum data_what what;
	int r = source_find(d, name, path, &what), fd;

	if (r < 0 || what == DATA_IS_ARCHIVE)
		return r < 0 ? r : -EXDEV;
	fd = data_source_open(path, PATH_FLAGS);
	if (fd < 0)
		return fd == -EACCES ? fd : -ENOENT;
	r = raw_stat(d, fd, "", raw);
	if (r == 0 && (what == DATA_IS_FILE ? !S_ISREG(raw->st_mode) : !S_ISDIR(raw->st_mode)))
		r = -ENOENT;
	if (r == 0 && what == DATA_IS_FILE)
		data_show_made_up(d, name, raw);
	if (r < 0 || what == DATA_IS_FILE) {
		close(fd);
		fd = -1;
	}
	*ret_fd = fd;
	return r;
}

/* A dataset that is an archive, as it is now. */
static int lookup_archive(struct data *d, const char *name, struct data_entry *ret)
{
	char path[PATH_MAX];
	autoclose int fd = -1;
	struct arch *a = NULL;
	enum data_what what;
	struct stat st;
	int r = source_find(d, name, path, &what);

	if (r < 0)
		return r;
	fd = data_source_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd == -EACCES ? fd : -ENOENT;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	r = arch_get(d->archives, name, strrchr(path, '/') + 1, fd, true, &a, NULL, NULL);
	if (r < 0)
		return r == -EINPROGRESS ? r : -EIO; /* the log has the reason */
	r = arch_pin_check(d, name, a);
	if (r == 0)
		data_arch_top(d, a, ret);
	arch_unref(a, 1);
	return r;
}

/* The one name in the made-up directory of a file dataset. */
static int lookup_file(struct data *d, struct node *dir, const char *name, struct stat *raw,
		       int *ret_fd)
{
	char path[PATH_MAX], dataset[256];
	struct node *root;
	enum data_what what;
	int r = node_up(d, dir, dataset, &root);

	if (r < 0)
		return r;
	node_unref(d, root);
	r = source_find(d, dataset, path, &what);
	if (r < 0 || strcmp(strrchr(path, '/') + 1, name) != 0)
		return r < 0 ? r : -ENOENT;
	*ret_fd = data_source_open(path, PATH_FLAGS);
	if (*ret_fd < 0)
		return -ENOENT;
	return raw_stat(d, *ret_fd, "", raw);
}

int data_lookup(struct data *d, uint64_t parent, const char *name, struct data_entry *ret)
{
	autoplace struct pin_place up = { 0 }, at = { 0 };
	enum data_kind kind;
	autoclose int fd = -1;
	struct node *dir, *n;
	struct stat raw;
	const char *sub = "";
	int r, dirfd = -1;

	if (data_arch_owns(parent))
		return data_arch_lookup(d, parent, name, ret);
	r = data_node(d, parent, &dir);
	if (r == 0)
		r = pin_of_node(d, dir, &up);
	if (r == 0)
		r = strlen(name) > 255 ? -ENAMETOOLONG : spot_dir(d, dir, &kind, &dirfd);
	if (r < 0)
		return r;
	if (kind == DATA_ROOT) {
		r = lookup_source(d, name, &raw, &fd);
		if (r == -EXDEV)
			return lookup_archive(d, name, ret);
		if (r == 0)
			r = pin_of_top(d, name, &at);
		if (r == 0)
			r = pin_check_stat(d, &at, &raw);
	} else if (kind == DATA_SOURCE_FILE) {
		r = lookup_file(d, dir, name, &raw, &fd);
	} else {
		fd = dirfd;
		sub = name;
		r = fd_is_mount(fd, name) ? -ENOENT : raw_stat(d, fd, name, &raw);
		if (r == 0)
			r = part_check(d, dir, name, S_ISDIR(raw.st_mode));
	}
	if (up.pin)
		r = pin_of_name(d, &up, name, r, &raw, &at);
	if (r == 0)
		r = data_adopt(d, dir, name, &raw, pin_place_id(&at), &n);
	if (r < 0)
		return r;
	if (kind == DATA_ROOT && fd < 0)
		ret->st = raw;
	else
		data_show(d, fd, sub, &raw, &ret->st);
	part_show(d, n, &ret->st);
	pin_show(&at, &ret->st);
	ret->nodeid = n->nodeid;
	return 0;
}

void data_forget(struct data *d, uint64_t nodeid, uint64_t nlookup)
{
	struct node *n;

	if (data_arch_owns(nodeid)) {
		data_arch_forget(d, nodeid, nlookup);
		return;
	}
	pthread_mutex_lock(&d->tree->lock);
	n = tree_by_id(d->tree, nodeid);
	if (n)
		tree_forget(d->tree, n, nlookup);
	pthread_mutex_unlock(&d->tree->lock);
}

int data_getattr(struct data *d, uint64_t nodeid, struct stat *ret)
{
	autoplace struct pin_place at = { 0 };
	struct spot s;
	struct node *n;
	struct stat raw;
	int r;

	if (data_arch_owns(nodeid))
		return data_arch_getattr(d, nodeid, ret);
	r = data_node(d, nodeid, &n);
	if (r == 0)
		r = pin_of_node(d, n, &at);
	if (r == 0)
		r = spot_get(d, n, &s);
	if (r < 0)
		return r;
	if (s.kind == DATA_ROOT) {
		data_show_made_up(d, "", ret);
	} else if (s.kind == DATA_SOURCE_FILE) {
		node_told(n, ret);
		pin_show(&at, ret);
	} else {
		r = pin_gone(d, &at, raw_stat(d, s.dirfd, s.name, &raw));
		if (r == 0)
			r = data_same_inode(n, &raw);
		if (r == 0)
			r = pin_check_stat(d, &at, &raw);
		if (r == 0)
			data_show(d, s.dirfd, s.name, &raw, ret);
		part_show(d, n, ret);
		pin_show(&at, ret);
	}
	spot_put(&s);
	return r;
}

int data_readlink(struct data *d, uint64_t nodeid, char *buf, size_t size)
{
	autoplace struct pin_place at = { 0 };
	struct spot s;
	struct node *n;
	ssize_t len;
	int r;

	if (data_arch_owns(nodeid))
		return data_arch_readlink(d, nodeid, buf, size);
	r = data_node(d, nodeid, &n);
	if (r == 0)
		r = pin_of_node(d, n, &at);
	if (r == 0)
		r = S_ISLNK(n->type) ? spot_get(d, n, &s) : -EINVAL;
	if (r < 0)
		return r;
	len = readlinkat(s.dirfd, s.name, buf, size);
	r = len < 0 ? pin_gone(d, &at, -errno) : (size_t)len >= size ? -ENAMETOOLONG : 0;
	if (r == 0) {
		buf[len] = '\0';
		r = pin_check_target(d, &at, buf);
	}
	spot_put(&s);
	return r;
}
