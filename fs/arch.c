#include "fs/arch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch_int.h"
#include "fs/arch_proto.h"

/* -- identity -------------------------------------------------------------- */

int arch_id_of(int fd, struct arch_id *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct arch_id){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.size = (uint64_t)st.st_size,
		.mtime = st.st_mtim.tv_sec,
		.mtime_ns = st.st_mtim.tv_nsec,
		.ctime = st.st_ctim.tv_sec,
		.ctime_ns = st.st_ctim.tv_nsec,
	};
	return 0;
}

/* The device's number may be another after a reboot, and ctime changes with a chmod; neither
 * changes the bytes, but a wrong guess would show old ones: all of it counts but the device. */
bool arch_id_same(const struct arch_id *a, const struct arch_id *b)
{
	return a->ino == b->ino && a->size == b->size && a->mtime == b->mtime &&
	       a->mtime_ns == b->mtime_ns && a->ctime == b->ctime && a->ctime_ns == b->ctime_ns;
}

void arch_log(struct arch_cache *c, const char *fmt, ...)
{
	char line[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (c->p.log)
		c->p.log(c->p.log_ctx, line);
}

/* -- the cache ------------------------------------------------------------- */

int arch_cache_new(const struct arch_cache_params *p, struct arch_cache **ret)
{
	struct arch_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->p = *p;
	c->p.bytes = p->bytes ? p->bytes : INT64_MAX;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->idle, NULL);
	*ret = c;
	return 0;
}

