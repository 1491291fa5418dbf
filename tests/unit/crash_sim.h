/* What a power cut would leave: every write of a store is recorded, and at any moment a directory
 * can be built in which each page of what was not synced is old, new, between or torn. */
#pragma once

#include <dirent.h>
#include <pthread.h>

#include "tests/unit/store_kit.h"

#define SIM_FILES 512
#define SIM_PAGE  4096u

struct sim_op {
	uint64_t off, len;
	uint8_t *data; /* NULL: zeros */
};

struct sim_file {
	uint64_t ino, first_ino; /* 'ino' is 0 once another file has the number */
	char path[64];           /* below the store */
	bool unlinked;           /* not durably: the name may come back */
	bool durable;            /* its name and first content are */
	uint8_t *base;           /* content at the last sync */
	uint64_t base_size;
	uint64_t size;      /* now */
	struct sim_op *ops; /* since the last sync */
	size_t nops, capops;
	uint64_t sizes[256]; /* that it had since */
	size_t nsizes;
};

/* The numbers of the files of a state that was built, and those that the store knew them by. */
struct sim_map {
	size_t n;
	struct {
		uint64_t now, then;
	} v[SIM_FILES];
};

struct sim {
	pthread_mutex_t lock;
	const struct sim_map *map; /* what is recorded is such a state itself */
	struct store_io io;
	char dir[256];
	struct sim_file f[SIM_FILES];
	size_t n;
	uint64_t nops;
	uint64_t rnd;
	/* Called with the lock held, between any two operations. */
	void (*moment)(struct sim *s, void *ctx);
	void *ctx;
};

static inline uint64_t sim_pick(struct sim *s, uint64_t n)
{
	return kit_random(&s->rnd) % n;
}

static inline void sim_size(struct sim_file *f, uint64_t size)
{
	f->size = size;
	if (f->nsizes < 256)
		f->sizes[f->nsizes++] = size;
	else
		f->sizes[size % 256] = size;
}

static inline void sim_read_base(struct sim_file *f, int fd)
{
	struct stat st;

	fstat(fd, &st);
	f->base_size = f->size = (uint64_t)st.st_size;
	free(f->base);
	f->base = calloc(1, f->base_size + 1);
	if (pread(fd, f->base, f->base_size, 0) != (ssize_t)f->base_size)
		abort();
	for (size_t i = 0; i < f->nops; i++)
		free(f->ops[i].data);
	f->nops = 0;
	f->nsizes = 0;
}

static inline struct sim_file *sim_find(struct sim *s, int fd)
{
	struct sim_file *f;
	char proc[64], path[512];
	struct stat st;
	ssize_t n;

	fstat(fd, &st);
	for (size_t i = 0; i < s->n; i++) {
		if (s->f[i].ino != st.st_ino)
			continue;
		if (!s->f[i].unlinked || st.st_nlink == 0)
			return &s->f[i];
		s->f[i].ino = 0; /* the number was given to another file */
	}
	if (s->n == SIM_FILES)
		abort();
	f = &s->f[s->n++];
	memset(f, 0, sizeof(*f));
	f->ino = f->first_ino = st.st_ino;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	snprintf(f->path, sizeof(f->path), "%s", path + strlen(s->dir) + 1);
	f->base = calloc(1, 1);
	return f;
}

static inline void sim_record(struct sim_file *f, uint64_t off, uint64_t len, const void *data)
{
	struct sim_op *op;

	if (len == 0)
		return;
	if (f->nops == f->capops) {
		f->capops = f->capops ? f->capops * 2 : 16;
		f->ops = realloc(f->ops, f->capops * sizeof(*f->ops));
	}
	op = &f->ops[f->nops++];
	*op = (struct sim_op){ off, len, NULL };
	if (data) {
		op->data = malloc(len);
		memcpy(op->data, data, len);
	}
}

static inline void sim_moment(struct sim *s)
{
	s->nops++;
	if (s->moment)
		s->moment(s, s->ctx);
}

