#include "fs/arch_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fs/arch_index.h"
#include "fs/arch_proto.h"

/* One whole record fits behind the start of any other. */
#define BUFFER_SIZE (2u * (ARCH_BODY_MAX + ARCH_HEAD_SIZE))

struct arch_stream {
	const struct arch_stream_ops *ops;
	void *ctx;
	bool ended;
	size_t have;
	uint8_t buf[BUFFER_SIZE];
};

int arch_stream_new(const struct arch_stream_ops *ops, void *ctx, struct arch_stream **ret)
{
	struct arch_stream *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ops = ops;
	s->ctx = ctx;
	s->ended = false;
	s->have = 0;
	*ret = s;
	return 0;
}

void arch_stream_free(struct arch_stream *s)
{
	free(s);
}

uint8_t *arch_stream_room(struct arch_stream *s, size_t *ret_len)
{
	*ret_len = sizeof(s->buf) - s->have;
	return s->buf + s->have;
}

static int on_entry(struct arch_stream *s, const uint8_t *p, size_t len)
{
	struct arch_entry e = { 0 };

	if (!s->ops->entry || len < ARCH_ENTRY_SIZE)
		return -EBADMSG;
	e.type = p[0];
	e.in_place = p[1] & ARCH_IN_PLACE;
	e.mode = le16_load(p + 2);
	e.size = le64_load(p + 4);
	e.place = le64_load(p + 12);
	e.mtime = (int64_t)le64_load(p + 20);
	e.mtime_ns = le32_load(p + 28);
	e.name_len = le16_load(p + 32);
	e.target_len = le16_load(p + 34);
	e.name = (const char *)p + ARCH_ENTRY_SIZE;
	e.target = e.name + e.name_len;
	if (e.type < ARCH_FILE || e.type > ARCH_OTHER ||
	    len != ARCH_ENTRY_SIZE + e.name_len + e.target_len)
		return -EBADMSG;
	return s->ops->entry(s->ctx, &e);
}

/* END and FAIL: one byte and a text. */
static int on_last(struct arch_stream *s, uint8_t kind, const uint8_t *p, size_t len)
{
	int (*op)(void *, uint8_t, const char *) = kind == ARCH_END ? s->ops->end : s->ops->fail;
	char text[ARCH_TEXT_MAX + 1] = "";

	if (!op || len < 1 || len - 1 > ARCH_TEXT_MAX)
		return -EBADMSG;
	memcpy(text, p + 1, len - 1);
	s->ended = true;
	return op(s->ctx, p[0], text);
}

static int on_record(struct arch_stream *s, uint8_t kind, const uint8_t *p, size_t len)
{
	if (s->ended)
		return -EBADMSG;
	switch (kind) {
	case ARCH_ENTRY:
		return on_entry(s, p, len);
	case ARCH_DATA:
		return s->ops->data ? s->ops->data(s->ctx, p, len) : -EBADMSG;
	case ARCH_PROGRESS:
		if (len != 8 || !s->ops->progress)
			return -EBADMSG;
		return s->ops->progress(s->ctx, le64_load(p));
	case ARCH_END:
	case ARCH_FAIL:
		return on_last(s, kind, p, len);
	default:
		return -EBADMSG;
	}
}

int arch_stream_fed(struct arch_stream *s, size_t len)
{
	size_t at = 0;
	int r = 0;

	s->have += MIN(len, sizeof(s->buf) - s->have);
	while (r == 0 && s->have - at >= ARCH_HEAD_SIZE) {
		size_t body = le32_load(s->buf + at);

		if (body > ARCH_BODY_MAX)
			return -EBADMSG;
		if (s->have - at - ARCH_HEAD_SIZE < body)
			break;
		r = on_record(s, s->buf[at + 4], s->buf + at + ARCH_HEAD_SIZE, body);
		at += ARCH_HEAD_SIZE + body;
	}
	memmove(s->buf, s->buf + at, s->have - at);
	s->have -= at;
	return r;
}

int arch_stream_ended(const struct arch_stream *s)
{
	return s->ended && s->have == 0;
}
