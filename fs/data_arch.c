#include "fs/data_arch.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/arch.h"
#include "fs/arch_index.h"
#include "fs/data_int.h"

/* Node ids: this bit, the archive's number, the inode's number. Those of the tree count up from 1.
 */
#define OWN        (1ull << 63)
#define SLOT_SHIFT 32
#define SLOT_MASK  0x7fffffffu

bool data_arch_owns(uint64_t nodeid)
{
	return nodeid & OWN;
}

bool data_is_fixed(uint64_t nodeid)
{
	return data_arch_owns(nodeid);
}

static uint32_t slot_of(uint64_t nodeid)
{
	return nodeid >> SLOT_SHIFT & SLOT_MASK;
}

static uint64_t id_of(const struct arch *a, uint32_t inode)
{
	return OWN | (uint64_t)arch_slot(a) << SLOT_SHIFT | inode;
}

static void cleanup_arch(struct arch **a)
{
	arch_unref(*a, 1);
}
#define autoarch __attribute__((cleanup(cleanup_arch)))

/* The archive, referenced, and the inode; -ESTALE. */
static int find(struct data *d, uint64_t nodeid, struct arch **ret, const struct arch_inode **ret_n)
{
	*ret = arch_by_slot(d->archives, slot_of(nodeid));
	*ret_n = *ret ? arch_index_inode(arch_index_of(*ret), (uint32_t)nodeid) : NULL;
	return *ret_n ? 0 : -ESTALE;
}

/* Distinct among the datasets, and the same each time an archive is mounted. */
static uint64_t ino_of(const struct arch *a, uint32_t inode)
{
	uint32_t h = 2166136261u;

	for (const char *s = arch_dataset(a); *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return OWN | (uint64_t)(h & SLOT_MASK) << SLOT_SHIFT | inode;
}

static mode_t type_of(const struct arch_inode *n)
{
	return n->flags & ARCH_INODE_DIR       ? S_IFDIR
	       : n->flags & ARCH_INODE_SYMLINK ? S_IFLNK
					       : S_IFREG;
}

/* Whoever may read the archive may read all of it: its own owners and modes mean people elsewhere.
 */
static void show(struct data *d, const struct arch *a, uint32_t inode, struct stat *ret)
{
	const struct arch_inode *n = arch_index_inode(arch_index_of(a), inode);
	mode_t type = type_of(n);
	struct timespec t = { n->mtime, n->mtime_ns };

	*ret = (struct stat){
		.st_ino = ino_of(a, inode),
		.st_mode = type | 0444,
		.st_nlink = n->nlink,
		.st_uid = d->uid,
		.st_gid = d->gid,
		.st_blksize = TREE_BLKSIZE,
		.st_atim = t,
		.st_mtim = t,
		.st_ctim = t,
	};
	if (type == S_IFLNK)
		ret->st_mode = type | 0777;
	else if (type == S_IFDIR || n->flags & ARCH_INODE_EXEC)
		ret->st_mode |= 0111;
	if (type == S_IFDIR)
		return;
	ret->st_size = (off_t)n->size;
	ret->st_blocks = (blkcnt_t)((n->size + 511) / 512);
}

/* Counts a lookup. */
static void entry(struct data *d, struct arch *a, uint32_t inode, struct data_entry *ret)
{
	arch_lookup(a);
	ret->nodeid = id_of(a, inode);
	show(d, a, inode, &ret->st);
}

void data_arch_top(struct data *d, struct arch *a, struct data_entry *ret)
{
	entry(d, a, 0, ret);
}

int data_arch_lookup(struct data *d, uint64_t parent, const char *name, struct data_entry *ret)
{
	const struct arch_inode *n;
	autoarch struct arch *a = NULL;
	uint32_t found;
	int r = find(d, parent, &a, &n);

	if (r < 0)
		return r;
	if (!(n->flags & ARCH_INODE_DIR))
		return -ENOTDIR;
	if (strlen(name) > 255)
		return -ENAMETOOLONG;
	found = arch_index_find(arch_index_of(a), (uint32_t)parent, name, strlen(name));
	if (found == ARCH_NO_INODE)
		return -ENOENT;
	entry(d, a, found, ret);
	return 0;
}

void data_arch_forget(struct data *d, uint64_t nodeid, uint64_t nlookup)
{
	arch_forget(d->archives, slot_of(nodeid), nlookup);
}

int data_arch_getattr(struct data *d, uint64_t nodeid, struct stat *ret)
{
	const struct arch_inode *n;
	autoarch struct arch *a = NULL;
	int r = find(d, nodeid, &a, &n);

	if (r == 0)
		show(d, a, (uint32_t)nodeid, ret);
	return r;
}

int data_arch_readlink(struct data *d, uint64_t nodeid, char *buf, size_t size)
{
	const struct arch_inode *n;
	autoarch struct arch *a = NULL;
	int r = find(d, nodeid, &a, &n);

	if (r < 0)
		return r;
	if (!(n->flags & ARCH_INODE_SYMLINK))
		return -EINVAL;
	if (n->size >= size)
		return -ENAMETOOLONG;
	memcpy(buf, arch_index_of(a)->strings + n->at, n->size);
	buf[n->size] = '\0';
	return 0;
}

int data_arch_open(struct data *d, uint64_t nodeid, struct data_file *ret)
{
	const struct arch_inode *n;
	autoarch struct arch *a = NULL;
	int r = find(d, nodeid, &a, &n);

	if (r < 0)
		return r;
	if (type_of(n) != S_IFREG)
		return -EACCES;
	arch_use(a);
	ret->inode = (uint32_t)nodeid;
	ret->arch = take_ptr(a);
	return 0;
}

int data_arch_opendir(struct data *d, uint64_t nodeid, struct arch **ret)
{
	const struct arch_inode *n;
	autoarch struct arch *a = NULL;
	int r = find(d, nodeid, &a, &n);

	if (r < 0)
		return r;
	if (!(n->flags & ARCH_INODE_DIR))
		return -ENOTDIR;
	*ret = take_ptr(a);
	return 0;
}

/* Offsets: 0 and 1 are "." and "..", then the names. */
bool data_arch_readdir(const struct arch *a, uint32_t dir, uint64_t off, char name[static 256],
		       uint32_t *ret_inode, struct data_dirent *ret)
{
	const struct arch_index *ix = arch_index_of(a);
	const struct arch_name *n;

	if (off < 2) {
		strcpy(name, off == 0 ? "." : "..");
		*ret_inode = off == 0 ? dir : arch_index_inode(ix, dir)->parent;
	} else {
		n = arch_index_at(ix, dir, off - 2);
		if (!n)
			return false;
		memcpy(name, ix->strings + n->at, n->len);
		name[n->len] = '\0';
		*ret_inode = n->inode;
	}
	*ret = (struct data_dirent){
		.name = name,
		.ino = ino_of(a, *ret_inode),
		.type = type_of(arch_index_inode(ix, *ret_inode)),
		.next_off = off + 1,
	};
	return true;
}

void data_arch_entry(struct data *d, struct arch *a, uint32_t inode, struct data_entry *ret)
{
	entry(d, a, inode, ret);
}
