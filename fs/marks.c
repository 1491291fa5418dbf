#include "fs/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/store_priv.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342 /* newer than the headers of some distributions */
#endif

/* After so many marks one by one they get wider, twice as wide each time. */
#define MISSES_STEP 64u
/* Numbers are given one after the other: so many groups at once where they go on. */
#define AHEAD 16u

uint64_t marks_ino(const struct store *s, uint64_t ino)
{
	return s->io->was_ino ? s->io->was_ino(s->io->ctx, ino) : ino;
}

/* -- where the numbers hold ----------------------------------------------- */

/* Numbers that stay with their inodes for life, and that readdir tells as stat does. */
static bool numbers_last(int fd)
{
	struct statfs sf;

	if (fstatfs(fd, &sf) < 0)
		return false;
	switch ((uint32_t)sf.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

static bool bind_one(int fd, const char *name, uint8_t out[static 16])
{
	struct statx sx;

	if (statx(fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &sx) <
		    0 ||
	    !(sx.stx_mask & STATX_BTIME))
		return false;
	le64_store(out, sx.stx_ino);
	le64_store(out + 8,
		   (uint64_t)sx.stx_btime.tv_sec * 1000000000 + (uint64_t)sx.stx_btime.tv_nsec);
	return true;
}

/* A copy of a store has other inodes, which are made at another time. */
static bool bind_get(const struct store_io *io, int dirfd, int log_fd,
		     uint8_t out[static MARK_BIND])
{
	if (io->was_bind)
		return io->was_bind(io->ctx, out);
	return numbers_last(log_fd) && bind_one(log_fd, "", out) && bind_one(dirfd, "t", out + 16);
}

/* -- the table ------------------------------------------------------------ */

static uint64_t table_off(uint32_t ring, unsigned slot)
{
	return (uint64_t)LOG_PAGE * (LOG_RING_AT + (uint64_t)ring + slot * MARK_TABLE_PAGES);
}

static int table_write(const struct store_params *p, int log_fd, uint32_t ring, unsigned slot,
		       struct mark_table *t)
{
	const struct store_io *io = p->io ? p->io : &store_io_system;
	autofree uint8_t *raw = malloc(MARK_TABLE_LEN);

	if (!raw)
		return -ENOMEM;
	t->keygen = p->keygen;
	mark_table_seal(t, p->log_key(p->key_ctx, p->keygen), p->vol_id, raw);
	return sio_pwrite(io, log_fd, raw, MARK_TABLE_LEN, table_off(ring, slot));
}

static int table_read(struct store *s, unsigned slot, uint64_t seq, struct mark_table *t)
{
	autofree uint8_t *raw = malloc(MARK_TABLE_LEN);
	const uint8_t *key;
	uint64_t have;
	uint32_t keygen;

	if (!raw)
		return -ENOMEM;
	if (fd_pread_full(s->log_fd, raw, MARK_TABLE_LEN, table_off(s->log.st.ring, slot)) !=
		    MARK_TABLE_LEN ||
	    mark_table_peek(raw, &have, &keygen) < 0 || have != seq)
		return -EBADMSG;
	key = s->p.log_key(s->p.key_ctx, keygen);
	return key ? mark_table_open(raw, key, s->p.vol_id, t) : -EBADMSG;
}

bool marks_create(const struct store_params *p, int dirfd, int log_fd, uint32_t ring,
		  struct mark_record *ret)
{
	autofree struct mark_table *t = calloc(1, sizeof(*t));

	*ret = (struct mark_record){ .seq = 1 };
	if (!t || !bind_get(p->io ? p->io : &store_io_system, dirfd, log_fd, t->bind))
		return false;
	t->seq = ret->seq;
	return table_write(p, log_fd, ring, 0, t) == 0;
}

void marks_load(struct store *s, const uint8_t page[static LOG_PAGE], const uint8_t *key)
{
	autofree struct mark_table *t = malloc(sizeof(*t));
	struct marks *m = &s->marks;
	struct mark_record r;
	unsigned slot = 0;

	pthread_mutex_init(&m->lock, NULL);
	m->v = calloc(MARK_GROUPS, sizeof(*m->v));
	if (!t || !m->v || s->p.read_only || !bind_get(s->io, s->dirfd, s->log_fd, m->bind)) {
		free(m->v);
		m->v = NULL;
		return;
	}
	if (mark_record_open(page, key, s->p.vol_id, &r) < 0)
		return;
	while (slot < 2 && table_read(s, slot, r.seq, t) < 0)
		slot++;
	if (slot == 2 || memcmp(t->bind, m->bind, MARK_BIND) != 0)
		return;
	m->seq = r.seq;
	m->slot = slot;
	memcpy(m->v, t->v, sizeof(t->v));
	for (uint32_t g = 0; g < MARK_GROUPS; g++) {
		if (r.bits[g / 8] >> g % 8 & 1)
			marks_put(m->next, g);
	}
	m->on = true;
	marks_publish(s);
}

void marks_free(struct store *s)
{
	free(s->marks.v);
	s->marks.v = NULL;
}

const struct mark_record *marks_record(const struct store *s, struct mark_record *r)
{
	const struct marks *m = &s->marks;

	if (!m->on)
		return NULL;
	*r = (struct mark_record){ .seq = m->seq };
	for (uint32_t g = 0; g < MARK_GROUPS; g++)
		r->bits[g / 8] |= (uint8_t)(marks_in(m->next, g) << g % 8);
	return r;
}

/* -- marks ---------------------------------------------------------------- */

bool marks_has(const struct store *s, uint64_t ino)
{
	uint32_t g = mark_group(marks_ino(s, ino));

	return !s->marks.on || atomic_load(&s->marks.durable[g / 64]) >> g % 64 & 1;
}

void marks_choose(struct store *s, uint64_t ino)
{
	struct marks *m = &s->marks;
	uint32_t g = mark_group(marks_ino(s, ino)), n;

	if (marks_in(m->next, (g + MARK_GROUPS - 1) % MARK_GROUPS)) {
		n = AHEAD;
	} else {
		n = 1u << MIN(m->misses / MISSES_STEP, 13u);
		m->misses++;
		g -= g % n;
	}
	for (uint32_t i = 0; i < n; i++)
		marks_put(m->next, (g + i) % MARK_GROUPS);
}

void marks_publish(struct store *s)
{
	for (unsigned i = 0; i < MARK_GROUPS / 64; i++)
		atomic_store(&s->marks.durable[i], s->marks.next[i]);
}

/* -- sums ----------------------------------------------------------------- */

void marks_charge(struct store *s, uint64_t ino, int64_t bytes, int files)
{
	struct marks *m = &s->marks;
	struct mark_sum *sum;

	if (!m->on)
		return;
	ino = marks_ino(s, ino);
	pthread_mutex_lock(&m->lock);
	sum = &m->v[mark_group(ino)];
	sum->bytes += (uint64_t)bytes;
	sum->files += (uint32_t)files;
	sum->print += (uint32_t)files * mark_print(ino);
	pthread_mutex_unlock(&m->lock);
}

bool marks_begin(struct store *s)
{
	struct marks *m = &s->marks;

	if (!m->v)
		return false;
	m->on = true;
	return true;
}

static void give_up(struct store *s, const char *why)
{
	store_log(s,
		  "what a crash may touch is not recorded any more, all files are looked at "
		  "after the next one: %s",
		  why);
	s->marks.on = false;
}

void marks_settle(struct store *s, const struct mark_sum *left, uint64_t bytes, uint64_t files)
{
	autofree struct mark_table *t = calloc(1, sizeof(*t));
	struct marks *m = &s->marks;
	unsigned slot = 1 - m->slot;
	int r;

	if (!m->on)
		return;
	if (!t) {
		give_up(s, "no memory");
		return;
	}
	t->seq = s->log.st.counter + 1;
	memcpy(t->bind, m->bind, MARK_BIND);
	pthread_mutex_lock(&m->lock);
	for (uint32_t g = 0; g < MARK_GROUPS; g++) {
		t->v[g].bytes = m->v[g].bytes - left[g].bytes;
		t->v[g].files = m->v[g].files - left[g].files;
		t->v[g].print = m->v[g].print - left[g].print;
		bytes -= t->v[g].bytes;
		files -= t->v[g].files;
	}
	pthread_mutex_unlock(&m->lock);
	if (bytes || files) {
		give_up(s, "the sums are not those of the quota");
		return;
	}
	r = table_write(&s->p, s->log_fd, s->log.ring, slot, t);
	if (r < 0) {
		give_up(s, strerror(-r));
		return;
	}
	m->seq = t->seq;
	m->slot = slot;
	m->misses = 0;
	memset(m->next, 0, sizeof(m->next));
	marks_publish(s);
}
