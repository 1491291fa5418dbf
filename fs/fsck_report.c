/* What the check says: findings as they are met, progress ten times a second. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "fs/fsck_int.h"
#include "fs/ranges.h"

#define TICK_MS    100
#define SHOWN_RUNS 4

static const char *const kinds[] = {
	[FSCK_DAMAGE] = "damage",     [FSCK_UNREADABLE] = "unreadable", [FSCK_ORPHAN] = "orphan",
	[FSCK_UNSYNCED] = "unsynced", [FSCK_UNCLEAN] = "unclean",       [FSCK_QUOTA] = "quota",
	[FSCK_FOREIGN] = "foreign",
};

static const char *const states[] = {
	[FSCK_REMAINS] = "remains",
	[FSCK_RECOVERABLE] = "recoverable",
	[FSCK_REPAIRED] = "repaired",
};

/* Names are bytes, JSON is UTF-8. */
static json_t *text_or_null(const char *s)
{
	size_t size = s ? 4 * strlen(s) + 8 : 0;
	autofree char *safe = s ? malloc(size) : NULL;

	if (!safe)
		return json_null();
	str_printable(s, safe, size);
	return json_string(safe);
}

void fsck_tell(struct fsck *k, const struct finding *f, const char *fmt, ...)
{
	autofree char *what = NULL;
	autojson json_t *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	message = json_pack("{s:{s:s, s:s, s:o, s:o, s:o, s:o, s:o}}", "finding", "kind",
			    kinds[f->kind], "state", states[f->state], "path",
			    text_or_null(f->path), "place", text_or_null(f->place), "what",
			    text_or_null(what), "consequence", text_or_null(f->consequence),
			    "remedy", text_or_null(f->remedy));
	pthread_mutex_lock(&k->emit_lock);
	k->remaining += f->state == FSCK_REMAINS;
	k->recoverable += f->state == FSCK_RECOVERABLE;
	k->repaired += f->state == FSCK_REPAIRED;
	if (message)
		k->p.emit(k->p.ctx, message);
	pthread_mutex_unlock(&k->emit_lock);
}

void fsck_progress_now(struct fsck *k)
{
	autojson json_t *message = NULL;

	message = json_pack("{s:{s:I, s:I, s:I, s:I}}", "progress", "bytes",
			    (json_int_t)MIN(atomic_load(&k->bytes_done), k->bytes_total), "files",
			    (json_int_t)MIN(atomic_load(&k->files_done), k->files_total),
			    "total_bytes", (json_int_t)k->bytes_total, "total_files",
			    (json_int_t)k->files_total);
	pthread_mutex_lock(&k->emit_lock);
	if (message)
		k->p.emit(k->p.ctx, message);
	pthread_mutex_unlock(&k->emit_lock);
}

void *fsck_ticker(void *arg)
{
	struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
	struct fsck *k = arg;
	bool done = false;

	while (!done) {
		nanosleep(&tick, NULL);
		fsck_progress_now(k);
		pthread_mutex_lock(&k->lock);
		done = k->done;
		pthread_mutex_unlock(&k->lock);
	}
	return NULL;
}

void fsck_blocks_text(const struct ranges *r, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < r->len && at < size; i++) {
		const char *comma = i ? ", " : "";

		if (i == SHOWN_RUNS) {
			snprintf(out + at, size - at, " and others");
			break;
		}
		if (r->v[i].end - r->v[i].start == 1)
			at += (size_t)snprintf(out + at, size - at, "%s%" PRIu64, comma,
					       r->v[i].start);
		else
			at += (size_t)snprintf(out + at, size - at, "%s%" PRIu64 " to %" PRIu64,
					       comma, r->v[i].start, r->v[i].end - 1);
	}
}
