/* ZMTP 3.0, the wire protocol of ZeroMQ sockets, as far as a Jupyter client or kernel needs it: the
 * NULL mechanism.  Pure: bytes in, frames out, and the other way round.
 *
 * The bytes come from the other side of a socket: anything is possible, nothing is trusted, and no
 * more of a frame is kept than asked for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZMTP_GREETING 64

enum { ZMTP_MORE = 1, ZMTP_LONG = 2, ZMTP_COMMAND = 4 };

struct zmtp_frame {
	uint8_t flags;
	const uint8_t *body; /* until the callback returns */
	size_t len;          /* bytes of it that were kept */
	uint64_t full;       /* its real length; more than 'len' when it was too long to keep */
};

/* One direction of a connection. */
struct zmtp {
	void (*frame)(void *self, const struct zmtp_frame *f);
	void *self;
	size_t max; /* bytes of a frame that are kept */
	enum { ZMTP_AT_GREETING, ZMTP_AT_FLAGS, ZMTP_AT_SIZE, ZMTP_AT_BODY, ZMTP_BROKEN } at;
	uint8_t head[ZMTP_GREETING];
	size_t have; /* of the head */
	uint8_t flags;
	uint64_t size, left;
	uint8_t *body; /* owned */
	size_t len, cap;
	bool greeted; /* the greeting was good, and of the NULL mechanism */
};

/* 'frame' is called for each whole frame, in zmtp_feed(). */
void zmtp_init(struct zmtp *z, size_t max, void (*frame)(void *self, const struct zmtp_frame *f),
	       void *self);
void zmtp_free(struct zmtp *z);
/* -EPROTO when this is not what we speak (also from then on), -ENOMEM. */
int zmtp_feed(struct zmtp *z, const uint8_t *p, size_t n);

/* Bytes to send; grows. */
struct zmtp_out {
	uint8_t *p; /* owned */
	size_t len, cap;
	bool failed; /* out of memory: what is there is not whole */
};
void zmtp_out_free(struct zmtp_out *o);
void zmtp_put(struct zmtp_out *o, const void *p, size_t n);
void zmtp_put_greeting(struct zmtp_out *o);
/* The READY command of a socket of this type ("ROUTER", "XPUB", ..). */
void zmtp_put_ready(struct zmtp_out *o, const char *type);
void zmtp_put_frame(struct zmtp_out *o, uint8_t flags, const void *body, size_t len);
