#include "shell/zmtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* No message of Jupyter comes near; beyond this it is not one. */
#define FRAME_MAX (UINT64_C(1) << 40)

void zmtp_init(struct zmtp *z, size_t max, void (*frame)(void *self, const struct zmtp_frame *f),
	       void *self)
{
	*z = (struct zmtp){ .frame = frame, .self = self, .max = max };
}

void zmtp_free(struct zmtp *z)
{
	free(z->body);
	z->body = NULL;
}

/* Take bytes for the head until it has 'want' of them. True when it has. */
static bool fill_head(struct zmtp *z, size_t want, const uint8_t **p, size_t *n)
{
	size_t take = MIN(want - z->have, *n);

	memcpy(z->head + z->have, *p, take);
	z->have += take;
	*p += take;
	*n -= take;
	return z->have == want;
}

/* Signature, version 3 or later, mechanism NULL. */
static bool greeting_is_ours(const uint8_t g[static ZMTP_GREETING])
{
	static const uint8_t null[20] = "NULL";

	return g[0] == 0xff && (g[9] & 1) && g[10] >= 3 && !memcmp(g + 12, null, sizeof(null));
}

static void begin_body(struct zmtp *z, uint64_t size)
{
	z->size = z->left = size;
	z->len = 0;
	z->at = ZMTP_AT_BODY;
}

static int begin_frame(struct zmtp *z)
{
	z->have = 0;
	z->flags = z->head[0];
	if ((z->flags & ~(ZMTP_MORE | ZMTP_LONG | ZMTP_COMMAND)) ||
	    ((z->flags & ZMTP_COMMAND) && (z->flags & ZMTP_MORE)))
		return -EPROTO;
	z->at = ZMTP_AT_SIZE;
	return 0;
}

static int read_size(struct zmtp *z)
{
	uint64_t size = 0;

	for (size_t i = 0; i < z->have; i++)
		size = size << 8 | z->head[i];
	z->have = 0;
	if (size > FRAME_MAX)
		return -EPROTO;
	begin_body(z, size);
	return 0;
}

/* Grows with what arrives, never with what is announced. */
static int keep_body(struct zmtp *z, const uint8_t *p, size_t n)
{
	size_t keep = MIN(n, z->max - z->len);

	if (z->len + keep > z->cap) {
		size_t cap = MIN(MAX(z->cap * 2, z->len + keep + 256), MAX(z->max, (size_t)1));
		uint8_t *body = realloc(z->body, cap);

		if (!body)
			return -ENOMEM;
		z->body = body;
		z->cap = cap;
	}
	if (keep)
		memcpy(z->body + z->len, p, keep);
	z->len += keep;
	return 0;
}

static int take_body(struct zmtp *z, const uint8_t **p, size_t *n)
{
	size_t take = (size_t)MIN((uint64_t)*n, z->left);
	int r = keep_body(z, *p, take);

	if (r < 0)
		return r;
	*p += take;
	*n -= take;
	z->left -= take;
	return 0;
}

static void end_frame(struct zmtp *z)
{
	const struct zmtp_frame f = {
		.flags = z->flags,
		.body = z->body ? z->body : (const uint8_t *)"",
		.len = z->len,
		.full = z->size,
	};

	z->at = ZMTP_AT_FLAGS;
	z->frame(z->self, &f);
}

static int step(struct zmtp *z, const uint8_t **p, size_t *n)
{
	int r = 0;

	switch (z->at) {
	case ZMTP_AT_GREETING:
		if (!fill_head(z, ZMTP_GREETING, p, n))
			return 0;
		z->have = 0;
		z->greeted = greeting_is_ours(z->head);
		z->at = ZMTP_AT_FLAGS;
		return z->greeted ? 0 : -EPROTO;
	case ZMTP_AT_FLAGS:
		return fill_head(z, 1, p, n) ? begin_frame(z) : 0;
	case ZMTP_AT_SIZE:
		if (fill_head(z, z->flags & ZMTP_LONG ? 8 : 1, p, n))
			r = read_size(z);
		break;
	case ZMTP_AT_BODY:
		r = take_body(z, p, n);
		break;
	case ZMTP_BROKEN:
		return -EPROTO;
	}
	/* Also right after the size: a frame may be empty. */
	if (r == 0 && z->at == ZMTP_AT_BODY && z->left == 0)
		end_frame(z);
	return r;
}

int zmtp_feed(struct zmtp *z, const uint8_t *p, size_t n)
{
	int r = z->at == ZMTP_BROKEN ? -EPROTO : 0;

	while (n > 0 && r == 0)
		r = step(z, &p, &n);
	if (r < 0)
		z->at = ZMTP_BROKEN;
	return r;
}

/* -- sending ---------------------------------------------------------------------------------- */

void zmtp_out_free(struct zmtp_out *o)
{
	free(o->p);
	*o = (struct zmtp_out){ 0 };
}

void zmtp_put(struct zmtp_out *o, const void *p, size_t n)
{
	if (o->len + n > o->cap && !o->failed) {
		size_t cap = MAX(o->cap * 2, o->len + n + 256);
		uint8_t *grown = realloc(o->p, cap);

		o->failed = !grown;
		o->p = grown ? grown : o->p;
		o->cap = grown ? cap : o->cap;
	}
	if (o->failed || n == 0)
		return;
	memcpy(o->p + o->len, p, n);
	o->len += n;
}

void zmtp_put_greeting(struct zmtp_out *o)
{
	uint8_t g[ZMTP_GREETING] = {
		0xff, [8] = 1, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'
	};

	zmtp_put(o, g, sizeof(g));
}

void zmtp_put_frame(struct zmtp_out *o, uint8_t flags, const void *body, size_t len)
{
	uint8_t head[9] = { flags };
	size_t n = len > 255 ? 8 : 1;

	head[0] = (uint8_t)(flags | (n == 8 ? ZMTP_LONG : 0));
	for (size_t i = 0; i < n; i++)
		head[1 + i] = (uint8_t)((uint64_t)len >> 8 * (n - 1 - i));
	zmtp_put(o, head, 1 + n);
	zmtp_put(o, body, len);
}

void zmtp_put_ready(struct zmtp_out *o, const char *type)
{
	static const char name[] = "Socket-Type";
	uint8_t body[64] = { 5, 'R', 'E', 'A', 'D', 'Y', sizeof(name) - 1 };
	size_t n = 7, len = strlen(type);

	memcpy(body + n, name, sizeof(name) - 1);
	n += sizeof(name) - 1 + 3; /* the length has four bytes */
	body[n++] = (uint8_t)len;
	memcpy(body + n, type, len);
	zmtp_put_frame(o, ZMTP_COMMAND, body, n + len);
}
