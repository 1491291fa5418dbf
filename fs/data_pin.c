/* Datasets that are pinned: what is shown is what was pinned, or EIO.
 *
 * Names: only those of the pin are there.  A node knows which record of the pin it is, by a number
 * that no other pin has (pin_id); after a dataset is pinned anew its old nodes are stale, so
 * nothing that the kernel cached of the old pin is shown as the new one's.
 *
 * Attributes: type, mode and size are compared with the record whenever the host is asked for them.
 *
 * Bytes: always whole leaves are read and hashed, whatever was asked for, so that the kernel caches
 * verified pages only.  The rest of a leaf of which only a part was asked for is kept a while: the
 * next request mostly wants it. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/arch.h"
#include "fs/crew.h"
#include "fs/data_int.h"
#include "fs/pin_tree.h"

#define SLOTS 32u /* of 128 KiB each */
/* A request of 1 MiB has eight leaves, and the next one is on its way meanwhile. */
#define HELPERS 7u

int pin_say(struct data *d, struct pin *p, uint32_t i, enum pin_said what, const char *fmt, ...)
{
	char raw[600], path[800], text[200], line[1200];
	va_list ap;

	if (!d->log || !pin_first_time(p, i, what))
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A line of the log is short, and its end says what is wrong. */
	pin_path(p, i, raw, 120);
	str_printable(raw, path, sizeof(path));
	snprintf(line, sizeof(line), "dataset '%s': '%s' %s", pin_dataset(p), path, text);
	d->log(d->log_ctx, line);
	return -EIO;
}

int pin_broken(struct data *d, struct pin *p, int r)
{
	char line[300];

	if (r == -ENOMEM)
		return r;
	snprintf(line, sizeof(line),
		 "dataset '%s': its pin (" PIN_DIR "/%s.pin) is damaged: %s; take it from a copy",
		 pin_dataset(p), pin_dataset(p), strerror(-r));
	if (d->log && pin_first_time(p, 0, SAID_PIN))
		d->log(d->log_ctx, line);
	return -EIO;
}

void pin_place_put(struct pin_place *p)
{
	pin_unref(p->pin);
	p->pin = NULL;
}

/* -- which pin ------------------------------------------------------------- */

/* Under tree->lock. */
static int source_pin(const struct source *s, struct pin **ret)
{
	*ret = s ? pin_ref(s->pin) : NULL;
	return s && s->pinned && !s->pin ? -EIO : 0;
}

static const struct source *source_by_name(const struct data *d, const char *name)
{
	for (size_t i = 0; i < d->nsources; i++)
		if (strcmp(d->sources[i].name, name) == 0)
			return &d->sources[i];
	return NULL;
}

int pin_of_node(struct data *d, struct node *n, struct pin_place *ret)
{
	const struct node *up = n;
	uint32_t id;
	int r = 0;

	*ret = (struct pin_place){ 0 };
	if (n == d->tree->root)
		return 0;
	if (!atomic_load(&d->has_pins)) /* mostly: every request comes by here */
		return n->told && n->told->pin ? -ESTALE : 0;
	pthread_mutex_lock(&d->tree->lock);
	while (up->aliases && up->aliases->parent != d->tree->root)
		up = up->aliases->parent;
	if (up->aliases)
		r = source_pin(source_by_name(d, up->aliases->name), &ret->pin);
	id = n->told ? n->told->pin : 0;
	pthread_mutex_unlock(&d->tree->lock);
	if (r < 0)
		return r;
	if (!ret->pin)
		return id == 0 ? 0 : -ESTALE;
	ret->i = pin_by_id(ret->pin, id);
	if (ret->i == PIN_NO_RECORD)
		return -ESTALE;
	r = pin_record(ret->pin, ret->i, &ret->rec);
	return r < 0 ? pin_broken(d, ret->pin, r) : 0;
}

int pin_of_top(struct data *d, const char *dataset, struct pin_place *ret)
{
	int r;

	*ret = (struct pin_place){ 0 };
	pthread_mutex_lock(&d->tree->lock);
	r = source_pin(source_by_name(d, dataset), &ret->pin);
	pthread_mutex_unlock(&d->tree->lock);
	if (r == 0 && ret->pin)
		r = pin_record(ret->pin, 0, &ret->rec);
	return r < 0 && ret->pin ? pin_broken(d, ret->pin, r) : r;
}

