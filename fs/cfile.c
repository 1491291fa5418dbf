/* Life of a cfile: made, found again, let go.  The table of all of them is here. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/quota.h"
#include "keys/buffer.h"
#include "keys/kdf.h"
#include "keys/secret.h"

/* Work space, one per thread and freed with it. */
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_init(void)
{
	pthread_key_create(&scratch_key, buffer_release);
}

struct scratch *cfile_scratch(void)
{
	struct scratch *sc;

	pthread_once(&scratch_once, scratch_init);
	sc = pthread_getspecific(scratch_key);
	if (!sc) {
		sc = buffer_alloc(sizeof(*sc));
		if (sc)
			pthread_setspecific(scratch_key, sc);
	}
	return sc;
}

void cfile_publish(struct cfile *f)
{
	atomic_store_explicit(&f->pub_size, f->h.size, memory_order_relaxed);
	atomic_store_explicit(&f->pub_mapped, f->h.mapped, memory_order_relaxed);
}

int cfile_damage(struct cfile *f, uint64_t block, const char *what)
{
	char place[1024];

	/* A few lines say as much as a thousand; lost counts between readers do not matter. */
	if (__atomic_fetch_add(&f->complaints, 1, __ATOMIC_RELAXED) < 4) {
		store_place(f->fd, place, sizeof(place));
		if (block == UINT64_MAX)
			store_log(f->s, "damaged: %s: %s", place, what);
		else
			store_log(f->s, "damaged: %s: %s (block %llu)", place, what,
				  (unsigned long long)block);
	} else {
		__atomic_store_n(&f->complaints, 4, __ATOMIC_RELAXED);
	}
	return -EIO;
}

static size_t bucket_index(uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev * 31) * UINT64_C(0x9E3779B97F4A7C15);

	return (h >> 40) % REG_BUCKETS;
}

static struct cfile **bucket(struct store *s, uint64_t dev, uint64_t ino)
{
	return &s->table[bucket_index(dev, ino)];
}

static struct cfile *find(struct store *s, uint64_t dev, uint64_t ino)
{
	struct cfile *f = *bucket(s, dev, ino);

	while (f && (f->ino != ino || f->dev != dev))
		f = f->next;
	return f;
}

static void insert(struct store *s, struct cfile *f)
{
	struct cfile **b = bucket(s, f->dev, f->ino);

	f->next = *b;
	*b = f;
	f->refs = 1;
	s->ncfiles++;
}

static void set_lingering(struct cfile *f, bool on)
{
	if (f->lingering != on) {
		f->lingering = on;
		f->s->nlinger += on ? 1 : -1u;
	}
}

static void destroy(struct cfile *f)
{
	if (!f)
		return;
	tagcache_drop_range(f->s->tags, f->uid, 1, blockmap_group(cfile_nblocks(f) + 1));
	if (f->open)
		logbuf_free(f->s, f->open);
	ranges_clear(&f->fresh);
	livemap_clear(&f->live);
	secret_slot_free(f->key);
	pthread_rwlock_destroy(&f->lock);
	if (f->fd >= 0)
		close(f->fd);
	if (f->direct_fd >= 0)
		close(f->direct_fd);
	free(f);
}

