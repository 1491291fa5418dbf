/* Listings of datasets: host directories with the host's own offsets, and made-up ones. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch.h"
#include "fs/data_arch.h"
#include "fs/data_int.h"

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

struct data_dir {
	struct data *d;
	struct node *n;
	enum data_kind kind;
	int fd; /* host directory, or -1 */
	dev_t dev;
	bool part;      /* not all of it is shown */
	char **made_up; /* names of a made-up one */
	size_t nmade_up;
	struct pin_place pin; /* pinned: its names are these */
	int error;
	struct arch *arch; /* of an archive, referenced */
	uint32_t inode, shown;
	uint64_t off;   /* of the next entry */
	char name[256]; /* shown last */
	long have, at;  /* bytes of buf: filled, consumed */
	_Alignas(8) char buf[32768];
};

static int made_up_root(struct data_dir *dir)
{
	struct data *d = dir->d;
	int r = 0;

	pthread_mutex_lock(&d->tree->lock);
	dir->made_up = calloc(d->nsources + 1, sizeof(char *));
	for (size_t i = 0; dir->made_up && i < d->nsources; i++) {
		dir->made_up[i] = strdup(d->sources[i].name);
		dir->nmade_up += dir->made_up[i] != NULL;
		if (!dir->made_up[i])
			r = -ENOMEM;
	}
	pthread_mutex_unlock(&d->tree->lock);
	return dir->made_up ? r : -ENOMEM;
}

static int made_up_file(struct data_dir *dir)
{
	struct data *d = dir->d;

	dir->made_up = calloc(2, sizeof(char *));
	if (!dir->made_up)
		return -ENOMEM;
	pthread_mutex_lock(&d->tree->lock);
	for (size_t i = 0; dir->n->aliases && i < d->nsources; i++)
		if (strcmp(d->sources[i].name, dir->n->aliases->name) == 0)
			dir->made_up[0] = strdup(d->sources[i].base);
	pthread_mutex_unlock(&d->tree->lock);
	dir->nmade_up = dir->made_up[0] != NULL;
	return 0;
}

static int host_opendir(struct data_dir *dir, uint64_t nodeid)
{
	autoclose int path_fd = -1;
	struct stat st;
	int r = data_node(dir->d, nodeid, &dir->n);

	if (r == 0)
		r = pin_of_node(dir->d, dir->n, &dir->pin);
	if (r == 0)
		r = spot_dir(dir->d, dir->n, &dir->kind, &path_fd);
	if (r < 0)
		return r;
	if (dir->kind == DATA_ROOT)
		return made_up_root(dir);
	if (dir->kind == DATA_SOURCE_FILE)
		return made_up_file(dir);
	dir->fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0 || fstat(dir->fd, &st) < 0)
		return -errno;
	dir->dev = st.st_dev;
	dir->part = part_is(dir->d, dir->n);
	return 0;
}

int data_opendir(struct data *d, uint64_t nodeid, struct data_dir **ret)
{
	struct data_dir *dir = calloc(1, sizeof(*dir));
	int r;

	if (!dir)
		return -ENOMEM;
	dir->d = d;
	dir->fd = -1;
	dir->inode = (uint32_t)nodeid;
	r = data_arch_owns(nodeid) ? data_arch_opendir(d, nodeid, &dir->arch)
				   : host_opendir(dir, nodeid);
	if (r < 0) {
		data_closedir(dir);
		return r;
	}
	*ret = dir;
	return 0;
}

void data_closedir(struct data_dir *dir)
{
	if (!dir)
		return;
	for (size_t i = 0; i < dir->nmade_up; i++)
		free(dir->made_up[i]);
	free(dir->made_up);
	if (dir->fd >= 0)
		close(dir->fd);
	arch_unref(dir->arch, 1);
	pin_place_put(&dir->pin);
	free(dir);
}

void data_seekdir(struct data_dir *dir, uint64_t off)
{
	if (dir->off == off)
		return;
	dir->off = off;
	dir->have = dir->at = 0;
	if (dir->fd >= 0 && !dir->pin.pin)
		(void)lseek(dir->fd, (off_t)off, SEEK_SET);
}

/* Made-up: ".", "..", then the names; offsets count. */
static bool next_made_up(struct data_dir *dir, struct data_dirent *ret)
{
	uint64_t i = dir->off;

	if (i >= dir->nmade_up + 2)
		return false;
	dir->off = i + 1;
	*ret = (struct data_dirent){
		.name = i == 0   ? "."
			: i == 1 ? ".."
				 : dir->made_up[i - 2],
		.ino = i + 2,
		.type = i > 1 && dir->kind == DATA_SOURCE_FILE ? S_IFREG : S_IFDIR,
		.next_off = i + 1,
	};
	return true;
}

