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
	struct node *n = dentry_node(d) ? dentry_node(d) : tree_by_ino(t, dentry_ino(d));

	if (!n)
		n = tree_make(t, dentry_ino(d), (mode_t)DTTOIF(d->type));
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
	CHECK_EQ(dentry_ino(find(t->root, "f7")), 107);
	CHECK_EQ(t->root->dir->names.count, 1000);
}

/* A listing that goes on after names went: nothing twice, nothing of the rest left out. */
static void cookies(void)
{
	const struct names *d = &t->root->dir->names;
	uint64_t at = 0, seen = 0;
	struct dentry *e;
	char name[16];
	size_t i;

	for (int k = 0; k < 500; k++) {
		i = names_seek(d, at);
		e = names_next(d, &i);
		CHECK(e != NULL);
		CHECK(e->cookie > at);
		at = e->cookie;
		seen++;
		if (k % 2 == 0)
			dir_remove(t, e);
	}
	CHECK_EQ(d->count, 750);
	for (int k = 0; k < 400; k++) { /* most of the first half goes: the slots are squeezed */
		snprintf(name, sizeof(name), "f%d", k);
		e = find(t->root, name);
		if (e)
			dir_remove(t, e);
	}
	i = names_seek(d, at);
	while ((e = names_next(d, &i))) {
		CHECK(e->cookie > at);
		at = e->cookie;
		seen++;
	}
	CHECK_EQ(seen, 1000);
	CHECK_EQ(names_seek(d, UINT64_MAX), d->nslots);
	for (int k = 0; k < 1000; k++) {
		snprintf(name, sizeof(name), "f%d", k);
		e = find(t->root, name);
		if (e)
			dir_remove(t, e);
	}
	CHECK_EQ(d->count, 0);
}

/* Names come and go in any order: a table that says what must be there, and what must not. */
static void churn(void)
{
	enum { N = 5000 };
	static bool there[N];
	uint32_t rnd = 1, count = 0;
	char name[32];

	for (int k = 0; k < 100000; k++) {
		uint32_t i = (rnd = rnd * 1664525 + 1013904223) >> 8;
		struct dentry *e;

		/* Waves: to full, to almost empty. */
		i = i % N;
		snprintf(name, sizeof(name), "name-%u", i);
		e = find(t->root, name);
		CHECK_EQ(e != NULL, there[i]);
		if (e && (k / 20000 % 2 || rnd >> 31)) {
			CHECK_EQ(dentry_ino(e), i);
			dir_remove(t, e);
			there[i] = false;
			count--;
		} else if (!e && (k / 20000 % 2 == 0 || rnd >> 29 == 0)) {
			CHECK(add(t->root, name, i, DT_REG) != NULL);
			there[i] = true;
			count++;
		}
		if (k % 997 == 0)
			CHECK_EQ(t->root->dir->names.count, count);
	}
	for (uint32_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		CHECK_EQ(find(t->root, name) != NULL, there[i]);
		if (there[i])
			dir_remove(t, find(t->root, name));
	}
	CHECK_EQ(t->root->dir->names.count, 0);
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
	CHECK(dentry_node(find(t->root, "a")) == NULL);
	CHECK_EQ(dentry_ino(find(t->root, "a")), 7);
	CHECK(tree_by_id(t, 0) == NULL);
	CHECK(tree_by_id(t, UINT64_MAX) == NULL);
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
	CHECK(tree_by_ino(t, 22) == NULL); /* for all we know it has one name */
	CHECK_EQ(tree_show_ino(t, f), 0);
	CHECK_EQ(tree_show_ino(t, f), 0);
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
	CHECK_EQ(t->nnodes, 1);
	CHECK_EQ(t->root->refs, 1);
	CHECK_EQ(t->inos.count, 0);
}

/* Unlinked but open: the inode stays, its number is free for another. */
static void unlinked(void)
{
	struct node *f, *g;

	add(t->root, "f", 30, DT_REG);
	f = look(t->root, "f");
	CHECK_EQ(tree_show_ino(t, f), 0);
	f->nopen = 1;
	dir_remove(t, find(t->root, "f"));
	tree_hide_ino(t, f);
	CHECK(tree_by_ino(t, 30) == NULL);
	add(t->root, "g", 30, DT_REG);
	g = look(t->root, "g");
	CHECK(g != f);
	CHECK_EQ(tree_show_ino(t, g), 0);
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

/* What a known inode costs, and that it is given back: the daemon serves trees of a million. */
static void memory(void)
{
	enum { N = 20000, LIMIT = 200 };
	size_t before = tree_bytes(t), full;
	struct node *dir, *n;
	char name[32];
	uint32_t seen = 0;

	add(t->root, "many", 1000, DT_DIR);
	dir = look(t->root, "many");
	for (uint32_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-number-%06u.csv", i);
		add(dir, name, 1001 + i, DT_REG);
		look(dir, name);
	}
	full = tree_bytes(t);
	CHECK(full - before <= (size_t)N * LIMIT);
	CHECK(full - before >= (size_t)N * (sizeof(*n) + sizeof(struct dentry)));
	for (uint32_t pos = 0; (n = tree_next(t, &pos));)
		seen++;
	CHECK_EQ(seen, N + 2);
	tree_forget(t, dir, 1); /* its files hold it */
	for (uint32_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-number-%06u.csv", (i * 7919) % N);
		tree_forget(t, dentry_node(find(dir, name)), 1);
	}
	CHECK_EQ(t->nnodes, 1);
	CHECK(tree_bytes(t) <= before + 3 * SLAB_BYTES);
	dir_remove(t, find(t->root, "many"));
}

/* What is kept for when the store cannot be asked any more. */
static void told(void)
{
	struct stat st = { .st_mode = S_IFREG | 0640, .st_nlink = 1, .st_size = 5, .st_uid = 7 };
	struct node *n;

	add(t->root, "told", 50, DT_REG);
	n = look(t->root, "told");
	n->mode = 0600;
	node_tell(n, &st);
	CHECK_EQ(n->nlink, 1);
	node_told(n, &st);
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(node_keep(n), 0);
	st.st_size = 6;
	st.st_mtim = (struct timespec){ 12, 34 };
	node_tell(n, &st);
	CHECK_EQ(node_keep(n), 0);
	st = (struct stat){ 0 };
	node_told(n, &st);
	CHECK_EQ(st.st_size, 6);
	CHECK_EQ(st.st_ino, 50);
	CHECK_EQ(st.st_mtim.tv_nsec, 34);
	tree_forget(t, n, 1);
	dir_remove(t, find(t->root, "told"));
}

int main(void)
{
	CHECK_EQ(tree_new(2, 2, &t), 0);
	CHECK_EQ(t->root->nodeid, TREE_ROOT_ID);
	names();
	cookies();
	churn();
	lookups();
	aliases();
	unlinked();
	descriptors();
	told();
	memory();
	tree_free(t);
	tree_free(NULL);
	return check_report();
}
