/* What the files of test_crash.c may hold after a crash, and the operations that change them.
 *
 * Each file has one writer.  Another thread may sync it at the same time: what had returned before
 * that sync began is promised when it returns, while what ran beside it may be there or not.
 * All fields change under the lock of the simulator, which a crash holds. */
#pragma once

#include <linux/falloc.h>

#include "base/cleanup.h"
#include "fs/cfile_priv.h"
#include "tests/unit/crash_sim.h"

#define NFILES   4
#define FILE_MAX (48u * 4096)

/* A call that runs: bytes [off, end) become 'value', the size becomes 'size'. */
struct change {
	bool any;
	uint64_t off, end, size;
	uint8_t value;
};

struct model {
	char name[16];
	bool exists, synced;
	uint8_t *now;
	uint64_t *allowed;       /* bit v: the byte may be v */
	uint64_t size, min_size; /* min: since the last fsync */
	uint64_t max_size;       /* same */
	struct cfile *f;
	uint64_t rnd;
	uint8_t counter;
	struct change running;

	/* A sync by another thread. */
	unsigned generation; /* of the file in this slot */
	bool hidden;         /* f is not to be used by others now */
	bool racing;
	uint8_t *snap;   /* content when it began */
	uint64_t *since; /* values written beside it */
	uint64_t snap_size, since_min, since_max;
};

static struct model models[NFILES];
static struct sim sim;
static struct kit kit;

static inline uint64_t pick(uint64_t *r, uint64_t n)
{
	return kit_random(r) % n;
}

static inline void lock_model(void)
{
	pthread_mutex_lock(&sim.lock);
}

static inline void unlock_model(void)
{
	pthread_mutex_unlock(&sim.lock);
}

static inline void note(const struct change *c, uint64_t *values, uint64_t *min, uint64_t *max)
{
	for (uint64_t i = c->off; i < c->end; i++)
		values[i] |= UINT64_C(1) << c->value;
	if (c->size < *min)
		*min = c->size;
	if (c->size > *max)
		*max = c->size;
}

static inline void begin_change(struct model *m, uint64_t off, uint64_t end, uint8_t value,
				uint64_t size)
{
	struct change c = { true, off, end < FILE_MAX ? end : FILE_MAX, size, value };

	lock_model();
	m->running = c;
	note(&c, m->allowed, &m->min_size, &m->max_size);
	if (m->racing)
		note(&c, m->since, &m->since_min, &m->since_max);
	unlock_model();
}

static inline void end_change(struct model *m)
{
	struct change *c = &m->running;

	lock_model();
	memset(m->now + c->off, c->value, c->end - c->off);
	m->size = c->size;
	c->any = false;
	unlock_model();
}

static inline void do_write(struct model *m)
{
	uint64_t off = pick(&m->rnd, 3) ? pick(&m->rnd, m->size + 1) : pick(&m->rnd, FILE_MAX - 1);
	uint64_t len = 1 + pick(&m->rnd, pick(&m->rnd, 3) ? 300 : 30000);
	uint8_t *buf;

	if (pick(&m->rnd, 3) == 0) {
		off &= ~UINT64_C(4095);
		len = 4096 * (1 + pick(&m->rnd, 6));
	}
	if (off + len > FILE_MAX)
		len = FILE_MAX - off;
	if (len == 0)
		return;
	m->counter = m->counter % 62 + 1;
	buf = malloc(len);
	memset(buf, m->counter, len);
	begin_change(m, off, off + len, m->counter, MAX(m->size, off + len));
	CHECK_EQ(cfile_write(m->f, buf, len, off), len);
	end_change(m);
	free(buf);
}

static inline void do_truncate(struct model *m)
{
	uint64_t size = pick(&m->rnd, 4) == 0   ? 0
			: pick(&m->rnd, 2) != 0 ? pick(&m->rnd, m->size + 1)
						: pick(&m->rnd, FILE_MAX);

	begin_change(m, size, FILE_MAX, 0, size);
	CHECK_EQ(cfile_truncate(m->f, size), 0);
	end_change(m);
}

