#include "fs/pin.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define PIN_CACHE_PAGES 256u
#define PIN_SAID        64u
#define NAMES_MAX       UINT32_MAX
#define LEAVES_MAX      (1ull << 40)

struct pin {
	atomic_uint refs;
	int fd;
	char dataset[65];
	uint32_t base;
	struct pin_head head;
	struct pin_layout at;
	uint8_t digest[PIN_HASH]; /* of the table */
	uint8_t *table;
	pthread_mutex_t lock;
	/* guarded by lock */
	uint8_t *pages;                  /* PIN_CACHE_PAGES; allocated at the first use */
	uint64_t holds[PIN_CACHE_PAGES]; /* number + 1; 0: nothing */
	uint64_t said[PIN_SAID];
	unsigned nsaid;
};

/* -- the first page and the layout ----------------------------------------- */

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / PIN_PAGE + (bytes % PIN_PAGE != 0);
}

void pin_layout(const struct pin_head *h, struct pin_layout *ret)
{
	uint64_t records = pages_of((uint64_t)h->records * PIN_RECORD);
	uint64_t names = pages_of(h->names), leaves = pages_of(h->leaves * PIN_HASH);

	ret->records = PIN_PAGE;
	ret->names = ret->records + records * PIN_PAGE;
	ret->leaves = ret->names + names * PIN_PAGE;
	ret->table = ret->leaves + leaves * PIN_PAGE;
	ret->pages = records + names + leaves;
	ret->end = ret->table + ret->pages * PIN_HASH;
}

void pin_head_store(const struct pin_head *h, uint8_t ret[static PIN_PAGE])
{
	memset(ret, 0, PIN_PAGE);
	memcpy(ret, PIN_MAGIC, sizeof(PIN_MAGIC));
	le32_store(ret + 8, 1);
	le32_store(ret + 12, h->records);
	le64_store(ret + 16, h->names);
	le64_store(ret + 24, h->leaves);
	le64_store(ret + 32, h->files);
	le64_store(ret + 40, h->bytes);
	memcpy(ret + 48, h->digest, PIN_HASH);
}

int pin_head_load(const uint8_t p[static PIN_PAGE], struct pin_head *ret)
{
	if (memcmp(p, PIN_MAGIC, sizeof(PIN_MAGIC)) != 0 || le32_load(p + 8) != 1)
		return -EBADMSG;
	*ret = (struct pin_head){
		.records = le32_load(p + 12),
		.names = le64_load(p + 16),
		.leaves = le64_load(p + 24),
		.files = le64_load(p + 32),
		.bytes = le64_load(p + 40),
	};
	memcpy(ret->digest, p + 48, PIN_HASH);
	return ret->records == 0 || ret->records > PIN_RECORDS_MAX || ret->names > NAMES_MAX ||
			       ret->leaves > LEAVES_MAX
		       ? -EBADMSG
		       : 0;
}

/* -- open ------------------------------------------------------------------ */

/* Numbers of records are 32 bits; after 2^32 of them, pins pinned anew some thousand times, they
 * begin again: what the kernel knew of the first ones is long forgotten. */
static uint32_t take_numbers(uint32_t n)
{
	static atomic_uint_fast32_t next = 1;
	uint32_t base = (uint32_t)atomic_fetch_add(&next, n + 1);

	if (base == 0 || base + n < base)
		base = (uint32_t)atomic_fetch_add(&next, n + 2) + 1;
	return base;
}

static int load_table(struct pin *p, const uint8_t want[static PIN_HASH],
		      const uint8_t first[static PIN_PAGE])
{
	size_t len = p->at.pages * PIN_HASH;
	struct pin_hasher *h;
	ssize_t n;

	p->table = malloc(len + 1);
	if (!p->table)
		return -ENOMEM;
	n = fd_pread_full(p->fd, p->table, len, p->at.table);
	if (n != (ssize_t)len)
		return n < 0 ? (int)n : -EBADMSG;
	h = pin_hasher_new(PIN_USE_TABLE);
	if (!h)
		return -ENOMEM;
	pin_hasher_add(h, first, PIN_PAGE);
	pin_hasher_add(h, p->table, len);
	pin_hasher_end(h, p->digest);
	return memcmp(p->digest, want, PIN_HASH) == 0 ? 0 : -EBADMSG;
}

