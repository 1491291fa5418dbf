/* Operations on names: making, removing, linking, renaming. */
#include "tests/diff/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spot {
	struct mnode *dir;
	struct mentry *e; /* NULL: free */
	char name[NAME_SIZE], path[PATH_SIZE];
};

static void pick(struct thread *t, struct spot *s)
{
	s->dir = pick_dir(t);
	pick_name(t, s->dir, s->name);
	s->e = entry_find(s->dir, s->name);
	path_of(t, s->dir, s->name, s->path);
}

static bool room(const struct thread *t, const struct spot *s)
{
	return s->e || (s->dir->nentries < MAX_ENTRIES && t->nodes < MAX_NODES);
}

static void made(struct thread *t, struct spot *s, struct mnode *n)
{
	entry_add(s->dir, s->name, n);
	node_unref(t, n);
}

static void make_dir(struct thread *t)
{
	mode_t mode = 0700 | (mode_t)below(t, 0100);
	struct spot s;

	pick(t, &s);
	if (!room(t, &s) || depth_of(s.dir) >= MAX_DEPTH)
		return;
	note(t, "mkdir %s %o", s.path, mode);
	expect(t, mkdir(s.path, mode), s.e ? EEXIST : 0);
	if (!s.e)
		made(t, &s, node_new(t, S_IFDIR | (mode & ~(mode_t)022)));
}

static void make_fifo(struct thread *t)
{
	struct spot s;

	pick(t, &s);
	if (!room(t, &s))
		return;
	note(t, "mkfifo %s", s.path);
	expect(t, mkfifo(s.path, 0640), s.e ? EEXIST : 0);
	if (!s.e)
		made(t, &s, node_new(t, S_IFIFO | 0640));
}

static void make_symlink(struct thread *t)
{
	static const size_t edges[] = { 1, 15, 16, 17, 3000, 3030, 3031, 3032, 4094, 4095 };
	size_t len = below(t, 4) == 0 ? edges[below(t, sizeof(edges) / sizeof(edges[0]))]
				      : 1 + below(t, below(t, 3) ? 60 : 4095);
	char target[4096];
	struct mnode *n;
	struct spot s;

	pick(t, &s);
	if (!room(t, &s))
		return;
	for (size_t i = 0; i < len; i++)
		target[i] = (char)('a' + below(t, 26));
	target[len] = '\0';
	note(t, "symlink %s, %zu bytes", s.path, len);
	expect(t, symlink(target, s.path), s.e ? EEXIST : 0);
	if (s.e)
		return;
	n = node_new(t, S_IFLNK | 0777);
	n->target = strdup(target);
	made(t, &s, n);
}

static void make_link(struct thread *t)
{
	struct spot from, to;
	int want = 0;

	pick(t, &from);
	pick(t, &to);
	if (!room(t, &to))
		return;
	note(t, "link %s %s", from.path, to.path);
	if (!from.e)
		want = ENOENT;
	else if (to.e)
		want = EEXIST;
	else if (S_ISDIR(from.e->n->mode))
		want = EPERM;
	expect(t, link(from.path, to.path), want);
	if (want == 0)
		entry_add(to.dir, to.name, from.e->n);
}

static void remove_one(struct thread *t)
{
	bool as_dir = below(t, 3) == 0;
	struct spot s;
	int want = 0;

	pick(t, &s);
	if (s.e && below(t, 8) > 0) /* mostly the right call */
		as_dir = S_ISDIR(s.e->n->mode);
	note(t, "%s %s", as_dir ? "rmdir" : "unlink", s.path);
	if (!s.e)
		want = ENOENT;
	else if (as_dir)
		want = !S_ISDIR(s.e->n->mode) ? ENOTDIR : s.e->n->nentries ? ENOTEMPTY : 0;
	else
		want = S_ISDIR(s.e->n->mode) ? EISDIR : 0;
	expect(t, as_dir ? rmdir(s.path) : unlink(s.path), want);
	if (want == 0)
		entry_remove(t, s.dir, s.e);
}

