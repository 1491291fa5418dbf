/* The files below WS/cache. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/arch_int.h"

#define FILE_NAME 128
#define INDEX_MAX (8ull << 30)

int arch_store_dir(struct arch_cache *c, bool make)
{
	struct stat st;
	int fd;

	if (make && mkdirat(c->p.wsfd, ARCH_CACHE_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(c->p.wsfd, ARCH_CACHE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Somebody else's directory is not a place for what only we may read. */
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 077) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

static void index_name(const char *name, char ret[static FILE_NAME])
{
	snprintf(ret, FILE_NAME, "%s.index", name);
}

/* Names what it was made for, so the bytes of another state are never taken for these. */
static void data_name(const struct arch *a, const char *end, char ret[static FILE_NAME])
{
	const struct arch_head *h = a->ix.head;
	uint64_t id = h->check ^ (uint64_t)h->id.mtime_ns * 0x9e3779b97f4a7c15u ^
		      (uint64_t)h->id.mtime ^ h->id.ino << 32 ^ h->id.size << 8 ^
		      (uint64_t)h->id.ctime_ns * 0xff51afd7ed558ccdu;

	snprintf(ret, FILE_NAME, "%s.%016" PRIx64 ".%s", a->name, id, end);
}

/* -- indexes --------------------------------------------------------------- */

static int map_file(int fd, void **ret, size_t *ret_size)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct arch_head) ||
	    (uint64_t)st.st_size > INDEX_MAX)
		return -EBADMSG;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	*ret_size = (size_t)st.st_size;
	return 0;
}

int arch_store_load(struct arch_cache *c, const char *name, const struct arch_id *id, void **ret,
		    size_t *ret_size)
{
	autoclose int dir = arch_store_dir(c, false), fd = -1;
	char file[FILE_NAME];
	struct arch_index ix;
	size_t size = 0;
	void *mem = NULL;
	int r;

	if (dir < 0)
		return dir;
	index_name(name, file);
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = map_file(fd, &mem, &size);
	if (r < 0)
		return r;
	r = arch_index_check(mem, size, &ix);
	if (r == 0 && !arch_id_same(&ix.head->id, id))
		r = -EBADMSG;
	if (r < 0) {
		munmap(mem, size);
		return r;
	}
	*ret = mem;
	*ret_size = size;
	return 0;
}

int arch_store_save(struct arch_cache *c, const char *name, const void *mem, size_t size,
		    void **ret)
{
	autoclose int dir = arch_store_dir(c, true), fd = -1;
	char file[FILE_NAME];
	size_t mapped;
	int r;

	if (dir < 0)
		return dir;
	index_name(name, file);
	r = fd_replace_file(dir, file, mem, size, 0600, NULL);
	if (r < 0)
		return r;
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : map_file(fd, ret, &mapped);
}

/* -- unpacked bytes -------------------------------------------------------- */

int arch_store_data(struct arch *a)
{
	autoclose int dir = arch_store_dir(a->c, false), fd = -1;
	char file[FILE_NAME];
	struct stat st;

	if (dir < 0)
		return dir;
	data_name(a, "data", file);
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != a->ix.head->unpacked)
		return -EBADMSG;
	return take_fd(&fd);
}

