#include "tests/diff/model.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t seed;
bool is_root, dir_nlink;
char shared_dir[BASE_SIZE];

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t rnd(struct thread *t)
{
	return next(&t->rng);
}

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "no memory\n");
		exit(2);
	}
	return p;
}

/* -- inodes and names ----------------------------------------------------- */

struct mnode *node_new(struct thread *t, mode_t mode)
{
	struct mnode *n = need(calloc(1, sizeof(*n)));

	n->mode = mode;
	n->nlink = S_ISDIR(mode) ? 2 : 0;
	n->refs = 1;
	if (S_ISDIR(mode))
		n->entries = need(calloc(MAX_ENTRIES, sizeof(*n->entries)));
	t->nodes++;
	return n;
}

void node_unref(struct thread *t, struct mnode *n)
{
	if (--n->refs > 0)
		return;
	data_resize(t, n, 0);
	free(n->data);
	free(n->target);
	free(n->entries);
	for (size_t i = 0; i < MAX_XATTRS; i++)
		free(n->xattrs[i]);
	free(n);
	t->nodes--;
}

struct mentry *entry_find(struct mnode *dir, const char *name)
{
	for (size_t i = 0; i < dir->nentries; i++)
		if (strcmp(dir->entries[i].name, name) == 0)
			return &dir->entries[i];
	return NULL;
}

void entry_add(struct mnode *dir, const char *name, struct mnode *n)
{
	struct mentry *e = &dir->entries[dir->nentries++];

	strcpy(e->name, name);
	e->n = n;
	n->refs++;
	if (S_ISDIR(n->mode)) {
		n->parent = dir;
		dir->nlink++;
	} else {
		n->nlink++;
	}
	dir->mtime_set = false;
}

void entry_remove(struct thread *t, struct mnode *dir, struct mentry *e)
{
	struct mnode *n = e->n;

	*e = dir->entries[--dir->nentries];
	if (S_ISDIR(n->mode)) {
		dir->nlink--;
		n->parent = NULL;
	} else {
		n->nlink--;
	}
	dir->mtime_set = false;
	node_unref(t, n);
}

bool is_within(const struct mnode *n, const struct mnode *dir)
{
	for (; n; n = n->parent)
		if (n == dir)
			return true;
	return false;
}

unsigned depth_of(const struct mnode *dir)
{
	unsigned depth = 0;

	for (; dir->parent; dir = dir->parent)
		depth++;
	return depth;
}

struct mnode *pick_dir(struct thread *t)
{
	struct mnode *dir = t->root;

	for (;;) {
		struct mnode *down = NULL;
		unsigned seen = 0;

		if (below(t, 3) == 0)
			return dir;
		for (size_t i = 0; i < dir->nentries; i++)
			if (S_ISDIR(dir->entries[i].n->mode) && below(t, ++seen) == 0)
				down = dir->entries[i].n;
		if (!down)
			return dir;
		dir = down;
	}
}

static void name_random(struct thread *t, char *name, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 ._-~\n\\\"";

	for (size_t i = 0; i < len; i++)
		name[i] = below(t, 12) == 0 ? (char)(128 + below(t, 128))
					    : letters[below(t, sizeof(letters) - 1)];
	name[0] = 'n'; /* neither "." nor ".." */
	name[len] = '\0';
}

void pick_name(struct thread *t, struct mnode *dir, char name[static NAME_SIZE])
{
	uint64_t kind = below(t, 20);

	if (kind < 11 && dir->nentries > 0) {
		strcpy(name, dir->entries[below(t, dir->nentries)].name);
	} else if (kind < 17) {
		snprintf(name, NAME_SIZE, "f%u", (unsigned)below(t, 24));
	} else {
		/* The store keeps names of more than 160 bytes in another way. */
		size_t len = kind == 17   ? 1 + below(t, 255)
			     : kind == 18 ? 150 + below(t, 25)
					  : 253 + below(t, 3);

		name_random(t, name, len);
	}
}

static size_t path_dir(const struct thread *t, const struct mnode *dir, char *path)
{
	size_t len;

	if (!dir->parent) {
		strcpy(path, t->base);
		return strlen(path);
	}
	len = path_dir(t, dir->parent, path);
	for (size_t i = 0; i < dir->parent->nentries; i++)
		if (dir->parent->entries[i].n == dir)
			len += (size_t)sprintf(path + len, "/%s", dir->parent->entries[i].name);
	return len;
}

void path_of(const struct thread *t, const struct mnode *dir, const char *name,
	     char path[static PATH_SIZE])
{
	size_t len = path_dir(t, dir, path);

	if (name)
		sprintf(path + len, "/%s", name);
}

/* -- content -------------------------------------------------------------- */

void data_resize(struct thread *t, struct mnode *n, size_t size)
{
	if (size > n->size) {
		n->data = need(realloc(n->data, size));
		memset(n->data + n->size, 0, size - n->size);
	}
	t->bytes += size - n->size;
	n->size = size;
}

void data_touched(struct mnode *n)
{
	n->mtime_set = false;
}

/* -- saying so ------------------------------------------------------------ */

void note(struct thread *t, const char *fmt, ...)
{
	char *line = t->history[t->done++ % 16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(t->history[0]), fmt, ap);
	va_end(ap);
}

static pthread_mutex_t last_words = PTHREAD_MUTEX_INITIALIZER;

_Noreturn void differs(struct thread *t, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&last_words); /* for good: one report is enough */
	fprintf(stderr, "BAD seed %llu, thread %u, operation %llu\n", (unsigned long long)seed,
		t->number, (unsigned long long)t->done);
	for (uint64_t i = t->done > 16 ? t->done - 16 : 0; i < t->done; i++)
		fprintf(stderr, "  %llu: %s\n", (unsigned long long)i + 1, t->history[i % 16]);
	fprintf(stderr, "BAD ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	_exit(1);
}

void expect(struct thread *t, long r, int want)
{
	int got = r < 0 ? errno : 0;

	if (got != want)
		differs(t, "it gave %s, expected %s", got ? strerrorname_np(got) : "success",
			want ? strerrorname_np(want) : "success");
}