static inline ssize_t sim_pwritev(void *ctx, int fd, const struct iovec *iov, int n, off_t off)
{
	struct sim *s = ctx;
	uint64_t at = (uint64_t)off;
	struct sim_file *f;

	pthread_mutex_lock(&s->lock);
	f = sim_find(s, fd);
	for (int i = 0; i < n; i++) {
		if (pwrite(fd, iov[i].iov_base, iov[i].iov_len, (off_t)at) !=
		    (ssize_t)iov[i].iov_len)
			abort();
		sim_record(f, at, iov[i].iov_len, iov[i].iov_base);
		at += iov[i].iov_len;
	}
	if (at > f->size)
		sim_size(f, at);
	sim_moment(s);
	pthread_mutex_unlock(&s->lock);
	return (ssize_t)(at - (uint64_t)off);
}

static inline int sim_sync(void *ctx, int fd)
{
	struct sim *s = ctx;
	struct sim_file *f;

	pthread_mutex_lock(&s->lock);
	f = sim_find(s, fd);
	sim_moment(s);
	sim_read_base(f, fd);
	f->durable = true;
	sim_moment(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static inline int sim_syncfs(void *ctx, int fd)
{
	struct sim *s = ctx;

	pthread_mutex_lock(&s->lock);
	sim_moment(s);
	for (size_t i = 0; i < s->n; i++) {
		char path[512];
		int one;

		snprintf(path, sizeof(path), "%s/%s", s->dir, s->f[i].path);
		one = s->f[i].path[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (one < 0) {
			s->f[i].path[0] = 0; /* unlinked, and that is durable now */
			continue;
		}
		sim_read_base(&s->f[i], one);
		s->f[i].durable = true;
		close(one);
	}
	sim_moment(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static inline int sim_ftruncate(void *ctx, int fd, off_t len)
{
	struct sim *s = ctx;
	struct sim_file *f;
	int r;

	pthread_mutex_lock(&s->lock);
	f = sim_find(s, fd);
	r = ftruncate(fd, len);
	if ((uint64_t)len < f->size)
		sim_record(f, (uint64_t)len, f->size - (uint64_t)len, NULL);
	sim_size(f, (uint64_t)len);
	sim_moment(s);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static inline int sim_fallocate(void *ctx, int fd, int mode, off_t off, off_t len)
{
	struct sim *s = ctx;
	struct sim_file *f;
	int r;

	pthread_mutex_lock(&s->lock);
	f = sim_find(s, fd);
	r = fallocate(fd, mode, off, len);
	if (r == 0 && mode)
		sim_record(f, (uint64_t)off, (uint64_t)len, NULL);
	sim_moment(s);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static inline uint64_t sim_then(const struct sim_map *map, uint64_t ino)
{
	for (size_t i = 0; map && i < map->n; i++) {
		if (map->v[i].now == ino)
			return map->v[i].then;
	}
	return ino * KIT_APART;
}

static inline uint64_t sim_was_ino(void *ctx, uint64_t ino)
{
	const struct sim *s = ctx;

	return sim_then(s ? s->map : NULL, ino);
}

/* Start recording in a store directory whose present content is durable. */
static inline void sim_start(struct sim *s, const char *dir, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	s->rnd = seed;
	s->io = (struct store_io){ s,           sim_pwritev,   sim_sync,      sim_sync,
				   sim_syncfs,  sim_ftruncate, sim_fallocate, sim_was_ino,
				   kit_was_bind };
}

/* A file that is there already. */
static inline void sim_add(struct sim *s, const char *path)
{
	char full[600];
	struct sim_file *f;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", s->dir, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	f = sim_find(s, fd);
	sim_read_base(f, fd);
	f->durable = true;
	close(fd);
}

static inline void sim_add_tree(struct sim *s)
{
	char path[300];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/t", s->dir);
	d = opendir(path);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "t/%s", e->d_name);
		if (e->d_name[0] != '.')
			sim_add(s, path);
	}
	closedir(d);
}

/* Unlink a file of the tree. */
static inline void sim_unlink(struct sim *s, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", s->dir, path);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->f[i].path, path) == 0)
			s->f[i].unlinked = true;
	}
	unlink(full);
	pthread_mutex_unlock(&s->lock);
}

static inline void sim_end(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < s->f[i].nops; k++)
			free(s->f[i].ops[k].data);
		free(s->f[i].ops);
		free(s->f[i].base);
	}
}

/* The part of 'op' that lies in [from, to) of the file, into 'buf' (whose byte 0 is offset 'at').
 */
static inline void sim_apply(const struct sim_op *op, uint64_t from, uint64_t to, uint8_t *buf,
			     uint64_t at)
{
	uint64_t a = op->off > from ? op->off : from;
	uint64_t b = op->off + op->len < to ? op->off + op->len : to;

	if (a >= b)
		return;
	if (op->data)
		memcpy(buf + (a - at), op->data + (a - op->off), b - a);
	else
		memset(buf + (a - at), 0, b - a);
}

enum sim_mode { SIM_NONE, SIM_ALL, SIM_ANY };

/* One page in one of the versions that the disk may hold. */
static inline void sim_build_page(struct sim *s, const struct sim_file *f, uint64_t at,
				  uint8_t *page, enum sim_mode mode)
{
	size_t touch[4096], m = 0, k;

	for (size_t i = 0; i < f->nops && m < 4096; i++) {
		if (f->ops[i].off < at + SIM_PAGE && f->ops[i].off + f->ops[i].len > at)
			touch[m++] = i;
	}
	k = mode == SIM_NONE ? 0 : mode == SIM_ALL ? m : sim_pick(s, m + 1);
	for (size_t i = 0; i < k; i++)
		sim_apply(&f->ops[touch[i]], at, at + SIM_PAGE, page, at);
	if (mode == SIM_ANY && k < m && sim_pick(s, 3) == 0) {
		/* Torn: any range of bytes of the next version, or of the newest one. */
		size_t upto = sim_pick(s, 2) ? k + 1 : m;
		/* Half of them in what headers and states use of their page. */
		uint64_t a = at + sim_pick(s, sim_pick(s, 2) ? 128 : SIM_PAGE);
		uint64_t b = a + sim_pick(s, at + SIM_PAGE - a) + 1;

		for (size_t i = k; i < upto; i++)
			sim_apply(&f->ops[touch[i]], a, b, page, at);
	}
}

static inline void sim_note(struct sim *s, const struct sim_file *f, int fd, struct sim_map *map)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || map->n == SIM_FILES)
		abort();
	map->v[map->n].now = st.st_ino;
	map->v[map->n++].then = sim_then(s->map, f->first_ino);
}