/* What the kernel checks, in its order. */
static int rename_outcome(const struct spot *a, const struct spot *b, unsigned flags)
{
	const struct mnode *from, *to;

	if (!a->e)
		return ENOENT;
	if (flags & RENAME_NOREPLACE && b->e)
		return EEXIST;
	if (flags & RENAME_EXCHANGE && !b->e)
		return ENOENT;
	from = a->e->n;
	to = b->e ? b->e->n : NULL;
	if (a->dir != b->dir && S_ISDIR(from->mode) && is_within(b->dir, from))
		return EINVAL;
	if (a->dir != b->dir && to && S_ISDIR(to->mode) && is_within(a->dir, to))
		return flags & RENAME_EXCHANGE ? EINVAL : ENOTEMPTY;
	if (!to || from == to || flags & RENAME_EXCHANGE)
		return 0;
	if (S_ISDIR(from->mode) != S_ISDIR(to->mode))
		return S_ISDIR(from->mode) ? ENOTDIR : EISDIR;
	return S_ISDIR(to->mode) && to->nentries ? ENOTEMPTY : 0;
}

static void exchange(struct spot *a, struct spot *b)
{
	struct mnode *x = a->e->n, *y = b->e->n;

	a->e->n = y;
	b->e->n = x;
	a->dir->mtime_set = b->dir->mtime_set = false;
	if (S_ISDIR(x->mode)) {
		x->parent = b->dir;
		a->dir->nlink--;
		b->dir->nlink++;
	}
	if (S_ISDIR(y->mode)) {
		y->parent = a->dir;
		b->dir->nlink--;
		a->dir->nlink++;
	}
}

static void move(struct thread *t, struct spot *a, struct spot *b)
{
	struct mnode *n = a->e->n;

	n->refs++;
	if (b->e)
		entry_remove(t, b->dir, b->e);
	entry_remove(t, a->dir, entry_find(a->dir, a->name));
	entry_add(b->dir, b->name, n);
	node_unref(t, n);
}

/* How deep a directory reaches. */
static unsigned height_of(const struct mnode *n)
{
	unsigned most = 0;

	for (size_t i = 0; S_ISDIR(n->mode) && i < n->nentries; i++) {
		unsigned h = 1 + height_of(n->entries[i].n);

		most = h > most ? h : most;
	}
	return most;
}

static void rename_one(struct thread *t)
{
	static const unsigned kinds[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned flags = kinds[below(t, 5)];
	struct spot a, b;
	int want;

	pick(t, &a);
	pick(t, &b);
	if (!room(t, &b) || (a.e && depth_of(b.dir) + height_of(a.e->n) >= MAX_DEPTH) ||
	    (b.e && depth_of(a.dir) + height_of(b.e->n) >= MAX_DEPTH))
		return;
	note(t, "rename flags %u: %s %s", flags, a.path, b.path);
	want = rename_outcome(&a, &b, flags);
	expect(t, renameat2(AT_FDCWD, a.path, AT_FDCWD, b.path, flags), want);
	if (want || a.e->n == (b.e ? b.e->n : NULL))
		return;
	if (flags & RENAME_EXCHANGE)
		exchange(&a, &b);
	else
		move(t, &a, &b);
}

void op_names(struct thread *t)
{
	uint64_t kind = below(t, 100);

	if (t->nodes > MAX_NODES * 9 / 10)
		kind = 45 + below(t, 55);
	if (kind < 12)
		make_dir(t);
	else if (kind < 15)
		make_fifo(t);
	else if (kind < 25)
		make_symlink(t);
	else if (kind < 35)
		make_link(t);
	else if (kind < 45)
		handle_open(t);
	else if (kind < 70)
		remove_one(t);
	else
		rename_one(t);
}