static int cfile_alloc(struct store *s, const struct stat *st, struct cfile **ret)
{
	struct cfile *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->s = s;
	f->fd = -1;
	f->direct_fd = DIRECT_NONE;
	f->uid = atomic_fetch_add(&s->next_uid, 1) + 1;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->backing = (uint64_t)st->st_size;
	pthread_rwlock_init(&f->lock, NULL);
	if (secret_slot_new(&f->key) < 0) {
		f->key = NULL;
		destroy(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

int cfile_alone(struct store *s, int fd, struct cfile **ret)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = cfile_alloc(s, &st, ret);
	if (r == 0)
		(*ret)->fd = fd;
	return r;
}

void cfile_alone_free(struct cfile *f)
{
	if (f)
		f->fd = -1;
	destroy(f);
}

int cfile_create(struct store *s, int fd, struct cfile **ret)
{
	struct cfile *f;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != 0)
		return -EINVAL;
	/* Its header is written by whoever comes to it first. */
	r = store_begin_change_of(s, st.st_ino);
	if (r < 0)
		return r;
	r = quota_charge(s->p.quota, quota_file_bytes(0), 1);
	store_end_change(s);
	if (r < 0)
		return r;
	r = cfile_alloc(s, &st, &f);
	if (r < 0) {
		quota_release(s->p.quota, quota_file_bytes(0), 1);
		return r;
	}
	marks_charge(s, f->ino, (int64_t)quota_file_bytes(0), 1);
	f->h.suite = s->p.suite;
	randombytes_buf(f->h.file_id, FILE_ID_LEN);
	randombytes_buf(f->key, 32);
	kdf_block_key(f->h.suite, f->key, f->key + 32);
	f->created = true;
	f->head_dirty = true;
	f->fd = fd;
	pthread_mutex_lock(&s->reg_lock);
	insert(s, f);
	pthread_mutex_unlock(&s->reg_lock);
	*ret = f;
	return 0;
}

/* Open the header in page 0. NULL, or what is wrong with it. */
static const char *open_head(struct cfile *f, const uint8_t *page)
{
	const struct store_params *p = &f->s->p;
	const uint8_t *key = NULL;
	int r = -EBADMSG;

	if (head_has_magic(page)) {
		key = p->head_key(p->key_ctx, head_clear_keygen(page));
		if (key)
			r = head_open(page, key, p->vol_id, &f->h, f->key);
	}
	if (r == -EOPNOTSUPP)
		return "needs a newer version or another cipher";
	if (r < 0)
		return "the header does not verify";
	if (f->h.epoch > f->s->epoch)
		return "the header is newer than the store's state";
	if (f->backing != cfile_backing_want(f))
		return "the size differs from the header's";
	kdf_block_key(f->h.suite, f->key, f->key + 32);
	return NULL;
}

/* A state from what is at home; '*ret_wrong' says why it is no good, which the caller judges. */
static int load(struct store *s, int fd, struct cfile **ret, const char **ret_wrong)
{
	uint8_t page[BLOCK_SIZE];
	struct cfile *f;
	ssize_t n;
	int r;

	r = cfile_alone(s, fd, &f);
	if (r < 0)
		return r;
	n = fd_pread_full(fd, page, sizeof(page), 0);
	if (n < 0) {
		cfile_alone_free(f);
		return (int)n;
	}
	memset(page + n, 0, sizeof(page) - (size_t)n);
	store_epoch_enter(s);
	*ret_wrong = open_head(f, page);
	/* Older than this epoch: the checkpoint in between made it durable. */
	f->durable = f->h.epoch < s->epoch;
	store_epoch_leave(s);
	memcpy(f->head_entries, page + HEAD_ENTRIES_AT, sizeof(f->head_entries));
	f->head_home = true;
	cfile_publish(f);
	*ret = f;
	return 0;
}

static struct cfile *get_ref(struct store *s, const struct stat *st)
{
	struct cfile *f = find(s, st->st_dev, st->st_ino);

	if (f) {
		f->refs++;
		set_lingering(f, false);
	}
	return f;
}

/* The state in the table, with a reference; or what is at home, alone ('*ret_have' NULL) and taken
 * into the table with 'keep'.  A state that goes while we read may write after our read: again. */
static int get_or_load(struct store *s, int fd, bool keep, struct cfile **ret_have,
		       struct cfile **ret_mine)
{
	const char *wrong;
	struct cfile *f;
	struct stat st;
	uint32_t gen;
	bool fits;
	int r;

	for (;;) {
		if (fstat(fd, &st) < 0)
			return -errno;
		pthread_mutex_lock(&s->reg_lock);
		*ret_have = get_ref(s, &st);
		gen = s->gens[bucket_index(st.st_dev, st.st_ino)];
		pthread_mutex_unlock(&s->reg_lock);
		if (*ret_have)
			return 0;
		r = load(s, fd, &f, &wrong);
		if (r < 0)
			return r;
		pthread_mutex_lock(&s->reg_lock);
		*ret_have = get_ref(s, &st);
		fits = !*ret_have && gen == s->gens[bucket_index(st.st_dev, st.st_ino)];
		if (fits && !wrong && keep)
			insert(s, f);
		pthread_mutex_unlock(&s->reg_lock);
		if (fits && !wrong) {
			*ret_mine = f;
			return 0;
		}
		r = fits ? cfile_damage(f, UINT64_MAX, wrong) : 0;
		cfile_alone_free(f);
		if (r < 0 || *ret_have)
			return r;
	}
}

int cfile_open(struct store *s, int fd, struct cfile **ret)
{
	struct cfile *have, *mine;
	int r = get_or_load(s, fd, true, &have, &mine);

	if (r < 0)
		return r;
	if (have)
		close(fd);
	*ret = have ? have : mine;
	return 0;
}

int cfile_peek(struct store *s, int fd, struct cfile_stat *ret)
{
	struct cfile *have, *mine, *f;
	int r = get_or_load(s, fd, false, &have, &mine);

	if (r < 0)
		return r;
	f = have ? have : mine;
	pthread_rwlock_rdlock(&f->lock);
	*ret = (struct cfile_stat){ f->h.size, f->h.mapped, f->h.mtime_ns, { 0 } };
	memcpy(ret->file_id, f->h.file_id, FILE_ID_LEN);
	pthread_rwlock_unlock(&f->lock);
	if (have)
		cfile_put(have);
	else
		cfile_alone_free(mine);
	return 0;
}

void cfile_ref(struct cfile *f)
{
	pthread_mutex_lock(&f->s->reg_lock);
	f->refs++;
	pthread_mutex_unlock(&f->s->reg_lock);
}

/* Under reg_lock: out of the table if nothing needs it. True: the caller destroys it. */
static bool detach_if_idle(struct cfile *f)
{
	struct store *s = f->s;
	struct cfile **p;

	if (f->refs > 0 || f->pins > 0)
		return false;
	/* Nobody else can reach it now, so its fields may be read without its lock. */
	if (f->first_seq != 0 || f->open || (f->unsettled && !f->unlinked)) {
		set_lingering(f, true);
		return false;
	}
	set_lingering(f, false);
	for (p = bucket(s, f->dev, f->ino); *p != f; p = &(*p)->next)
		;
	*p = f->next;
	s->ncfiles--;
	s->gens[bucket_index(f->dev, f->ino)]++;
	return true;
}

static void give_back_quota(struct cfile *f)
{
	if (f->unlinked && !f->given_back) {
		f->given_back = true;
		quota_release(f->s->p.quota, quota_file_bytes(f->h.mapped), 1);
		marks_charge(f->s, f->ino, -(int64_t)quota_file_bytes(f->h.mapped), -1);
	}
}

void cfile_put(struct cfile *f)
{
	struct store *s = f->s;
	bool last, unlinked, gone;
	unsigned crowd;

	pthread_mutex_lock(&s->reg_lock);
	last = f->refs == 1;
	unlinked = f->unlinked;
	if (!last)
		f->refs--;
	pthread_mutex_unlock(&s->reg_lock);
	if (!last)
		return;
	/* While we still hold the reference; should another open come now, no harm is done. */
	if (unlinked)
		cfile_log_discard(f);
	else if (!s->p.read_only)
		(void)cfile_settle(f);
	pthread_mutex_lock(&s->reg_lock);
	f->refs--;
	if (f->refs == 0)
		give_back_quota(f);
	gone = detach_if_idle(f);
	/* The space of an unlinked file comes back with its descriptor: do not wait for idleness.
	 */
	crowd = s->nlinger + (unlinked && !gone && f->h.mapped > LINGER_BLOCKS ? LINGER_SOFT : 0);
	pthread_mutex_unlock(&s->reg_lock);
	if (gone)
		destroy(f);
	if (crowd > LINGER_HARD)
		(void)store_checkpoint(s);
	else if (crowd > LINGER_SOFT)
		store_bg_kick(s, BG_CHECKPOINT);
}

int cfile_pin_all(struct store *s, struct cfile ***ret, size_t *ret_n)
{
	struct cfile **v;
	size_t n = 0;

	pthread_mutex_lock(&s->reg_lock);
	v = malloc((s->ncfiles + 1) * sizeof(*v));
	for (unsigned i = 0; v && i < REG_BUCKETS; i++) {
		for (struct cfile *f = s->table[i]; f; f = f->next) {
			f->pins++;
			v[n++] = f;
		}
	}
	pthread_mutex_unlock(&s->reg_lock);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}

void cfile_unpin_all(struct store *s, struct cfile **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool gone;

		pthread_mutex_lock(&s->reg_lock);
		v[i]->pins--;
		gone = detach_if_idle(v[i]);
		pthread_mutex_unlock(&s->reg_lock);
		if (gone)
			destroy(v[i]);
	}
	free(v);
}

