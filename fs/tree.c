#include "fs/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"

/* -- keyed hash of names: SipHash-1-3 ------------------------------------- */

static inline uint64_t rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static uint64_t name_hash(const struct tree *t, const char *name, size_t len)
{
	uint64_t v[4] = { t->seed[0] ^ UINT64_C(0x736f6d6570736575),
			  t->seed[1] ^ UINT64_C(0x646f72616e646f6d),
			  t->seed[0] ^ UINT64_C(0x6c7967656e657261),
			  t->seed[1] ^ UINT64_C(0x7465646279746573) };
	uint8_t tail[8] = { 0 };
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t m = le64_load((const uint8_t *)name + i);

		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	memcpy(tail, name + i, len - i);
	tail[7] = (uint8_t)len;
	v[3] ^= le64_load(tail);
	sip_round(v);
	v[0] ^= le64_load(tail);
	v[2] ^= 0xff;
	for (int k = 0; k < 3; k++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* In tree->inos: the node knows its ino. */
struct ino_row {
	struct hlink link;
	struct node *node;
};

/* -- nodes ---------------------------------------------------------------- */

static struct dir *dir_new(void)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->fd = -1;
	pthread_rwlock_init(&d->rw, NULL);
	return d;
}

static void lru_remove(struct tree *t, struct node *n)
{
	struct dir *d = n->dir;

	if (d->lru_prev)
		d->lru_prev->dir->lru_next = d->lru_next;
	else if (t->lru_first == n)
		t->lru_first = d->lru_next;
	if (d->lru_next)
		d->lru_next->dir->lru_prev = d->lru_prev;
	else if (t->lru_last == n)
		t->lru_last = d->lru_prev;
	d->lru_prev = d->lru_next = NULL;
}

static void lru_append(struct tree *t, struct node *n)
{
	n->dir->lru_prev = t->lru_last;
	n->dir->lru_next = NULL;
	if (t->lru_last)
		t->lru_last->dir->lru_next = n;
	else
		t->lru_first = n;
	t->lru_last = n;
}

static void dir_free(struct tree *t, struct node *n)
{
	struct dir *d = n->dir;
	struct dentry *e;

	for (size_t i = 0; (e = names_next(&d->names, &i));)
		slab_free(&t->dentries, e);
	names_free(&d->names);
	if (d->fd >= 0) {
		if (d->pins == 0)
			lru_remove(t, n);
		close(d->fd); /* nobody waits for it: a read-only descriptor of a directory */
		t->nfds--;
	}
	pthread_rwlock_destroy(&d->rw);
	free(d);
}

static void node_free(struct tree *t, struct node *n)
{
	tree_hide_ino(t, n);
	if (n->dir)
		dir_free(t, n);
	free(n->told);
	slab_free(&t->nodes, n);
	t->nnodes--;
}

int tree_new(uint64_t root_ino, size_t max_dir_fds, struct tree **ret)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->max_fds = max_dir_fds;
	if (getrandom(t->seed, sizeof(t->seed), 0) != (ssize_t)sizeof(t->seed)) {
		tree_free(t);
		return -EIO;
	}
	t->root = tree_make(t, root_ino, S_IFDIR);
	if (!t->root) {
		tree_free(t);
		return -ENOMEM;
	}
	t->root->refs = 1; /* never reaped */
	*ret = t;
	return 0;
}

