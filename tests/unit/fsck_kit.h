/* The check of a store made by store_kit.h. */
#pragma once

#include "fs/fsck.h"
#include "fs/name.h"
#include "tests/unit/store_kit.h"

struct fsck_seen {
	unsigned damage, unreadable, orphan, unsynced, unclean, quota, foreign;
	unsigned repaired;
	bool has_ids;     /* directories carry theirs */
	bool real_names;  /* else names in the clear, which do not verify, are no finding */
	char first[1100]; /* what the first of them was */
};

static const struct name_keys fsck_kit_keys = { .vol_id = { 0x5a }, .nm = { 1 }, .ne = { 2 } };

static inline void fsck_kit_emit(void *ctx, const json_t *message)
{
	const json_t *f = json_object_get(message, "finding");
	const char *kind, *what, *state, *place = "";
	struct fsck_seen *s = ctx;

	if (!f || json_get_str(f, "kind", &kind, NULL) < 0 ||
	    json_get_str(f, "what", &what, NULL) < 0 || json_get_str(f, "state", &state, NULL) < 0)
		return;
	(void)json_get_str(f, "place", &place, NULL);
	if (!s->real_names && strcmp(what, "its name does not verify") == 0)
		return;
	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "fsck: %s %s: %s: %s\n", state, kind, place, what);
	if (!*s->first)
		snprintf(s->first, sizeof(s->first), "%s: %s: %s", kind, place, what);
	s->repaired += strcmp(state, "repaired") == 0;
	s->damage += strcmp(kind, "damage") == 0;
	s->unreadable += strcmp(kind, "unreadable") == 0;
	s->orphan += strcmp(kind, "orphan") == 0;
	s->unsynced += strcmp(kind, "unsynced") == 0;
	s->unclean += strcmp(kind, "unclean") == 0;
	s->quota += strcmp(kind, "quota") == 0;
	s->foreign += strcmp(kind, "foreign") == 0;
}

/* Check the store in the directory of 'k', which nobody has open. Returns 0 or the error. */
static inline int fsck_kit_run(const struct kit *k, bool repair, struct fsck_seen *found)
{
	autojson json_t *summary = NULL;
	struct fsck_params p = { .wsfd = k->dirfd,
				 .storefd = k->dirfd,
				 .sp = k->p,
				 .keys = &fsck_kit_keys,
				 .flat = !found->has_ids,
				 .repair = repair,
				 .threads = 1,
				 .emit = fsck_kit_emit,
				 .ctx = found };
	struct fsck *f;
	struct err err = { 0 };
	int r = fsck_new(&p, &f);

	if (r == 0)
		r = fsck_store(f, &summary, &err);
	if (r < 0)
		snprintf(found->first, sizeof(found->first), "%s", err.text);
	fsck_free(f);
	return r;
}