static int load(struct pin *p, const uint8_t table[static PIN_HASH])
{
	uint8_t first[PIN_PAGE];
	struct stat st;
	ssize_t n = fd_pread_full(p->fd, first, sizeof(first), 0);
	int r;

	if (n < 0)
		return (int)n;
	if (n != sizeof(first) || fstat(p->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EBADMSG;
	r = pin_head_load(first, &p->head);
	if (r < 0)
		return r;
	pin_layout(&p->head, &p->at);
	/* Before anything is allocated for it. */
	if ((uint64_t)st.st_size != p->at.end)
		return -EBADMSG;
	return load_table(p, table, first);
}

int pin_open(int fd, const char *dataset, const uint8_t table[static PIN_HASH], struct pin **ret,
	     struct err *err)
{
	struct pin *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (p) {
		atomic_init(&p->refs, 1);
		pthread_mutex_init(&p->lock, NULL);
		snprintf(p->dataset, sizeof(p->dataset), "%s", dataset);
		p->fd = fd;
		r = load(p, table);
	}
	if (r < 0) {
		if (p)
			p->fd = -1; /* the caller's */
		pin_unref(p);
		return err_set(err, r, "read the pin");
	}
	p->base = take_numbers(p->head.records);
	*ret = p;
	return 0;
}

struct pin *pin_ref(struct pin *p)
{
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

void pin_unref(struct pin *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	if (p->fd >= 0)
		close(p->fd);
	pthread_mutex_destroy(&p->lock);
	free(p->pages);
	free(p->table);
	free(p);
}

const struct pin_head *pin_head(const struct pin *p)
{
	return &p->head;
}

const char *pin_dataset(const struct pin *p)
{
	return p->dataset;
}

bool pin_is(const struct pin *p, const uint8_t table[static PIN_HASH])
{
	return memcmp(p->digest, table, PIN_HASH) == 0;
}

uint32_t pin_base(const struct pin *p)
{
	return p->base;
}

uint32_t pin_by_id(const struct pin *p, uint32_t id)
{
	return id >= p->base && id - p->base < p->head.records ? id - p->base : PIN_NO_RECORD;
}

uint64_t pin_ino(const struct pin *p, uint32_t i)
{
	uint64_t h = 2166136261u;

	for (const char *s = p->dataset; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return 1ull << 62 | (h & 0x3fffffffu) << 32 | i;
}

/* -- verified bytes -------------------------------------------------------- */

/* Page 'i' of the three parts, verified, until the lock is dropped. */
static int page_get(struct pin *p, uint64_t i, const uint8_t **ret)
{
	unsigned slot = i % PIN_CACHE_PAGES;
	uint8_t *page, digest[PIN_HASH];
	ssize_t n;

	if (!p->pages)
		p->pages = malloc((size_t)PIN_CACHE_PAGES * PIN_PAGE);
	if (!p->pages)
		return -ENOMEM;
	page = p->pages + (size_t)slot * PIN_PAGE;
	*ret = page;
	if (p->holds[slot] == i + 1)
		return 0;
	p->holds[slot] = 0;
	n = fd_pread_full(p->fd, page, PIN_PAGE, PIN_PAGE + i * PIN_PAGE);
	if (n != PIN_PAGE)
		return n < 0 ? (int)n : -EBADMSG;
	pin_hash(PIN_USE_PAGE, page, PIN_PAGE, digest);
	if (memcmp(digest, p->table + i * PIN_HASH, PIN_HASH) != 0)
		return -EBADMSG;
	p->holds[slot] = i + 1;
	return 0;
}

/* 'at' is in the file, and the bytes are in its three parts. */
static int bytes_get(struct pin *p, uint64_t at, size_t len, uint8_t *ret)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (r == 0 && len > 0) {
		uint64_t off = at - PIN_PAGE;
		size_t in = off % PIN_PAGE, n = MIN(len, PIN_PAGE - in);
		const uint8_t *page;

		r = page_get(p, off / PIN_PAGE, &page);
		if (r == 0)
			memcpy(ret, page + in, n);
		ret += n;
		at += n;
		len -= n;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

/* -- records --------------------------------------------------------------- */

void pin_record_store(const struct pin_record *rec, uint8_t ret[static PIN_RECORD])
{
	memcpy(ret, rec->digest, PIN_HASH);
	le64_store(ret + 32, rec->size);
	if (rec->type == 'd') {
		le32_store(ret + 40, rec->first);
		le32_store(ret + 44, rec->count);
	} else {
		le64_store(ret + 40, rec->leaf);
	}
	le32_store(ret + 48, rec->name);
	le32_store(ret + 52, rec->parent);
	le16_store(ret + 56, rec->name_len);
	le16_store(ret + 58, rec->mode);
	ret[60] = rec->type;
	memset(ret + 61, 0, 3);
}

static bool record_is_sound(const struct pin *p, uint32_t i, const struct pin_record *r)
{
	const struct pin_head *h = &p->head;
	uint64_t leaves;

	if (r->name_len > 255 || r->name > h->names || r->name_len > h->names - r->name ||
	    (i > 0 && (r->name_len == 0 || r->parent >= i)) || (i == 0 && r->parent != 0))
		return false;
	switch (r->type) {
	case 'd': /* only downwards: no way leads in a circle */
		return r->first > i && r->first <= h->records && r->count <= h->records - r->first;
	case 'f':
		leaves = pin_leaves(r->size);
		return r->leaf <= h->leaves && leaves <= h->leaves - r->leaf;
	case 'l':
	case 'p':
	case 's':
	case 'c':
	case 'b':
		return true;
	}
	return false;
}

int pin_record(struct pin *p, uint32_t i, struct pin_record *ret)
{
	uint8_t b[PIN_RECORD];
	int r;

	if (i >= p->head.records)
		return -ENOENT;
	r = bytes_get(p, p->at.records + (uint64_t)i * PIN_RECORD, sizeof(b), b);
	if (r < 0)
		return r;
	*ret = (struct pin_record){
		.size = le64_load(b + 32),
		.leaf = le64_load(b + 40),
		.name = le32_load(b + 48),
		.parent = le32_load(b + 52),
		.name_len = le16_load(b + 56),
		.mode = le16_load(b + 58),
		.type = b[60],
	};
	memcpy(ret->digest, b, PIN_HASH);
	if (ret->type == 'd') {
		ret->first = le32_load(b + 40);
		ret->count = le32_load(b + 44);
	}
	return record_is_sound(p, i, ret) ? 0 : -EBADMSG;
}

int pin_name(struct pin *p, const struct pin_record *rec, char ret[static 256])
{
	int r = bytes_get(p, p->at.names + rec->name, rec->name_len, (uint8_t *)ret);

	if (r == 0 && (memchr(ret, '\0', rec->name_len) || memchr(ret, '/', rec->name_len)))
		r = -EBADMSG;
	ret[r == 0 ? rec->name_len : 0] = '\0';
	return r;
}

int pin_find(struct pin *p, const struct pin_record *dir, const char *name, uint32_t *ret_i,
	     struct pin_record *ret)
{
	uint32_t low = dir->first, high;
	char have[256];

	if (dir->type != 'd')
		return -ENOTDIR;
	for (high = low + dir->count; low < high;) {
		uint32_t mid = low + (high - low) / 2;
		int r = pin_record(p, mid, ret), c;

		if (r == 0)
			r = pin_name(p, ret, have);
		if (r < 0)
			return r == -ENOENT ? -EBADMSG : r;
		c = strcmp(name, have); /* as unsigned bytes */
		if (c == 0) {
			*ret_i = mid;
			return 0;
		}
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -ENOENT;
}

int pin_leaf(struct pin *p, uint64_t first, size_t n, uint8_t *ret)
{
	if (first > p->head.leaves || n > p->head.leaves - first)
		return -EBADMSG;
	return bytes_get(p, p->at.leaves + first * PIN_HASH, n * PIN_HASH, ret);
}

/* -- for people ------------------------------------------------------------ */

void pin_path(struct pin *p, uint32_t i, char *ret, size_t size)
{
	size_t at = size - 1;
	struct pin_record rec;
	char name[256];

	ret[at] = '\0';
	while (i != 0) {
		size_t len;

		if (pin_record(p, i, &rec) < 0 || pin_name(p, &rec, name) < 0)
			strcpy(name, "?"), rec.parent = 0;
		len = strlen(name);
		if (at < len + 5) {
			memcpy(ret + (at -= 4), ".../", 4);
			break;
		}
		if (ret[at])
			ret[--at] = '/';
		memcpy(ret + (at -= len), name, len);
		i = rec.parent;
	}
	memmove(ret, ret + at, size - at);
	if (!ret[0])
		strcpy(ret, ".");
}

bool pin_first_time(struct pin *p, uint32_t i, unsigned what)
{
	uint64_t key = (uint64_t)what << 32 | i;
	bool first = true;

	pthread_mutex_lock(&p->lock);
	for (unsigned k = 0; k < MIN(p->nsaid, PIN_SAID); k++)
		first &= p->said[k] != key;
	if (first)
		p->said[p->nsaid++ % PIN_SAID] = key;
	pthread_mutex_unlock(&p->lock);
	return first;
}
