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

/* -- nodes ---------------------------------------------------------------- */

static struct dir *dir_new(void)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->fd = -1;
	d->next_cookie = 1;
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

	for (size_t i = 0; i < d->nslots; i++)
		free(d->slots[i].d);
	if (d->fd >= 0) {
		if (d->pins == 0)
			lru_remove(t, n);
		close(d->fd); /* nobody waits for it: a read-only descriptor of a directory */
		t->nfds--;
	}
	free(d->slots);
	hmap_free(&d->names);
	pthread_rwlock_destroy(&d->rw);
	free(d);
}

static void node_free(struct tree *t, struct node *n)
{
	hmap_remove(&t->by_id, &n->by_id);
	tree_hide_ino(t, n);
	if (n->dir)
		dir_free(t, n);
	pthread_mutex_destroy(&n->mu);
	free(n);
}

int tree_new(uint64_t root_ino, size_t max_dir_fds, struct tree **ret)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->next_id = TREE_ROOT_ID;
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
	if (!t)
		return;
	for (size_t i = 0; i < t->by_id.size; i++)
		while (t->by_id.slots[i])
			node_free(t, container_of(t->by_id.slots[i], struct node, by_id));
	hmap_free(&t->by_id);
	hmap_free(&t->by_ino);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct node *tree_by_id(struct tree *t, uint64_t nodeid)
{
	for (struct hlink *l = hmap_first(&t->by_id, hmap_mix(nodeid)); l; l = hmap_next(l)) {
		struct node *n = container_of(l, struct node, by_id);

		if (n->nodeid == nodeid)
			return n;
	}
	return NULL;
}

struct node *tree_by_ino(struct tree *t, uint64_t ino)
{
	for (struct hlink *l = hmap_first(&t->by_ino, hmap_mix(ino)); l; l = hmap_next(l)) {
		struct node *n = container_of(l, struct node, by_ino);

		if (n->ino == ino)
			return n;
	}
	return NULL;
}

struct node *tree_make(struct tree *t, uint64_t ino, mode_t type)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	pthread_mutex_init(&n->mu, NULL);
	n->ino = ino;
	n->type = type & S_IFMT;
	n->nodeid = t->next_id;
	if (S_ISDIR(type))
		n->dir = dir_new();
	if ((S_ISDIR(type) && !n->dir) ||
	    hmap_insert(&t->by_id, &n->by_id, hmap_mix(n->nodeid)) < 0)
		goto fail;
	if (tree_show_ino(t, n) < 0)
		goto fail;
	t->next_id++;
	return n;
fail:
	node_free(t, n);
	return NULL;
}

void node_tell(struct node *n, const struct stat *st)
{
	n->told = (struct told){
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
	n->nlink = (uint32_t)st->st_nlink;
	n->told_known = true;
}

void node_told(const struct node *n, struct stat *ret)
{
	*ret = (struct stat){
		.st_dev = n->told.dev,
		.st_ino = n->ino,
		.st_nlink = n->nlink,
		.st_mode = n->told.mode,
		.st_uid = n->told.uid,
		.st_gid = n->told.gid,
		.st_size = (off_t)n->told.size,
		.st_blksize = TREE_BLKSIZE,
		.st_blocks = (blkcnt_t)n->told.blocks,
		.st_atim = { n->told.atime, n->told.atime_ns },
		.st_mtim = { n->told.mtime, n->told.mtime_ns },
		.st_ctim = { n->told.ctime, n->told.ctime_ns },
	};
}

void tree_hide_ino(struct tree *t, struct node *n)
{
	if (n->in_inos)
		hmap_remove(&t->by_ino, &n->by_ino);
	n->in_inos = false;
}

int tree_show_ino(struct tree *t, struct node *n)
{
	if (!n->in_inos && hmap_insert(&t->by_ino, &n->by_ino, hmap_mix(n->ino)) < 0)
		return -ENOMEM;
	n->in_inos = true;
	return 0;
}

void tree_reap(struct tree *t, struct node *n)
{
	while (n && n->nlookup == 0 && n->nopen == 0 && n->refs == 0) {
		struct node *parent = NULL;

		/* Several names may be in several directories: one is followed in the loop, the
		 * others lose their reference here. */
		while (n->aliases) {
			struct dentry *d = n->aliases;
			struct node *p = d->parent;

			n->aliases = d->next_alias;
			d->next_alias = NULL;
			d->node = NULL;
			p->refs--;
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
	uint64_t h = name_hash(t, name, len);

	for (struct hlink *l = hmap_first(&dir->dir->names, h); l; l = hmap_next(l)) {
		struct dentry *d = container_of(l, struct dentry, link);

		if (d->len == len && memcmp(d->name, name, len) == 0)
			return d;
	}
	return NULL;
}

/* Slots of removed names are squeezed out when they are more than half. */
static void slots_compact(struct dir *d)
{
	size_t n = 0;

	if (d->nslots < 64 || d->names.count > d->nslots / 2)
		return;
	for (size_t i = 0; i < d->nslots; i++)
		if (d->slots[i].d)
			d->slots[n++] = d->slots[i];
	d->nslots = n;
}

static int slots_append(struct dir *d, struct dentry *e)
{
	if (d->nslots == d->slots_size) {
		size_t size = d->slots_size ? d->slots_size * 2 : 8;
		struct dir_slot *s = reallocarray(d->slots, size, sizeof(*s));

		if (!s)
			return -ENOMEM;
		d->slots = s;
		d->slots_size = size;
	}
	e->cookie = d->next_cookie++;
	d->slots[d->nslots++] = (struct dir_slot){ e->cookie, e };
	return 0;
}

struct dentry *dir_add(struct tree *t, struct node *dir, const char *name, size_t len, uint64_t ino,
		       uint8_t type)
{
	struct dentry *d = calloc(1, MAX(sizeof(*d), offsetof(struct dentry, name) + len + 1));

	if (!d)
		return NULL;
	d->parent = dir;
	d->ino = ino;
	d->type = type;
	d->len = (uint8_t)len;
	memcpy(d->name, name, len);
	if (hmap_insert(&dir->dir->names, &d->link, name_hash(t, name, len)) < 0) {
		free(d);
		return NULL;
	}
	if (slots_append(dir->dir, d) < 0) {
		hmap_remove(&dir->dir->names, &d->link);
		free(d);
		return NULL;
	}
	return d;
}

size_t dir_seek(const struct dir *d, uint64_t cookie)
{
	size_t lo = 0, hi = d->nslots;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->slots[mid].cookie <= cookie)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void dir_remove(struct tree *t, struct dentry *d)
{
	struct dir *dir = d->parent->dir;
	size_t i = dir_seek(dir, d->cookie - 1);

	dentry_unbind(t, d);
	if (i < dir->nslots && dir->slots[i].d == d)
		dir->slots[i].d = NULL;
	hmap_remove(&dir->names, &d->link);
	free(d);
	slots_compact(dir);
}

void dentry_bind(struct tree *t, struct dentry *d, struct node *n)
{
	(void)t;
	if (d->node == n)
		return;
	dentry_unbind(t, d);
	d->node = n;
	d->next_alias = n->aliases;
	n->aliases = d;
	d->parent->refs++;
}

void dentry_unbind(struct tree *t, struct dentry *d)
{
	struct dentry **p;

	(void)t;
	if (!d->node)
		return;
	for (p = &d->node->aliases; *p; p = &(*p)->next_alias) {
		if (*p == d) {
			*p = d->next_alias;
			break;
		}
	}
	d->node = NULL;
	d->next_alias = NULL;
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
