/* Which situations a crash met: read from the log that it left, as recovery will read it. */
#pragma once

#include "fs/head.h"
#include "fs/log_codec.h"
#include "tests/unit/crash_sim.h"

enum seen_what {
	SEEN_TWO_FILES,   /* batches of several files in the log */
	SEEN_FOUR_FILES,  /* of four */
	SEEN_WRAPPED,     /* the valid batches go around the end of the ring */
	SEEN_BATCH_WRAPS, /* one batch does */
	SEEN_CUT_OFF,     /* a whole batch lies behind the end of the log */
	SEEN_DEAD,        /* a DEAD batch, with batches that it covers */
	SEEN_DEAD_THEN,   /* later batches of the same file behind it */
	SEEN_DEAD_BESIDE, /* its file has direct writes that are not synced */
	SEEN_LOST_UNLINK, /* an unlinked file is back, and the log has batches of it */
	SEEN_UNLINK_KEPT, /* the log has batches of a file that is gone */
	SEEN_HOLES,       /* cuts and holes in the log */
	SEEN_PADDED,      /* batches in the log of a padded volume */
	SEEN_SMALL_FULL,  /* the smallest ring, more than half full */
	SEEN_AGAIN,       /* a second crash while the first was mended */
	SEEN_CLEAN,       /* a clean state, after changes and before the next ones */
	SEEN_CLEAN_ONCE,  /* the other slot does not say so yet, or is torn */
	SEEN_CLEAN_OLD,   /* not clean, but the other slot still is */
	SEEN_GATE_TORN,   /* clean, for the one that says otherwise is torn */
	SEEN_PART,        /* recovery looked at what was touched, not at all files */
	SEEN_PART_AGAIN,  /* the same after a crash inside recovery */
	SEEN_COUNT
};

static const char *const seen_names[SEEN_COUNT] = {
	"several files in the log",
	"four files in the log",
	"log around the ring's end",
	"batch around the ring's end",
	"whole batch behind the log's end",
	"DEAD and what it covers",
	"DEAD, then more of that file",
	"DEAD beside running writes",
	"lost unlink with batches",
	"unlinked for good, with batches",
	"cuts and holes",
	"padded",
	"smallest ring over half full",
	"crash inside recovery",
	"clean while idle",
	"clean in one slot only",
	"not clean, the other slot still is",
	"torn: not clean",
	"touched files only",
	"the same, crash inside recovery",
};

static unsigned seen[SEEN_COUNT];

/* One valid batch. */
struct seen_batch {
	uint8_t id[FILE_ID_LEN];
	uint32_t flags;
	uint64_t seq, cut;
};

struct seen_log {
	struct seen_batch b[4096];
	unsigned n;
	struct state st;
	unsigned states; /* slots that verify */
	bool other_clean;
	uint32_t used;
	int fd;
	const struct store_params *p;
};

static inline bool seen_page(const struct seen_log *l, uint64_t page, uint8_t *out)
{
	return pread(l->fd, out, LOG_PAGE, (off_t)(page * LOG_PAGE)) == LOG_PAGE;
}

static inline bool seen_state(struct seen_log *l)
{
	uint8_t page[LOG_PAGE];
	struct state st;

	for (int i = 0; i < 2; i++) {
		if (!seen_page(l, (uint64_t)i, page) ||
		    state_open(page, l->p->log_key(NULL, l->p->keygen), l->p->vol_id, &st) < 0)
			continue;
		if (l->states == 0 || st.counter > l->st.counter) {
			l->other_clean = l->st.clean;
			l->st = st;
		} else {
			l->other_clean = st.clean;
		}
		l->states++;
	}
	return l->states > 0;
}

/* 'shut': the daemon's own view, that the state on disk is clean or is being made so. */
static inline void seen_gate(const struct seen_log *l, bool shut)
{
	if (l->st.clean) {
		seen[SEEN_CLEAN] += l->states == 2 && l->other_clean;
		seen[SEEN_CLEAN_ONCE] += l->states == 2 && !l->other_clean;
		seen[SEEN_GATE_TORN] += l->states == 1 && shut;
	} else {
		seen[SEEN_CLEAN_OLD] += l->states == 2 && l->other_clean;
	}
}

/* The descriptor of batch 'seq' at 'pos'; its data pages are recovery's business: a batch whose
 * pages are torn may be counted, which does no harm to a count. */
static inline bool seen_batch(const struct seen_log *l, uint32_t pos, uint64_t seq, struct batch *b)
{
	uint8_t page[LOG_PAGE];
	uint64_t have;
	uint32_t keygen;

	return seen_page(l, LOG_RING_AT + (uint64_t)pos, page) &&
	       batch_peek(page, &have, &keygen) && have == seq &&
	       batch_open(page, l->p->log_key(NULL, keygen), l->p->vol_id, b) == 0;
}