void tree_free(struct tree *t)
{
	struct node *n;

	if (!t)
		return;
	for (uint32_t pos = 0; (n = tree_next(t, &pos));)
		node_free(t, n);
	slabs_free(&t->nodes);
	slabs_free(&t->dentries);
	hmap_free(&t->inos);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct node *tree_by_id(struct tree *t, uint64_t nodeid)
{
	struct node *n = slab_at(&t->nodes, (uint32_t)nodeid);

	return n && n->nodeid == nodeid ? n : NULL;
}

struct node *tree_next(struct tree *t, uint32_t *pos)
{
	return slab_next(&t->nodes, pos);
}

size_t tree_bytes(struct tree *t)
{
	size_t bytes = slabs_bytes(&t->nodes) + slabs_bytes(&t->dentries);
	struct node *n;

	for (uint32_t pos = 0; (n = tree_next(t, &pos));)
		bytes += (n->dir ? sizeof(*n->dir) + names_bytes(&n->dir->names) : 0) +
			 (n->told ? sizeof(*n->told) : 0);
	return bytes + t->inos.size * sizeof(*t->inos.slots) +
	       t->inos.count * sizeof(struct ino_row);
}

struct node *tree_make(struct tree *t, uint64_t ino, mode_t type)
{
	struct node *n = slab_alloc(&t->nodes, sizeof(*n));

	if (!n)
		return NULL;
	if (S_ISDIR(type))
		n->dir = dir_new();
	if (S_ISDIR(type) && !n->dir) {
		slab_free(&t->nodes, n);
		return NULL;
	}
	n->ino = ino;
	n->type = (uint16_t)(type & S_IFMT);
	n->nodeid = (uint64_t)t->made << 32 | slab_number(n);
	t->made = MAX(t->made + 1, 1u); /* none but the root has 0 */
	t->nnodes++;
	return n;
}

/* -- inodes with several names -------------------------------------------- */

/* Of any node ('n' NULL), or of this one. */
static struct ino_row *ino_find(struct tree *t, uint64_t ino, const struct node *n)
{
	for (struct hlink *l = hmap_first(&t->inos, hmap_mix(ino)); l; l = hmap_next(l)) {
		struct ino_row *row = container_of(l, struct ino_row, link);

		if (row->node->ino == ino && (!n || row->node == n))
			return row;
	}
	return NULL;
}

struct node *tree_by_ino(struct tree *t, uint64_t ino)
{
	struct ino_row *row = ino_find(t, ino, NULL);

	return row ? row->node : NULL;
}

int tree_show_ino(struct tree *t, struct node *n)
{
	struct ino_row *row = n->in_inos ? NULL : malloc(sizeof(*row));

	if (n->in_inos)
		return 0;
	if (!row || hmap_insert(&t->inos, &row->link, hmap_mix(n->ino)) < 0) {
		free(row);
		return -ENOMEM;
	}
	row->node = n;
	n->in_inos = true;
	return 0;
}

void tree_hide_ino(struct tree *t, struct node *n)
{
	struct ino_row *row = n->in_inos ? ino_find(t, n->ino, n) : NULL;

	if (row)
		hmap_remove(&t->inos, &row->link);
	free(row);
	n->in_inos = false;
}

/* -- what is told --------------------------------------------------------- */

int node_keep(struct node *n)
{
	if (n->told)
		return 0;
	n->told = calloc(1, sizeof(*n->told));
	if (!n->told)
		return -ENOMEM;
	n->told->mode = (uint32_t)n->type | n->mode;
	return 0;
}

void node_tell(struct node *n, const struct stat *st)
{
	n->nlink = (uint32_t)st->st_nlink;
	if (!n->told)
		return;
	*n->told = (struct told){
		.atime = st->st_atim.tv_sec,
		.atime_ns = (uint32_t)st->st_atim.tv_nsec,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime = st->st_ctim.tv_sec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
		.dev = (uint32_t)st->st_dev,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
	};
}

void node_told(const struct node *n, struct stat *ret)
{
	const struct told nothing = { .mode = (uint32_t)n->type | n->mode };
	const struct told *told = n->told ? n->told : &nothing;

	*ret = (struct stat){
		.st_dev = told->dev,
		.st_ino = n->ino,
		.st_nlink = n->nlink,
		.st_mode = told->mode,
		.st_uid = told->uid,
		.st_gid = told->gid,
		.st_size = (off_t)told->size,
		.st_blksize = TREE_BLKSIZE,
		.st_blocks = (blkcnt_t)told->blocks,
		.st_atim = { told->atime, told->atime_ns },
		.st_mtim = { told->mtime, told->mtime_ns },
		.st_ctim = { told->ctime, told->ctime_ns },
	};
}

/* -- who is used ---------------------------------------------------------- */

void tree_reap(struct tree *t, struct node *n)
{
	while (n && n->nlookup == 0 && n->nopen == 0 && n->refs == 0) {
		struct node *parent = NULL;

		/* Several names may be in several directories: one is followed in the loop, the
		 * others lose their reference here. */
		while (n->aliases) {
			struct dentry *d = n->aliases;
			struct node *p = d->parent;

			dentry_unbind(t, d);
			if (parent && parent != p)
				tree_reap(t, p);
			else
				parent = p;
		}
		node_free(t, n);
		n = parent;
	}
}

void tree_forget(struct tree *t, struct node *n, uint64_t nlookup)
{
	n->nlookup -= MIN(n->nlookup, nlookup);
	tree_reap(t, n);
}

/* -- names ---------------------------------------------------------------- */

struct dentry *dir_find(struct tree *t, struct node *dir, const char *name, size_t len)
{
	return names_find(&dir->dir->names, name_hash(t, name, len), name, len);
}

struct dentry *dir_add(struct tree *t, struct node *dir, const char *name, size_t len, uint64_t ino,
		       uint8_t type)
{
	struct dentry *d = slab_alloc(&t->dentries, offsetof(struct dentry, name) + len + 1);

	if (!d)
		return NULL;
	d->parent = dir;
	d->to.ino = ino;
	d->type = type & 0xf;
	d->len = len & 0xff;
	memcpy(d->name, name, len);
	if (names_add(&dir->dir->names, name_hash(t, name, len), d) < 0) {
		slab_free(&t->dentries, d);
		return NULL;
	}
	return d;
}

void dir_remove(struct tree *t, struct dentry *d)
{
	dentry_unbind(t, d);
	names_remove(&d->parent->dir->names, name_hash(t, d->name, d->len), d);
	slab_free(&t->dentries, d);
}

void dentry_bind(struct tree *t, struct dentry *d, struct node *n)
{
	if (dentry_node(d) == n)
		return;
	dentry_unbind(t, d);
	d->to.node = n;
	d->bound = true;
	d->next_alias = n->aliases;
	n->aliases = d;
	d->parent->refs++;
}

void dentry_unbind(struct tree *t, struct dentry *d)
{
	struct node *n = dentry_node(d);
	struct dentry **p;

	(void)t;
	if (!n)
		return;
	for (p = &n->aliases; *p != d;)
		p = &(*p)->next_alias;
	*p = d->next_alias;
	d->next_alias = NULL;
	d->bound = false;
	d->to.ino = n->ino;
	d->parent->refs--;
}

/* -- descriptors of directories ------------------------------------------- */

bool dir_pin(struct tree *t, struct node *n)
{
	if (n->dir->fd < 0)
		return false;
	if (n->dir->pins++ == 0)
		lru_remove(t, n);
	return true;
}

void dir_set_fd(struct tree *t, struct node *n, int fd)
{
	n->dir->fd = fd;
	n->dir->pins = 1;
	t->nfds++;
}

void dir_unpin(struct tree *t, struct node *n, int *ret_close)
{
	struct node *old;

	*ret_close = -1;
	if (--n->dir->pins > 0)
		return;
	lru_append(t, n);
	if (t->nfds <= t->max_fds)
		return;
	old = t->lru_first;
	if (old == t->root) /* the way to everything else starts there */
		old = old->dir->lru_next;
	if (!old)
		return;
	lru_remove(t, old);
	*ret_close = take_fd(&old->dir->fd);
	t->nfds--;
}
