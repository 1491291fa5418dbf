/* Which cells are running: the execute requests of all clients that have no reply yet.
 *
 * Requests are read from what clients send, frame by frame (they hold the key; the kernel's own
 * bytes are never parsed).  Replies are only looked through for the id of a request: a kernel that
 * lies about that lies about its own cells. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shell/jup_msg.h"
#include "shell/zmtp.h"

#define JUP_REQUESTS_MAX 64
#define JUP_ID_MAX       80

struct jup_request {
	char id[JUP_ID_MAX];
	char *header; /* owned: the text of its header, the parent of every answer */
};

struct jup_requests {
	struct jup_request open[JUP_REQUESTS_MAX]; /* oldest first: that one is running */
	size_t n;
	char *last_header; /* owned: of the last request that was made, answered or not */
};
void jup_requests_free(struct jup_requests *r);

/* One client's connection to the shell channel. */
struct jup_tap {
	struct jup_requests *requests; /* borrowed */
	struct zmtp in;
	struct jup_msg msg;
	uint8_t tail[JUP_ID_MAX]; /* the last bytes of the kernel: an id may be cut in two */
	size_t ntail;
};
void jup_tap_init(struct jup_tap *t, struct jup_requests *r);
void jup_tap_free(struct jup_tap *t);
/* What the client sent, what the kernel sent. Neither can fail: what is not understood is no
 * request. */
void jup_tap_client(struct jup_tap *t, const uint8_t *p, size_t n);
void jup_tap_kernel(struct jup_tap *t, const uint8_t *p, size_t n);