void cfile_free_all(struct store *s)
{
	for (unsigned i = 0; i < REG_BUCKETS; i++) {
		while (s->table[i]) {
			struct cfile *f = s->table[i];

			s->table[i] = f->next;
			destroy(f);
		}
	}
	s->ncfiles = 0;
}

bool cfile_lookup_size(struct store *s, uint64_t dev, uint64_t ino, uint64_t *ret_size)
{
	struct cfile *f;

	pthread_mutex_lock(&s->reg_lock);
	f = find(s, dev, ino);
	if (f)
		*ret_size = f->pub_size;
	pthread_mutex_unlock(&s->reg_lock);
	return f;
}

void cfile_note_metadata(struct cfile *f)
{
	pthread_rwlock_wrlock(&f->lock);
	f->meta_changed = true;
	pthread_rwlock_unlock(&f->lock);
}

void cfile_note_unlinked(struct cfile *f)
{
	pthread_mutex_lock(&f->s->reg_lock);
	f->unlinked = true;
	pthread_mutex_unlock(&f->s->reg_lock);
}

void cfile_note_relinked(struct cfile *f)
{
	pthread_mutex_lock(&f->s->reg_lock);
	f->unlinked = false;
	pthread_mutex_unlock(&f->s->reg_lock);
}

uint64_t cfile_size(const struct cfile *f)
{
	return atomic_load_explicit(&f->pub_size, memory_order_relaxed);
}

