/* The index of an archive: what each kind of entry becomes, and that nothing unsound is taken. */
#include "fs/arch_index.h"

#include <errno.h>

#include "fs/arch_proto.h"
#include "tests/check.h"

static const struct arch_id id = { 1, 2, 1 << 20, 4, 5, 6, 7 };

static struct arch_build *start(void)
{
	const struct arch_build_limits l = { .archive_size = 1 << 20,
					     .max_bytes = 10000,
					     .max_entries = 5000 };
	struct arch_build *b = NULL;

	CHECK_EQ(arch_build_new(&l, &b), 0);
	return b;
}

static int add(struct arch_build *b, int type, const char *name, const char *target, uint64_t size)
{
	const struct arch_entry e = {
		.type = (uint8_t)type,
		.mode = 0644,
		.size = size,
		.mtime = 100,
		.name = name,
		.name_len = strlen(name),
		.target = target,
		.target_len = strlen(target),
	};

	return arch_build_add(b, &e);
}

struct made {
	void *mem;
	size_t size;
	struct arch_index ix;
};

static struct made finish(struct arch_build *b)
{
	struct made m = { 0 };

	CHECK_EQ(arch_build_finish(b, &id, 0, "tar", &m.mem, &m.size), 0);
	CHECK_EQ(arch_index_check(m.mem, m.size, &m.ix), 0);
	arch_build_free(b);
	return m;
}

/* The inode at a path, or ARCH_NO_INODE. */
static uint32_t at(const struct made *m, const char *path)
{
	uint32_t i = 0;

	while (*path && i != ARCH_NO_INODE) {
		size_t n = strcspn(path, "/");

		i = arch_index_find(&m->ix, i, path, n);
		path += n + (path[n] == '/');
	}
	return i;
}

static const struct arch_inode *inode(const struct made *m, const char *path)
{
	static const struct arch_inode none = { .nlink = 999, .size = 999, .flags = 999 };
	const struct arch_inode *n = arch_index_inode(&m->ix, at(m, path));

	CHECK(n != NULL);
	return n ? n : &none;
}

static void plain(void)
{
	struct arch_build *b = start();
	struct made m;

	CHECK_EQ(add(b, ARCH_FILE, "d/b", "", 10), 0);
	CHECK_EQ(add(b, ARCH_FILE, "./d//a", "", 20), 0);
	CHECK_EQ(add(b, ARCH_DIR, "d/", "", 0), 0);
	CHECK_EQ(add(b, ARCH_DIR, "e/f/", "", 0), 0);
	CHECK_EQ(add(b, ARCH_SYMLINK, "e/s", "../../..", 0), 0);
	CHECK_EQ(add(b, ARCH_FILE, "/abs", "", 1), 0);
	m = finish(b);
	CHECK_EQ(inode(&m, "d/b")->at, 0);
	CHECK_EQ(inode(&m, "d/a")->at, 10);
	CHECK_EQ(inode(&m, "abs")->at, 30);
	CHECK_EQ(inode(&m, "d")->mtime, 100);
	CHECK_EQ(inode(&m, "e")->mtime, id.mtime); /* it has no entry */
	CHECK_EQ(inode(&m, "e")->nlink, 3);
	CHECK_EQ(inode(&m, "")->nlink, 4);
	CHECK_EQ(inode(&m, "e/s")->size, 8);
	CHECK_EQ(inode(&m, "e/s")->flags, ARCH_INODE_SYMLINK);
	CHECK_EQ(m.ix.head->files, 4);
	CHECK_EQ(m.ix.head->bytes, 31);
	CHECK_EQ(m.ix.head->unpacked, 31);
	/* sorted */
	CHECK_EQ(arch_index_at(&m.ix, at(&m, "d"), 0)->inode, at(&m, "d/a"));
	CHECK(!arch_index_at(&m.ix, at(&m, "d"), 2));
	CHECK(!arch_index_at(&m.ix, at(&m, "d/a"), 0));
	CHECK_EQ(at(&m, "d/ab"), ARCH_NO_INODE);
	free(m.mem);
}

