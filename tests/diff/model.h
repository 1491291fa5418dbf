/* The differential tester: random operations on a directory, each compared with what a model in
 * memory says.  Each thread has a subtree and a model of its own, so the outcome of a seed does not
 * depend on the schedule; what threads do to each other is in shared.c.
 *
 * A difference ends the program: seed, thread, the operations before it, what was expected. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
	MAX_NODES = 160,
	MAX_ENTRIES = 48,
	MAX_HANDLES = 8,
	MAX_XATTRS = 5,
	MAX_DEPTH = 6,
	PATH_SIZE = 4096,
	BASE_SIZE = 1024,
	NAME_SIZE = 256,
	SIZE_USUAL = 300 * 1024,
	SIZE_BIG = 3 * 1024 * 1024,
	SIZE_TOTAL = 24 * 1024 * 1024, /* of one thread; beyond it files shrink only */
};

struct mxattr {
	char name[64];
	uint8_t value[320];
	size_t len;
};

struct mentry {
	char name[NAME_SIZE];
	struct mnode *n;
};

/* An inode. Freed when no name and no handle is left. */
struct mnode {
	unsigned refs, nlink;
	mode_t mode; /* with type */
	uint64_t ino;
	bool mtime_set; /* by utimensat, and no change since */
	struct timespec mtime;
	uint8_t *data; /* S_IFREG: 'size' bytes */
	size_t size;
	bool big;
	char *target;         /* S_IFLNK */
	struct mnode *parent; /* S_IFDIR */
	struct mentry *entries;
	size_t nentries;
	struct mxattr *xattrs[MAX_XATTRS];
};

struct handle {
	int fd; /* -1: free */
	struct mnode *n;
	bool readable, writable, append;
};

struct thread {
	unsigned number;
	uint64_t rng, shared_rng;
	char base[BASE_SIZE]; /* its directory */
	struct mnode *root;
	size_t nodes, bytes;
	struct handle handles[MAX_HANDLES];
	uint64_t done;
	char history[16][384]; /* the last operations, a ring */
	/* shared.c */
	long balance[32];
	uint64_t records;
};

extern uint64_t seed;
extern bool is_root, dir_nlink;
extern char shared_dir[BASE_SIZE];

/* -- model.c -------------------------------------------------------------- */

uint64_t rnd(struct thread *t);
static inline uint64_t below(struct thread *t, uint64_t n)
{
	return rnd(t) % n;
}

struct mnode *node_new(struct thread *t, mode_t mode);
void node_unref(struct thread *t, struct mnode *n);
struct mentry *entry_find(struct mnode *dir, const char *name);
void entry_add(struct mnode *dir, const char *name, struct mnode *n); /* takes one link */
void entry_remove(struct thread *t, struct mnode *dir, struct mentry *e);
bool is_within(const struct mnode *n, const struct mnode *dir); /* n is dir or below it */
unsigned depth_of(const struct mnode *dir);

/* A random directory, and a name: mostly of a small set, so that names meet. */
struct mnode *pick_dir(struct thread *t);
void pick_name(struct thread *t, struct mnode *dir, char name[static NAME_SIZE]);
void path_of(const struct thread *t, const struct mnode *dir, const char *name,
	     char path[static PATH_SIZE]);

void data_resize(struct thread *t, struct mnode *n, size_t size);
void data_touched(struct mnode *n); /* its mtime is no longer the one that was set */

/* Write down what is about to be done. */
void note(struct thread *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The end. */
_Noreturn void differs(struct thread *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* 'r' is what a call returned; it must have failed with 'want', or worked if that is 0. */
void expect(struct thread *t, long r, int want);

/* -- ops_names.c, ops_files.c, ops_dirs.c: one operation ------------------ */

void op_names(struct thread *t);
void op_files(struct thread *t);
void op_attrs(struct thread *t);
void op_scan(struct thread *t);
void handles_close(struct thread *t);
void handle_open(struct thread *t);

/* -- check.c -------------------------------------------------------------- */

void check_stat(struct thread *t, struct mnode *n, const char *path);
void check_content(struct thread *t, struct mnode *n, int fd);
void check_xattrs(struct thread *t, struct mnode *n, const char *path);
void check_listing(struct thread *t, struct mnode *dir);
void check_tree(struct thread *t); /* everything */

/* -- shared.c ------------------------------------------------------------- */

void shared_start(void);
void op_shared(struct thread *t);
/* All threads rest: the sum of what each did is what is there. */
void shared_check(struct thread *threads, unsigned n);