void arch_cache_free(struct arch_cache *c)
{
	if (!c)
		return;
	atomic_store(&c->cancel, true);
	pthread_mutex_lock(&c->lock);
	while (c->threads > 0)
		pthread_cond_wait(&c->idle, &c->lock);
	pthread_mutex_unlock(&c->lock);
	while (c->items) {
		struct arch_item *i = c->items;

		c->items = i->next;
		arch_unref(i->now, 1);
		free(i);
	}
	pthread_cond_destroy(&c->idle);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void arch_cache_set_bytes(struct arch_cache *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->p.bytes = bytes ? bytes : INT64_MAX;
	pthread_mutex_unlock(&c->lock);
}

static struct arch_item *item_find(struct arch_cache *c, const char *name)
{
	struct arch_item *i = c->items;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	return i;
}

static struct arch_item *item_get(struct arch_cache *c, const char *name)
{
	struct arch_item *i = item_find(c, name);

	if (i)
		return i;
	i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	snprintf(i->name, sizeof(i->name), "%s", name);
	i->next = c->items;
	c->items = i;
	return i;
}

/* An item stays for the next dataset of its name: a thread may still look at it. */
void arch_cache_remove(struct arch_cache *c, const char *name)
{
	struct arch *old = NULL;
	struct arch_item *i;

	pthread_mutex_lock(&c->lock);
	i = item_find(c, name);
	if (i) {
		old = i->now;
		i->now = NULL;
		i->failed = false;
		i->gone = i->busy;
	}
	pthread_mutex_unlock(&c->lock);
	arch_unref(old, 1);
	arch_store_remove(c, name);
}

/* -- one archive ----------------------------------------------------------- */

int arch_make(struct arch_cache *c, const char *name, int source, void *mem, size_t size,
	      bool mapped, struct arch **ret)
{
	struct arch *a = calloc(1, sizeof(*a));
	int r = a ? arch_index_check(mem, size, &a->ix) : -ENOMEM;

	if (r < 0) {
		free(a);
		return r;
	}
	a->c = c;
	a->source = source;
	a->mem = mem;
	a->mem_size = size;
	a->mapped = mapped;
	a->refs = 1;
	a->data = -1;
	snprintf(a->name, sizeof(a->name), "%s", name);
	pthread_mutex_lock(&c->lock);
	a->slot = ++c->next_slot;
	a->next = c->all;
	c->all = a;
	pthread_mutex_unlock(&c->lock);
	*ret = a;
	return 0;
}

static void arch_free(struct arch *a)
{
	if (a->mapped)
		munmap(a->mem, a->mem_size);
	else
		free(a->mem);
	close(a->source);
	if (a->data >= 0)
		close(a->data);
	free(a);
}

void arch_ref(struct arch *a, uint64_t n)
{
	pthread_mutex_lock(&a->c->lock);
	a->refs += n;
	pthread_mutex_unlock(&a->c->lock);
}

void arch_unref(struct arch *a, uint64_t n)
{
	bool last;

	if (!a)
		return;
	pthread_mutex_lock(&a->c->lock);
	a->refs -= MIN(n, a->refs);
	last = a->refs == 0;
	for (struct arch **p = &a->c->all; last && *p; p = &(*p)->next) {
		if (*p == a) {
			*p = a->next;
			break;
		}
	}
	pthread_mutex_unlock(&a->c->lock);
	if (last)
		arch_free(a);
}

void arch_lookup(struct arch *a)
{
	pthread_mutex_lock(&a->c->lock);
	a->refs++;
	a->lookups++;
	pthread_mutex_unlock(&a->c->lock);
}

void arch_forget(struct arch_cache *c, uint32_t slot, uint64_t n)
{
	struct arch *a = arch_by_slot(c, slot);

	if (!a)
		return;
	pthread_mutex_lock(&c->lock);
	n = MIN(n, a->lookups);
	a->lookups -= n;
	pthread_mutex_unlock(&c->lock);
	arch_unref(a, n + 1);
}

void arch_forget_all(struct arch_cache *c)
{
	uint32_t last;

	pthread_mutex_lock(&c->lock);
	last = c->next_slot;
	pthread_mutex_unlock(&c->lock);
	for (uint32_t slot = 1; slot <= last; slot++)
		arch_forget(c, slot, UINT64_MAX);
}

struct arch *arch_by_slot(struct arch_cache *c, uint32_t slot)
{
	struct arch *a;

	pthread_mutex_lock(&c->lock);
	for (a = c->all; a && a->slot != slot; a = a->next)
		;
	if (a)
		a->refs++;
	pthread_mutex_unlock(&c->lock);
	return a;
}

struct arch *arch_current(struct arch_cache *c, const char *name)
{
	struct arch_item *i;
	struct arch *a;

	pthread_mutex_lock(&c->lock);
	i = item_find(c, name);
	a = i ? i->now : NULL;
	if (a)
		a->refs++;
	pthread_mutex_unlock(&c->lock);
	return a;
}

uint32_t arch_slot(const struct arch *a)
{
	return a->slot;
}

const struct arch_index *arch_index_of(const struct arch *a)
{
	return &a->ix;
}

const char *arch_dataset(const struct arch *a)
{
	return a->name;
}

bool arch_is_document(const struct arch *a)
{
	static const char *const marks[] = { "[Content_Types].xml", "mimetype", "META-INF" };
	const struct arch_name *n;
	bool arrays = true;
	uint64_t i;

	if (strncmp(a->ix.head->format, "ZIP", 3) != 0)
		return false;
	for (i = 0; i < ARRAY_LEN(marks); i++)
		if (arch_index_find(&a->ix, 0, marks[i], strlen(marks[i])) != ARCH_NO_INODE)
			return true;
	for (i = 0; (n = arch_index_at(&a->ix, 0, i)); i++)
		arrays &= n->len > 4 && memcmp(a->ix.strings + n->at + n->len - 4, ".npy", 4) == 0;
	return arrays && i > 0;
}

/* -- getting one ----------------------------------------------------------- */

/* The saved index, if it is of this archive. c->lock is held and given away meanwhile. */
static struct arch *load(struct arch_cache *c, const char *name, const struct arch_id *id, int fd)
{
	struct arch *a = NULL;
	size_t size = 0;
	void *mem = NULL;
	int source = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	pthread_mutex_unlock(&c->lock);
	if (source >= 0 && arch_store_load(c, name, id, &mem, &size) == 0) {
		if (arch_make(c, name, source, mem, size, true, &a) == 0)
			source = -1;
		else
			munmap(mem, size);
	}
	if (source >= 0)
		close(source);
	pthread_mutex_lock(&c->lock);
	return a;
}

/* What an item says of this state of its archive without any work: 0 with a reference, an error, or
 * -EAGAIN: nothing. */
static int known(struct arch_item *i, const struct arch_id *id, struct arch **ret,
		 struct arch_progress *progress, struct err *err)
{
	if (i->now && arch_id_same(&i->now->ix.head->id, id)) {
		i->now->refs++;
		*ret = i->now;
		return 0;
	}
	if (i->busy) {
		if (progress)
			*progress = i->progress;
		return -EINPROGRESS;
	}
	if (i->failed && arch_id_same(&i->failed_id, id)) {
		if (err)
			*err = i->why;
		return i->why.code;
	}
	return -EAGAIN;
}

/* c->lock is held. 'base' NULL: do not start. */
static int find_or_start(struct arch_cache *c, struct arch_item *i, const char *base, int fd,
			 const struct arch_id *id, struct arch **ret_old)
{
	struct arch *a = load(c, i->name, id, fd);
	int source;

	if (i->busy) { /* somebody was faster */
		*ret_old = a;
		return -EINPROGRESS;
	}
	*ret_old = i->now;
	i->now = a;
	i->failed = false;
	i->gone = false;
	if (a || !base)
		return a ? 0 : -ENOENT;
	source = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return source < 0 ? -errno : arch_start_index(c, i, base, source);
}

int arch_get(struct arch_cache *c, const char *name, const char *base, int fd, bool start,
	     struct arch **ret, struct arch_progress *ret_progress, struct err *err)
{
	struct arch *old = NULL;
	struct arch_item *i;
	struct arch_id id;
	int r = arch_id_of(fd, &id);

	if (r < 0)
		return err_set(err, r, "look at the archive");
	pthread_mutex_lock(&c->lock);
	i = item_get(c, name);
	r = i ? known(i, &id, ret, ret_progress, err) : -ENOMEM;
	if (r == -EAGAIN) {
		r = find_or_start(c, i, start ? base : NULL, fd, &id, &old);
		if (r == 0)
			r = known(i, &id, ret, ret_progress, err);
		if (r == -EAGAIN)
			r = -EINPROGRESS;
	}
	pthread_mutex_unlock(&c->lock);
	arch_unref(old, 1);
	if (r < 0 && r != -EINPROGRESS && err && !err->text[0])
		err_set(err, r, "index it");
	return r;
}

void arch_retry(struct arch_cache *c, const char *name)
{
	struct arch_item *i;

	pthread_mutex_lock(&c->lock);
	i = item_find(c, name);
	if (i)
		i->failed = false;
	pthread_mutex_unlock(&c->lock);
}

/* -- reading --------------------------------------------------------------- */

void arch_use(struct arch *a)
{
	pthread_mutex_lock(&a->c->lock);
	a->uses++;
	/* Its mtime is when it was last wanted. */
	if (a->data >= 0 && a->unpack == UNPACK_DONE)
		(void)futimens(a->data,
			       (struct timespec[2]){ { 0, UTIME_OMIT }, { 0, UTIME_NOW } });
	/* What failed may work by now: room was made, the limit was raised. */
	if (a->unpack == UNPACK_FAILED && a->uses == 1)
		a->unpack = UNPACK_NOT;
	pthread_mutex_unlock(&a->c->lock);
}

void arch_unuse(struct arch *a)
{
	int fd = -1;

	pthread_mutex_lock(&a->c->lock);
	if (--a->uses == 0 && a->unpack == UNPACK_FAILED && a->data >= 0) {
		fd = a->data;
		a->data = -1;
	}
	pthread_mutex_unlock(&a->c->lock);
	if (fd >= 0)
		close(fd);
}

void arch_unpacked(struct arch *a, struct arch_progress *ret)
{
	const struct arch_head *h = a->ix.head;

	pthread_mutex_lock(&a->c->lock);
	if (a->unpack == UNPACK_NOT && h->unpacked > 0) {
		int fd = arch_store_data(a);

		if (fd >= 0) {
			a->data = fd;
			a->unpack = UNPACK_DONE;
		}
	}
	*ret = (struct arch_progress){
		.done = a->unpack == UNPACK_DONE   ? h->unpacked
			: a->unpack == UNPACK_RUNS ? a->done
						   : 0,
		.total = h->unpacked,
	};
	pthread_mutex_unlock(&a->c->lock);
}

/* A descriptor with these bytes. The caller uses 'a', so it stays open. */
static int data_until(struct arch *a, uint64_t end)
{
	int r = 0;

	pthread_mutex_lock(&a->c->lock);
	if (a->unpack == UNPACK_NOT) {
		int fd = arch_store_data(a);

		if (fd >= 0) {
			a->data = fd;
			a->unpack = UNPACK_DONE;
			(void)futimens(fd,
				       (struct timespec[2]){ { 0, UTIME_OMIT }, { 0, UTIME_NOW } });
		} else if (arch_start_unpack(a) < 0) {
			a->unpack = UNPACK_FAILED;
		}
	}
	if (a->unpack == UNPACK_FAILED)
		r = -EIO;
	else if (a->unpack == UNPACK_RUNS && a->done < end)
		r = -EINPROGRESS;
	else
		r = a->data;
	pthread_mutex_unlock(&a->c->lock);
	return r;
}

ssize_t arch_pread(struct arch *a, uint32_t inode, void *buf, size_t size, uint64_t off)
{
	const struct arch_inode *n = arch_index_inode(&a->ix, inode);
	struct arch_id now;
	ssize_t got;
	int fd;

	if (!n || n->flags & (ARCH_INODE_DIR | ARCH_INODE_SYMLINK))
		return -EINVAL;
	if (off >= n->size)
		return 0;
	size = MIN(size, n->size - off);
	if (!(n->flags & ARCH_INODE_PLACE)) {
		fd = data_until(a, n->at + off + size);
		return fd < 0 ? fd : fd_pread_full(fd, buf, size, n->at + off);
	}
	got = fd_pread_full(a->source, buf, size, n->at + off);
	/* Looked at after the read: what was there then is what the index is of. */
	if (got >= 0 && (arch_id_of(a->source, &now) < 0 || !arch_id_same(&now, &a->ix.head->id)))
		return -ESTALE;
	return got;
}
