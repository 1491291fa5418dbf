/* Names and inodes in memory: lookups, aliases, cookies, what is freed when, descriptors kept. */
#include "fs/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/check.h"

static struct tree *t;

static struct dentry *add(struct node *dir, const char *name, uint64_t ino, uint8_t type)
{
	return dir_add(t, dir, name, strlen(name), ino, type);
}

static struct dentry *find(struct node *dir, const char *name)
{
	return dir_find(t, dir, name, strlen(name));
}

/* As a lookup by the kernel does. */
static struct node *look(struct node *dir, const char *name)
{
	struct dentry *d = find(dir, name);
	struct node *n = d->node ? d->node : tree_by_ino(t, d->ino);

	if (!n)
		n = tree_make(t, d->ino, (mode_t)DTTOIF(d->type));
	dentry_bind(t, d, n);
	n->nlookup++;
	return n;
}

static void names(void)
{
	char name[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CHECK(add(t->root, name, 100 + (uint64_t)i, DT_REG) != NULL);
	}
	CHECK(find(t->root, "f0") != NULL);
	CHECK(find(t->root, "f999") != NULL);
	CHECK(find(t->root, "f1000") == NULL);
	CHECK(find(t->root, "") == NULL);
	CHECK_EQ(find(t->root, "f7")->ino, 107);
	CHECK_EQ(t->root->dir->names.count, 1000);
}

/* A listing that goes on after names went: nothing twice, nothing of the rest left out. */
static void cookies(void)
{
	const struct dir *d = t->root->dir;
	uint64_t at = 0, seen = 0;
	char name[16];
	size_t i;

	for (int k = 0; k < 500; k++) {
		for (i = dir_seek(d, at); i < d->nslots && !d->slots[i].d; i++)
			;
		CHECK(i < d->nslots);
		CHECK(d->slots[i].cookie > at);
		at = d->slots[i].cookie;
		seen++;
		if (k % 2 == 0)
			dir_remove(t, d->slots[i].d);
	}
	CHECK_EQ(d->names.count, 750);
	for (int k = 0; k < 400; k++) { /* most of the first half goes: the slots are squeezed */
		struct dentry *e;

		snprintf(name, sizeof(name), "f%d", k);
		e = find(t->root, name);
		if (e)
			dir_remove(t, e);
	}
	while ((i = dir_seek(d, at)) < d->nslots) {
		at = d->slots[i].cookie;
		seen += d->slots[i].d != NULL;
	}
	CHECK_EQ(seen, 1000);
	CHECK_EQ(dir_seek(d, UINT64_MAX), d->nslots);
	for (int k = 0; k < 1000; k++) {
		struct dentry *e;

		snprintf(name, sizeof(name), "f%d", k);
		e = find(t->root, name);
		if (e)
			dir_remove(t, e);
	}
	CHECK(dir_is_empty(d));
}

static void lookups(void)
{
	struct node *a, *again;
	uint64_t id;

	add(t->root, "a", 7, DT_REG);
	a = look(t->root, "a");
	id = a->nodeid;
	CHECK(tree_by_id(t, id) == a);
	CHECK(look(t->root, "a") == a);
	CHECK_EQ(a->nlookup, 2);
	tree_forget(t, a, 1);
	CHECK(tree_by_id(t, id) == a);
	tree_forget(t, a, 5); /* more than there are: not below zero */
	CHECK(tree_by_id(t, id) == NULL);
	CHECK(find(t->root, "a")->node == NULL);
	again = look(t->root, "a");
	CHECK(again->nodeid > id); /* never used twice */
	tree_forget(t, again, 1);
	CHECK_EQ(t->root->refs, 1);
}

/* Two names, one inode; the way up stays while the inode lives. */
static void aliases(void)
{
	struct node *d1, *d2, *f;
	uint64_t id1;

	add(t->root, "d1", 20, DT_DIR);
	add(t->root, "d2", 21, DT_DIR);
	d1 = look(t->root, "d1");
	d2 = look(t->root, "d2");
	id1 = d1->nodeid;
	add(d1, "x", 22, DT_REG);
	add(d2, "y", 22, DT_REG);
	f = look(d1, "x");
	CHECK(look(d2, "y") == f);
	tree_forget(t, d1, 1);
	tree_forget(t, d2, 1);
	CHECK(tree_by_id(t, id1) == d1); /* held by its child */
	dir_remove(t, find(d1, "x"));
	tree_reap(t, d1);
	CHECK(tree_by_id(t, id1) == NULL);
	CHECK(f->aliases == find(d2, "y"));
	CHECK(f->aliases->next_alias == NULL);
	tree_forget(t, f, 2);
	CHECK_EQ(t->by_id.count, 1);
	CHECK_EQ(t->root->refs, 1);
}

/* Unlinked but open: the inode stays, its number is free for another. */
static void unlinked(void)
{
	struct node *f, *g;

	add(t->root, "f", 30, DT_REG);
	f = look(t->root, "f");
	f->nopen = 1;
	dir_remove(t, find(t->root, "f"));
	tree_hide_ino(t, f);
	CHECK(tree_by_ino(t, 30) == NULL);
	add(t->root, "g", 30, DT_REG);
	g = look(t->root, "g");
	CHECK(g != f);
	CHECK(tree_by_ino(t, 30) == g);
	tree_forget(t, f, 1);
	CHECK(tree_by_id(t, f->nodeid) == f);
	f->nopen = 0;
	tree_reap(t, f);
	CHECK(tree_by_ino(t, 30) == g);
	tree_forget(t, g, 1);
	dir_remove(t, find(t->root, "g"));
}

static struct node *open_dir(const char *name, uint64_t ino)
{
	struct node *n;

	add(t->root, name, ino, DT_DIR);
	n = look(t->root, name);
	dir_set_fd(t, n, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	return n;
}

/* At most max_fds unpinned descriptors; the one not used for longest goes. */
static void descriptors(void)
{
	struct node *a = open_dir("a1", 40), *b = open_dir("b1", 41), *c = open_dir("c1", 42);
	int old;

	CHECK_EQ(t->nfds, 3);
	dir_unpin(t, a, &old);
	CHECK(old >= 0); /* three are open, two may */
	CHECK_EQ(a->dir->fd, -1);
	close(old);
	dir_unpin(t, b, &old);
	CHECK_EQ(old, -1);
	CHECK(dir_pin(t, b));
	CHECK(!dir_pin(t, a));
	dir_unpin(t, c, &old);
	CHECK_EQ(old, -1);
	dir_unpin(t, b, &old);
	dir_set_fd(t, a, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	dir_unpin(t, a, &old);
	CHECK(old >= 0);
	CHECK_EQ(c->dir->fd, -1); /* b was used after it */
	close(old);
	tree_forget(t, a, 1);
	tree_forget(t, b, 1);
	tree_forget(t, c, 1);
	CHECK_EQ(t->nfds, 0);
}

int main(void)
{
	CHECK_EQ(tree_new(2, 2, &t), 0);
	CHECK_EQ(t->root->nodeid, TREE_ROOT_ID);
	names();
	cookies();
	lookups();
	aliases();
	unlinked();
	descriptors();
	tree_free(t);
	tree_free(NULL);
	return check_report();
}