static void left_out(void)
{
	struct arch_build *b = start();
	char deep[1000] = "", longname[300];
	struct made m;

	memset(longname, 'x', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = '\0';
	for (int i = 0; i < 300; i++)
		strcat(deep, "a/");
	CHECK_EQ(add(b, ARCH_FILE, "../up", "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, "a/../../up", "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, "a/..", "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, "", "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, "/", "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, longname, "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, deep, "", 1), 0);
	CHECK_EQ(add(b, ARCH_SYMLINK, "s", "", 0), 0);
	CHECK_EQ(add(b, ARCH_OTHER, "dev", "", 0), 0);
	CHECK_EQ(add(b, ARCH_HARDLINK, "h", "nothing", 0), 0);
	CHECK_EQ(add(b, ARCH_HARDLINK, "h", "../../etc/passwd", 0), 0);
	CHECK_EQ(add(b, ARCH_FILE, "kept", "", 1), 0);
	m = finish(b);
	CHECK_EQ(m.ix.head->left_names, 8);
	CHECK_EQ(m.ix.head->left_kinds, 1);
	CHECK_EQ(m.ix.head->left_links, 2);
	CHECK_EQ(m.ix.head->files, 1);
	CHECK_EQ(inode(&m, "kept")->at, 7); /* the bytes of the others are there all the same */
	free(m.mem);
}

static void twice(void)
{
	struct arch_build *b = start();
	struct made m;

	CHECK_EQ(add(b, ARCH_FILE, "f", "", 1), 0);
	CHECK_EQ(add(b, ARCH_FILE, "f", "", 2), 0);
	CHECK_EQ(add(b, ARCH_SYMLINK, "l", "/etc", 0), 0);
	CHECK_EQ(add(b, ARCH_FILE, "l/passwd", "", 3), 0); /* never through the link */
	CHECK_EQ(add(b, ARCH_FILE, "g", "", 4), 0);
	CHECK_EQ(add(b, ARCH_DIR, "g", "", 0), 0);
	CHECK_EQ(add(b, ARCH_DIR, "empty", "", 0), 0);
	CHECK_EQ(add(b, ARCH_FILE, "empty", "", 5), 0);
	CHECK_EQ(add(b, ARCH_FILE, "full/x", "", 6), 0);
	CHECK_EQ(add(b, ARCH_FILE, "full", "", 7), 0);
	m = finish(b);
	CHECK_EQ(inode(&m, "f")->size, 2);
	CHECK_EQ(inode(&m, "l")->flags, ARCH_INODE_DIR);
	CHECK_EQ(inode(&m, "l/passwd")->size, 3);
	CHECK_EQ(inode(&m, "g")->flags, ARCH_INODE_DIR);
	CHECK_EQ(inode(&m, "empty")->size, 5);
	CHECK_EQ(inode(&m, "full/x")->size, 6);
	CHECK_EQ(m.ix.head->replaced, 4);
	CHECK_EQ(m.ix.head->left_names, 1);
	free(m.mem);
}

static void links(void)
{
	struct arch_build *b = start();
	struct made m;

	CHECK_EQ(add(b, ARCH_FILE, "a", "", 0), 0);
	CHECK_EQ(add(b, ARCH_HARDLINK, "sub/b", "./a", 0), 0);
	CHECK_EQ(add(b, ARCH_HARDLINK, "c", "a", 9), 0); /* cpio: the bytes come last */
	CHECK_EQ(add(b, ARCH_HARDLINK, "a", "a", 0), 0);
	CHECK_EQ(add(b, ARCH_FILE, "z", "", 1), 0);
	m = finish(b);
	CHECK_EQ(at(&m, "a"), at(&m, "sub/b"));
	CHECK_EQ(at(&m, "a"), at(&m, "c"));
	CHECK_EQ(inode(&m, "a")->nlink, 3);
	CHECK_EQ(inode(&m, "a")->size, 9);
	CHECK_EQ(inode(&m, "z")->at, 9);
	free(m.mem);
}

static void limits(void)
{
	struct arch_build *b = start();
	struct arch_entry e = { .type = ARCH_FILE, .in_place = true, .name = "p", .name_len = 1 };
	char name[16];
	int r = 0;

	CHECK_EQ(add(b, ARCH_FILE, "a", "", 10001), -EFBIG);
	CHECK_EQ(add(b, ARCH_FILE, "a", "", 10000), 0);
	CHECK_EQ(add(b, ARCH_FILE, "b", "", 1), -EFBIG);
	CHECK_EQ(add(b, ARCH_FILE, "b", "", UINT64_MAX), -EBADMSG);
	e.size = 1 << 20;
	CHECK_EQ(arch_build_add(b, &e), 0);
	e.place = 1;
	CHECK_EQ(arch_build_add(b, &e), -EBADMSG); /* beyond the archive */
	e.place = UINT64_MAX;
	CHECK_EQ(arch_build_add(b, &e), -EBADMSG);
	for (int i = 0; i < 6000 && r == 0; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		r = add(b, ARCH_FILE, name, "", 0);
	}
	CHECK_EQ(r, -EFBIG);
	arch_build_free(b);
}

/* Every byte flipped is noticed; and with a sum that fits, nothing leads outside. */
static void damaged(void)
{
	struct arch_build *b = start();
	struct arch_index ix;
	struct made m;
	unsigned taken = 0;

	CHECK_EQ(add(b, ARCH_FILE, "d/a", "", 10), 0);
	CHECK_EQ(add(b, ARCH_SYMLINK, "d/s", "x", 10), 0);
	m = finish(b);
	for (size_t i = sizeof(struct arch_head); i < m.size; i++) {
		((uint8_t *)m.mem)[i] ^= 0x41;
		taken += arch_index_check(m.mem, m.size, &ix) == 0;
		((uint8_t *)m.mem)[i] ^= 0x41;
	}
	CHECK_EQ(taken, 0);
	CHECK_EQ(arch_index_check(m.mem, m.size - 1, &ix), -EBADMSG);
	CHECK_EQ(arch_index_check(m.mem, 10, &ix), -EBADMSG);
	((struct arch_head *)m.mem)->ninodes++;
	CHECK_EQ(arch_index_check(m.mem, m.size, &ix), -EBADMSG);
	free(m.mem);
}

/* A hundred thousand names in one directory and in a chain of few: found again, all. */
static void many(void)
{
	const struct arch_build_limits l = { .max_entries = 200000 };
	struct arch_build *b = NULL;
	struct made m;
	char name[64];
	unsigned lost = 0;

	CHECK_EQ(arch_build_new(&l, &b), 0);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "dir%u/file-%u", i % 3, i * 2654435761u);
		CHECK_EQ(add(b, ARCH_FILE, name, "", 0), 0);
	}
	m = finish(b);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "dir%u/file-%u", i % 3, i * 2654435761u);
		lost += at(&m, name) == ARCH_NO_INODE;
	}
	CHECK_EQ(lost, 0);
	CHECK_EQ(m.ix.head->files, 100000);
	free(m.mem);
}

int main(void)
{
	plain();
	left_out();
	twice();
	links();
	limits();
	damaged();
	many();
	return check_report();
}