uint64_t cfile_mapped(const struct cfile *f)
{
	return atomic_load_explicit(&f->pub_mapped, memory_order_relaxed);
}

const uint8_t *cfile_id(const struct cfile *f)
{
	return f->h.file_id;
}

int cfile_fd(const struct cfile *f)
{
	return f->fd;
}

int cfile_set_mtime(struct cfile *f, int64_t mtime_ns)
{
	int64_t sec = mtime_ns / 1000000000 - (mtime_ns % 1000000000 < 0);
	const struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT },
					{ sec, mtime_ns - sec * 1000000000 } };
	int r = store_begin_change(f->s);

	if (r < 0)
		return r;
	/* It rides in the next header that is written for another reason.  Set once more at home:
	 * bringing the log home may just have put back the time before this one. */
	pthread_rwlock_wrlock(&f->lock);
	r = futimens(f->fd, ts) < 0 ? -errno : 0;
	if (r == 0)
		f->h.mtime_ns = mtime_ns;
	pthread_rwlock_unlock(&f->lock);
	store_end_change(f->s);
	return r;
}

void cfile_show_mtime(struct cfile *f)
{
	int64_t ns;

	pthread_rwlock_rdlock(&f->lock);
	ns = f->h.mtime_ns;
	pthread_rwlock_unlock(&f->lock);
	(void)cfile_set_mtime(f, ns);
}
