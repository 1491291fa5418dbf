#include "shell/jup_requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEADER_MAX 16384

void jup_requests_free(struct jup_requests *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->open[i].header);
	free(r->last_header);
	*r = (struct jup_requests){ 0 };
}

static void close_request(struct jup_requests *r, size_t i)
{
	free(r->open[i].header);
	memmove(&r->open[i], &r->open[i + 1], (r->n - i - 1) * sizeof(r->open[0]));
	r->n--;
}

static void note(struct jup_requests *r, const char *id, const char *header)
{
	char *copy = strdup(header), *last = strdup(header);

	if (last) {
		free(r->last_header);
		r->last_header = last;
	}
	if (!copy || strlen(id) >= JUP_ID_MAX || !id[0]) {
		free(copy);
		return;
	}
	/* A client that asks and asks: the oldest is the least likely to be running. */
	if (r->n == JUP_REQUESTS_MAX)
		close_request(r, 0);
	snprintf(r->open[r->n].id, JUP_ID_MAX, "%s", id);
	r->open[r->n++].header = copy;
}

static void on_message(struct jup_tap *t)
{
	autojson json_t *header = jup_msg_json(&t->msg, JUP_HEADER);
	const char *type = NULL, *id = NULL;

	if (header && json_get_str(header, "msg_type", &type, NULL) == 0 &&
	    json_get_str(header, "msg_id", &id, NULL) == 0 && !strcmp(type, "execute_request"))
		note(t->requests, id, t->msg.parts[JUP_HEADER]);
}

static void on_frame(void *self, const struct zmtp_frame *f)
{
	struct jup_tap *t = self;

	if ((f->flags & ZMTP_COMMAND) || jup_msg_add(&t->msg, f) < 0 || !t->msg.whole)
		return;
	on_message(t);
	jup_msg_clear(&t->msg);
}

void jup_tap_init(struct jup_tap *t, struct jup_requests *r)
{
	*t = (struct jup_tap){ .requests = r };
	zmtp_init(&t->in, HEADER_MAX, on_frame, t);
}

void jup_tap_free(struct jup_tap *t)
{
	jup_msg_clear(&t->msg);
	zmtp_free(&t->in);
}

void jup_tap_client(struct jup_tap *t, const uint8_t *p, size_t n)
{
	zmtp_feed(&t->in, p, n);
}

static void look_for(struct jup_tap *t, const uint8_t *p, size_t n)
{
	struct jup_requests *r = t->requests;

	for (size_t i = 0; i < r->n;) {
		if (memmem(p, n, r->open[i].id, strlen(r->open[i].id)))
			close_request(r, i);
		else
			i++;
	}
}

void jup_tap_kernel(struct jup_tap *t, const uint8_t *p, size_t n)
{
	uint8_t seam[2 * JUP_ID_MAX];
	size_t head = MIN(n, (size_t)JUP_ID_MAX), tail;

	if (t->requests->n > 0) {
		memcpy(seam, t->tail, t->ntail);
		memcpy(seam + t->ntail, p, head);
		look_for(t, seam, t->ntail + head);
		look_for(t, p, n);
	}
	if (n >= sizeof(t->tail)) {
		memcpy(t->tail, p + n - sizeof(t->tail), sizeof(t->tail));
		t->ntail = sizeof(t->tail);
		return;
	}
	tail = MIN(t->ntail, sizeof(t->tail) - n);
	memmove(t->tail, t->tail + t->ntail - tail, tail);
	memcpy(t->tail + tail, p, n);
	t->ntail = tail + n;
}