static bool has_end(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

/* In use, by the name of its file; one that is only kept open is let go. */
static bool is_used(struct arch_cache *c, const char *file)
{
	char name[FILE_NAME];

	for (struct arch *a = c->all; a; a = a->next) {
		data_name(a, "data", name);
		if (strcmp(name, file) != 0)
			continue;
		if (a->uses > 0 || a->unpack == UNPACK_RUNS)
			return true;
		if (a->data >= 0)
			close(a->data);
		a->data = -1;
		a->unpack = UNPACK_NOT;
	}
	return false;
}

/* The bytes of all complete files, and the oldest that nobody uses. */
static uint64_t survey(struct arch_cache *c, int dirfd, char oldest[static FILE_NAME])
{
	autoclosedir DIR *d = NULL;
	struct timespec best = { 0 };
	struct dirent *e;
	uint64_t sum = 0;
	struct stat st;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	oldest[0] = '\0';
	d = fd >= 0 ? fdopendir(fd) : NULL;
	while (d && (e = readdir(d))) {
		if (!has_end(e->d_name, ".data") || strlen(e->d_name) >= FILE_NAME ||
		    fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		sum += (uint64_t)st.st_size;
		if ((!oldest[0] || st.st_mtim.tv_sec < best.tv_sec ||
		     (st.st_mtim.tv_sec == best.tv_sec && st.st_mtim.tv_nsec < best.tv_nsec)) &&
		    !is_used(c, e->d_name)) {
			strcpy(oldest, e->d_name);
			best = st.st_mtim;
		}
	}
	return sum;
}

static int make_room(struct arch_cache *c, int dir, uint64_t need, struct err *err)
{
	char oldest[FILE_NAME], a[24], b[24];

	for (;;) {
		uint64_t have = survey(c, dir, oldest) + c->reserved;

		if (need <= c->p.bytes && have <= c->p.bytes - need)
			return 0;
		if (!oldest[0] || unlinkat(dir, oldest, 0) < 0)
			break;
	}
	format_size(need, a);
	format_size(c->p.bytes, b);
	return err_set(
		err, -ENOSPC,
		"unpacked it takes %s, and the cache (%s) has no more room: give it more with "
		"'sbxctl set WS quota.cache=SIZE', or close files of other archives.",
		a, b);
}

int arch_store_data_new(struct arch *a, struct err *err)
{
	autoclose int dir = arch_store_dir(a->c, true), fd = -1;
	char file[FILE_NAME];
	int r;

	if (dir < 0)
		return err_set(err, dir, "open '" ARCH_CACHE_DIR "' of the workspace");
	r = make_room(a->c, dir, a->ix.head->unpacked, err);
	if (r < 0)
		return r;
	data_name(a, "part", file);
	(void)unlinkat(dir, file, 0);
	fd = openat(dir, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "create '" ARCH_CACHE_DIR "/%s'", file);
	return take_fd(&fd);
}

int arch_store_data_done(struct arch *a, int fd)
{
	autoclose int dir = arch_store_dir(a->c, false);
	char part[FILE_NAME], file[FILE_NAME];

	data_name(a, "part", part);
	data_name(a, "data", file);
	if (dir < 0)
		return dir;
	/* Its size says that it is whole, so its bytes must be there before its name. */
	if (fdatasync(fd) < 0 || renameat(dir, part, dir, file) < 0)
		return -errno;
	return 0;
}

void arch_store_data_drop(struct arch *a)
{
	autoclose int dir = arch_store_dir(a->c, false);
	char part[FILE_NAME];

	data_name(a, "part", part);
	if (dir >= 0)
		(void)unlinkat(dir, part, 0);
}

/* NAME.index, NAME.<16 digits>.data or .part: names of datasets may have dots themselves. */
static bool belongs(const char *file, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(file, name, n) != 0 || file[n] != '.')
		return false;
	file += n + 1;
	return strcmp(file, "index") == 0 ||
	       (strspn(file, "0123456789abcdef") == 16 &&
		(strcmp(file + 16, ".data") == 0 || strcmp(file + 16, ".part") == 0));
}

void arch_store_remove(struct arch_cache *c, const char *name)
{
	int dir = arch_store_dir(c, false);
	autoclosedir DIR *d = dir >= 0 ? fdopendir(dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (belongs(e->d_name, name))
			(void)unlinkat(dirfd(d), e->d_name, 0);
}

void arch_cache_sweep(struct arch_cache *c, const char *const *names, size_t n)
{
	int dir = arch_store_dir(c, false);
	autoclosedir DIR *d = dir >= 0 ? fdopendir(dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		bool keep = false,
		     ours = has_end(e->d_name, ".index") || has_end(e->d_name, ".data") ||
			    has_end(e->d_name, ".part") || has_end(e->d_name, ".index.new");

		for (size_t i = 0; !keep && i < n; i++)
			keep = belongs(e->d_name, names[i]) && !has_end(e->d_name, ".part");
		if (ours && !keep)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
}