static inline void do_punch(struct model *m)
{
	uint64_t off = pick(&m->rnd, m->size + 1), len = 1 + pick(&m->rnd, 40000);

	begin_change(m, off, off + len, 0, m->size);
	CHECK_EQ(cfile_allocate(m->f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len), 0);
	end_change(m);
}

static inline void now_durable(struct model *m)
{
	lock_model();
	m->synced = true;
	m->min_size = m->max_size = m->size;
	for (uint64_t i = 0; i < FILE_MAX; i++)
		m->allowed[i] = UINT64_C(1) << m->now[i];
	unlock_model();
}

static inline void do_sync(struct model *m)
{
	CHECK_EQ(cfile_fsync(m->f, pick(&m->rnd, 2)), 0);
	now_durable(m);
}

/* While its writer goes on. */
static inline void race_sync(struct model *m, bool data_only)
{
	unsigned generation;
	struct cfile *f;

	lock_model();
	if (!m->exists || m->hidden || m->racing) {
		unlock_model();
		return;
	}
	m->racing = true;
	generation = m->generation;
	memcpy(m->snap, m->now, FILE_MAX);
	memset(m->since, 0, FILE_MAX * sizeof(*m->since));
	m->snap_size = m->since_min = m->since_max = m->size;
	if (m->running.any)
		note(&m->running, m->since, &m->since_min, &m->since_max);
	f = m->f;
	cfile_ref(f);
	unlock_model();
	CHECK_EQ(cfile_fsync(f, data_only), 0);
	lock_model();
	if (generation == m->generation) {
		m->synced = true;
		m->min_size = MAX(m->min_size, m->since_min);
		m->max_size = MIN(m->max_size, m->since_max);
		for (uint64_t i = 0; i < FILE_MAX; i++)
			m->allowed[i] &= UINT64_C(1) << m->snap[i] | m->since[i];
	}
	m->racing = false;
	unlock_model();
	cfile_put(f);
}

static inline void hide(struct model *m, bool on)
{
	lock_model();
	m->hidden = on;
	unlock_model();
}

static inline void do_create(struct model *m)
{
	struct cfile *f = NULL;

	CHECK_EQ(kit_create(&kit, m->name, &f), 0);
	lock_model();
	m->f = f;
	m->exists = true;
	unlock_model();
}

static inline void do_reopen(struct model *m)
{
	hide(m, true);
	cfile_put(m->f);
	CHECK_EQ(kit_open(&kit, m->name, &m->f), 0);
	hide(m, false);
}

/* The slot takes a new file, of a new name. */
static inline void reset(struct model *m)
{
	static unsigned names;

	lock_model();
	m->exists = m->synced = m->hidden = false;
	m->generation++;
	m->size = m->min_size = m->max_size = 0;
	snprintf(m->name, sizeof(m->name), "f%u", names++);
	memset(m->now, 0, FILE_MAX);
	for (uint64_t k = 0; k < FILE_MAX; k++)
		m->allowed[k] = 1;
	unlock_model();
}

/* Maybe while it is still open, as temporary files are. */
static inline void do_unlink(struct model *m)
{
	char path[32];

	lock_model();
	m->hidden = true;
	m->generation++;
	m->synced = false; /* it may be gone from now on */
	unlock_model();
	snprintf(path, sizeof(path), "t/%s", m->name);
	CHECK_EQ(store_begin_change_of(kit.s, m->f->ino), 0);
	sim_unlink(&sim, path);
	cfile_note_unlinked(m->f);
	store_end_change(kit.s);
	if (pick(&m->rnd, 2))
		do_write(m);
	cfile_put(m->f);
	reset(m);
}

static inline void start_models(uint64_t *rnd)
{
	for (int i = 0; i < NFILES; i++) {
		struct model *m = &models[i];

		m->now = malloc(FILE_MAX);
		m->snap = malloc(FILE_MAX);
		m->allowed = malloc(FILE_MAX * sizeof(uint64_t));
		m->since = malloc(FILE_MAX * sizeof(uint64_t));
		m->rnd = kit_random(rnd);
		reset(m);
	}
}

static inline void end_models(void)
{
	for (int i = 0; i < NFILES; i++) {
		free(models[i].now);
		free(models[i].snap);
		free(models[i].allowed);
		free(models[i].since);
	}
}