int pin_of_name(struct data *d, const struct pin_place *dir, const char *name, int r,
		const struct stat *raw, struct pin_place *ret)
{
	int e = pin_find(dir->pin, &dir->rec, name, &ret->i, &ret->rec);

	if (e == -ENOENT && r == 0) {
		char safe[300];

		str_printable(name, safe, 100);
		(void)pin_say(d, dir->pin, dir->i, SAID_NEW,
			      "has a new name, '%s', which was not pinned and is not shown", safe);
	}
	if (e < 0)
		return e == -ENOENT || e == -ENOTDIR ? -ENOENT : pin_broken(d, dir->pin, e);
	if (r == -ENOENT || r == -ENOTDIR)
		return pin_say(d, dir->pin, ret->i, SAID_GONE, "is gone, but was pinned");
	if (r < 0)
		return r;
	ret->pin = pin_ref(dir->pin);
	return pin_check_stat(d, ret, raw);
}

/* -- attributes ------------------------------------------------------------ */

/* The made-up directory around a single file is ours: its mode is what it was. */
int pin_check_stat(struct data *d, const struct pin_place *p, const struct stat *raw)
{
	const struct pin_record *want = &p->rec;

	if (!p->pin)
		return 0;
	if (pin_type(raw->st_mode) != want->type)
		return pin_say(d, p->pin, p->i, SAID_TYPE, "is of another type than was pinned");
	if (!S_ISLNK(raw->st_mode) && (raw->st_mode & 0777) != want->mode)
		return pin_say(d, p->pin, p->i, SAID_MODE, "has mode %04o, %04o was pinned",
			       (unsigned)raw->st_mode & 0777, want->mode);
	if (S_ISREG(raw->st_mode) && (uint64_t)raw->st_size != want->size)
		return pin_say(d, p->pin, p->i, SAID_SIZE, "has %llu bytes, %llu were pinned",
			       (unsigned long long)raw->st_size, (unsigned long long)want->size);
	return 0;
}

int pin_gone(struct data *d, const struct pin_place *p, int r)
{
	return p->pin && r == -ENOENT
		       ? pin_say(d, p->pin, p->i, SAID_GONE, "is gone, but was pinned")
		       : r;
}

int pin_check_target(struct data *d, const struct pin_place *p, const char *target)
{
	uint8_t digest[PIN_HASH];

	if (!p->pin)
		return 0;
	pin_hash(PIN_USE_LINK, target, strlen(target), digest);
	return memcmp(digest, p->rec.digest, PIN_HASH) == 0
		       ? 0
		       : pin_say(d, p->pin, p->i, SAID_TARGET,
				 "points elsewhere than when it was pinned");
}

void pin_show(const struct pin_place *p, struct stat *st)
{
	if (!p->pin)
		return;
	st->st_ino = pin_ino(p->pin, p->i);
	/* Neither was pinned. */
	st->st_nlink = 1;
	if (S_ISDIR(st->st_mode)) {
		st->st_size = 0;
		st->st_blocks = 0;
	}
}

/* -- leaves of which a part was asked for ---------------------------------- */

struct slot {
	uint32_t base; /* of the pin; 0: holds nothing */
	uint64_t leaf;
	uint64_t used;
	bool busy; /* is being filled */
	uint8_t *mem;
};

struct data_leaves {
	struct crew *crew;
	pthread_mutex_t lock;
	uint64_t clock;
	struct slot slots[SLOTS];
};

int data_leaves_new(struct data_leaves **ret)
{
	struct data_leaves *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	if (crew_new(HELPERS, &l->crew) < 0) {
		free(l);
		return -ENOMEM;
	}
	pthread_mutex_init(&l->lock, NULL);
	*ret = l;
	return 0;
}