/* As it was pinned, whatever the host has by now; offsets count as above. */
static bool next_pinned(struct data_dir *dir, struct data_dirent *ret)
{
	static const mode_t types[256] = {
		['d'] = S_IFDIR,  ['f'] = S_IFREG, ['l'] = S_IFLNK, ['p'] = S_IFIFO,
		['s'] = S_IFSOCK, ['c'] = S_IFCHR, ['b'] = S_IFBLK
	};
	const struct pin_record *top = &dir->pin.rec;
	uint32_t i = dir->pin.i;
	struct pin_record rec = *top;

	if (dir->off < 2) {
		strcpy(dir->name, dir->off == 0 ? "." : "..");
		i = dir->off == 0 ? i : top->parent;
	} else {
		if (dir->off - 2 >= top->count)
			return false;
		i = top->first + (uint32_t)(dir->off - 2);
		dir->error = pin_record(dir->pin.pin, i, &rec);
		if (dir->error == 0)
			dir->error = pin_name(dir->pin.pin, &rec, dir->name);
		if (dir->error < 0) {
			dir->error = pin_broken(dir->d, dir->pin.pin, dir->error);
			return false;
		}
	}
	dir->off++;
	*ret = (struct data_dirent){
		.name = dir->name,
		.ino = pin_ino(dir->pin.pin, i),
		.type = types[rec.type],
		.next_off = dir->off,
	};
	return true;
}

/* The host's next entry; NULL at the end. */
static const struct linux_dirent64 *next_raw(struct data_dir *dir)
{
	const struct linux_dirent64 *e;

	if (dir->at >= dir->have) {
		dir->at = 0;
		dir->have = syscall(SYS_getdents64, dir->fd, dir->buf, sizeof(dir->buf));
		if (dir->have <= 0) {
			dir->have = 0;
			return NULL;
		}
	}
	e = (const void *)(dir->buf + dir->at);
	dir->at += e->d_reclen;
	dir->off = (uint64_t)e->d_off;
	strncpy(dir->name, e->d_name, sizeof(dir->name) - 1);
	return e;
}

/* Is the entry, whose name is in dir->name, left out of what is shown? */
static bool left_out(struct data_dir *dir, unsigned char type)
{
	struct stat st;

	if (strcmp(dir->name, ".") == 0 || strcmp(dir->name, "..") == 0)
		return false;
	/* On a file there is hardly ever a mount, and it would cost every name: the lookup says it.
	 */
	if (type == DT_DIR && fd_is_mount(dir->fd, dir->name))
		return true;
	if (!dir->part)
		return false;
	if (type == DT_UNKNOWN && raw_stat(dir->d, dir->fd, dir->name, &st) == 0)
		type = (unsigned char)IFTODT(st.st_mode);
	return part_check(dir->d, dir->n, dir->name, type == DT_DIR) < 0;
}

bool data_readdir(struct data_dir *dir, struct data_dirent *ret)
{
	const struct linux_dirent64 *e;

	if (dir->arch) {
		if (!data_arch_readdir(dir->arch, dir->inode, dir->off, dir->name, &dir->shown,
				       ret))
			return false;
		dir->off = ret->next_off;
		return true;
	}
	if (dir->pin.pin)
		return next_pinned(dir, ret);
	if (dir->fd < 0) {
		if (!next_made_up(dir, ret))
			return false;
		strcpy(dir->name, ret->name);
		return true;
	}
	do {
		e = next_raw(dir);
	} while (e && left_out(dir, e->d_type));
	if (!e)
		return false;
	*ret = (struct data_dirent){
		.name = dir->name,
		.ino = data_ino(dir->d, dir->dev, e->d_ino),
		.type = (mode_t)DTTOIF(e->d_type),
		.next_off = dir->off,
	};
	return true;
}

int data_dir_error(const struct data_dir *dir)
{
	return dir->error;
}

bool data_dir_is_fixed(const struct data_dir *dir)
{
	return dir->arch;
}

int data_dir_entry(struct data_dir *dir, struct data_entry *ret)
{
	struct stat raw;
	struct node *n;
	int r;

	if (dir->arch) {
		data_arch_entry(dir->d, dir->arch, dir->shown, ret);
		return 0;
	}
	if (dir->fd < 0 || dir->pin.pin)
		return data_lookup(dir->d, dir->n->nodeid, dir->name, ret);
	r = fd_is_mount(dir->fd, dir->name) ? -ENOENT : raw_stat(dir->d, dir->fd, dir->name, &raw);
	if (r == 0)
		r = data_adopt(dir->d, dir->n, dir->name, &raw, 0, &n);
	if (r < 0)
		return r;
	data_show(dir->d, dir->fd, dir->name, &raw, &ret->st);
	part_show(dir->d, n, &ret->st);
	ret->nodeid = n->nodeid;
	return 0;
}