static inline void seen_read(struct seen_log *l)
{
	struct batch *b = malloc(sizeof(*b));
	uint32_t pos = l->st.tail;
	uint64_t seq = l->st.tail_seq;

	while (l->n < 4096 && l->used < l->st.ring && seen_batch(l, pos, seq, b)) {
		struct seen_batch *s = &l->b[l->n++];
		uint32_t pages = batch_pages(b);

		*s = (struct seen_batch){ .flags = b->flags, .seq = seq, .cut = b->cut };
		memcpy(s->id, b->file_id, FILE_ID_LEN);
		seen[SEEN_BATCH_WRAPS] += pos + pages > l->st.ring;
		seen[SEEN_HOLES] += (b->flags & BATCH_CUT) != 0;
		for (uint32_t i = 0; i < b->nrec; i++)
			seen[SEEN_HOLES] += b->rec[i].kind == RECORD_HOLE;
		l->used += pages;
		pos = (pos + pages) % l->st.ring;
		seq++;
	}
	/* The one that is not valid, or a few pages on: another that is whole. */
	for (uint32_t i = 1; i < 50; i++) {
		for (uint64_t k = 1; k < 4; k++)
			seen[SEEN_CUT_OFF] += seen_batch(l, (pos + i) % l->st.ring, seq + k, b);
	}
	free(b);
}

static inline bool seen_same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, FILE_ID_LEN) == 0;
}

static inline void seen_files(const struct seen_log *l)
{
	unsigned files = 0;

	for (unsigned i = 0; i < l->n; i++) {
		bool first = true;

		for (unsigned k = 0; k < i; k++)
			first = first && !seen_same(l->b[k].id, l->b[i].id);
		files += first;
	}
	seen[SEEN_TWO_FILES] += files >= 2;
	seen[SEEN_FOUR_FILES] += files >= 4;
}

/* The simulator's file with this id in the state, NULL: it is not there. */
static inline struct sim_file *seen_file(struct sim *s, const char *dir, const uint8_t *id)
{
	uint8_t head[HEAD_LEN];
	char path[600];

	for (size_t i = 0; i < s->n; i++) {
		bool same;
		int fd;

		snprintf(path, sizeof(path), "%s/%s", dir, s->f[i].path);
		fd = s->f[i].path[0] == 't' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		same = fd >= 0 && pread(fd, head, sizeof(head), 0) == sizeof(head) &&
		       seen_same(head_clear_file_id(head), id);
		if (fd >= 0)
			close(fd);
		if (same)
			return &s->f[i];
	}
	return NULL;
}

static inline void seen_dead(struct sim *s, const char *dir, const struct seen_log *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct sim_file *f = seen_file(s, dir, l->b[i].id);
		bool covers = false, more = false;

		seen[SEEN_LOST_UNLINK] += f && f->unlinked;
		seen[SEEN_UNLINK_KEPT] += !f;
		if (!(l->b[i].flags & BATCH_DEAD))
			continue;
		for (unsigned k = 0; k < l->n; k++) {
			if (!seen_same(l->b[k].id, l->b[i].id))
				continue;
			covers |= l->b[k].seq < l->b[i].cut;
			more |= k > i;
		}
		seen[SEEN_DEAD] += covers;
		seen[SEEN_DEAD_THEN] += covers && more;
		seen[SEEN_DEAD_BESIDE] += covers && f && f->nops > 0;
	}
}

static inline void seen_note(struct sim *s, const char *dir, const struct store_params *p,
			     bool shut)
{
	struct seen_log *l = calloc(1, sizeof(*l));
	char path[300];

	l->p = p;
	snprintf(path, sizeof(path), "%s/log", dir);
	l->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (l->fd >= 0 && seen_state(l))
		seen_gate(l, shut);
	if (l->states > 0 && !l->st.clean) {
		seen_read(l);
		seen_files(l);
		seen_dead(s, dir, l);
		seen[SEEN_WRAPPED] += l->st.tail + l->used > l->st.ring;
		seen[SEEN_PADDED] += p->pad && l->n > 0;
		seen[SEEN_SMALL_FULL] += l->st.ring == 128 && l->used > 64;
	}
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

static inline bool seen_all(void)
{
	for (int i = 0; i < SEEN_COUNT; i++) {
		if (seen[i] == 0)
			return false;
	}
	return true;
}

/* One that was never met is a failure: the tests would prove less than they say. */
static inline void seen_report(void)
{
	for (int i = 0; i < SEEN_COUNT; i++) {
		printf("  %-34s %u\n", seen_names[i], seen[i]);
		if (seen[i] == 0)
			fprintf(stderr, "never reached: %s\n", seen_names[i]);
		CHECK_EQ(seen[i] > 0, 1);
	}
}