void data_leaves_free(struct data_leaves *l)
{
	if (!l)
		return;
	crew_free(l->crew);
	for (unsigned i = 0; i < SLOTS; i++)
		free(l->slots[i].mem);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static bool slot_copy(struct data_leaves *l, const struct pin *p, uint64_t leaf, size_t from,
		      size_t len, uint8_t *ret)
{
	bool found = false;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; !found && i < SLOTS; i++) {
		struct slot *s = &l->slots[i];

		if (s->busy || s->base != pin_base(p) || s->leaf != leaf)
			continue;
		memcpy(ret, s->mem + from, len);
		s->used = ++l->clock;
		found = true;
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

/* The one that was not used for longest, to be filled; NULL: none is free. */
static struct slot *slot_take(struct data_leaves *l)
{
	struct slot *s = NULL;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < SLOTS; i++)
		if (!l->slots[i].busy && (!s || l->slots[i].used < s->used))
			s = &l->slots[i];
	if (s && !s->mem)
		s->mem = malloc(PIN_LEAF);
	if (s && s->mem) {
		s->busy = true;
		s->base = 0;
	}
	pthread_mutex_unlock(&l->lock);
	return s && s->mem ? s : NULL;
}

static void slot_give(struct data_leaves *l, struct slot *s, const struct pin *p, uint64_t leaf)
{
	pthread_mutex_lock(&l->lock);
	s->base = p ? pin_base(p) : 0;
	s->leaf = leaf;
	s->used = p ? ++l->clock : 0;
	s->busy = false;
	pthread_mutex_unlock(&l->lock);
}

/* -- bytes ----------------------------------------------------------------- */

/* Leaf 'k' of the file, verified, into 'buf', which has room for it. */
static int leaf_read(struct data_file *f, uint64_t k, uint8_t *buf)
{
	size_t len = pin_leaf_len(f->size, k);
	uint8_t want[PIN_HASH], is[PIN_HASH];
	ssize_t n = f->fd >= 0 ? fd_pread_full(f->fd, buf, len, k * PIN_LEAF)
			       : arch_pread(f->arch, f->inode, buf, len, k * PIN_LEAF);
	int r;

	if (n < 0)
		return (int)n;
	r = pin_leaf(f->pin, f->leaf + k, 1, want);
	if (r < 0)
		return pin_broken(f->d, f->pin, r);
	pin_hash(PIN_USE_LEAF, buf, (size_t)n, is);
	if (memcmp(is, want, PIN_HASH) == 0)
		return 0;
	return pin_say(
		f->d, f->pin, f->record, SAID_BYTES,
		"does not hold what was pinned, from byte %llu on: reading it there gives an "
		"I/O error",
		k * 1ull * PIN_LEAF);
}

static int part_read(struct data_file *f, uint64_t k, size_t from, size_t len, uint8_t *buf)
{
	struct data_leaves *l = f->d->leaves;
	struct slot *s;
	int r;

	if (slot_copy(l, f->pin, f->leaf + k, from, len, buf))
		return 0;
	s = slot_take(l);
	if (!s) {
		autofree uint8_t *mem = malloc(PIN_LEAF);

		r = mem ? leaf_read(f, k, mem) : -ENOMEM;
		if (r == 0)
			memcpy(buf, mem + from, len);
		return r;
	}
	r = leaf_read(f, k, s->mem);
	if (r == 0)
		memcpy(buf, s->mem + from, len);
	slot_give(l, s, r == 0 ? f->pin : NULL, f->leaf + k);
	return r;
}

/* A request for bytes of several leaves: each is read and hashed on its own. */
struct reading {
	struct data_file *f;
	uint8_t *buf;
	uint64_t off, end;
	atomic_int r; /* the first failure */
};

static void read_leaf_part(void *ctx, size_t i)
{
	struct reading *g = ctx;
	uint64_t k = g->off / PIN_LEAF + i, start = k * PIN_LEAF;
	uint64_t from = MAX(g->off, start), to = MIN(g->end, start + PIN_LEAF);
	int r, none = 0;

	if (atomic_load(&g->r) < 0)
		return;
	if (to - from == pin_leaf_len(g->f->size, k))
		r = leaf_read(g->f, k, g->buf + (from - g->off));
	else
		r = part_read(g->f, k, from - start, to - from, g->buf + (from - g->off));
	if (r < 0)
		(void)atomic_compare_exchange_strong(&g->r, &none, r);
}

ssize_t pin_read(struct data_file *f, uint8_t *buf, size_t size, uint64_t off)
{
	struct reading g = { .f = f, .buf = buf, .off = off };

	if (off >= f->size)
		return 0;
	size = MIN(size, f->size - off);
	g.end = off + size;
	crew_do(f->d->leaves->crew, (g.end - 1) / PIN_LEAF - off / PIN_LEAF + 1, read_leaf_part,
		&g);
	return g.r < 0 ? g.r : (ssize_t)size;
}