static inline void sim_build_file(struct sim *s, const struct sim_file *f, const char *dir,
				  struct sim_map *map)
{
	enum sim_mode mode = sim_pick(s, 4) == 0   ? SIM_NONE
			     : sim_pick(s, 3) == 0 ? SIM_ALL
						   : SIM_ANY;
	uint64_t size = f->base_size, max = f->base_size;
	char path[512];
	uint8_t *buf;
	int fd;

	if (!f->durable && mode == SIM_NONE && sim_pick(s, 2))
		return; /* not even its name */
	if (f->unlinked && sim_pick(s, 2))
		return;
	for (size_t i = 0; i < f->nsizes; i++)
		max = f->sizes[i] > max ? f->sizes[i] : max;
	if (mode == SIM_ALL)
		size = f->size;
	else if (mode == SIM_ANY && f->nsizes && sim_pick(s, 4))
		size = f->sizes[sim_pick(s, f->nsizes)];
	buf = calloc(1, max + SIM_PAGE);
	memcpy(buf, f->base, f->base_size);
	for (uint64_t at = 0; at < max; at += SIM_PAGE)
		sim_build_page(s, f, at, buf + at, mode);
	snprintf(path, sizeof(path), "%s/%s", dir, f->path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
	if (fd < 0 || pwrite(fd, buf, size, 0) != (ssize_t)size)
		abort();
	sim_note(s, f, fd, map);
	close(fd);
	free(buf);
}

/* Under the lock: what a crash now may leave, in a new directory. */
static inline void sim_build(struct sim *s, char dir[256], struct sim_map *map)
{
	char sub[300];

	snprintf(dir, 256, "%s/sbx-crash-XXXXXX", kit_base());
	if (!mkdtemp(dir))
		abort();
	snprintf(sub, sizeof(sub), "%s/t", dir);
	mkdir(sub, 0700);
	snprintf(sub, sizeof(sub), "%s/l", dir);
	mkdir(sub, 0700);
	map->n = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->f[i].path[0])
			sim_build_file(s, &s->f[i], dir, map);
	}
}
