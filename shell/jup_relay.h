/* The relay between the clients of a kernel, outside, and the kernel inside: bytes, and nothing but
 * bytes, both ways.
 *
 * One thread, one epoll set, which the supervisor's loop polls as one descriptor.  A client that
 * connects waits until the kernel listens.  Each direction of a connection has one buffer of fixed
 * size: when it is full nothing more is read, so a slow client slows the kernel down and costs
 * nothing here.  The connection inside is made by pid 1 (sandbox_connect()). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shell/jup_listen.h"
#include "shell/jup_requests.h"

#define JUP_BUFFER 262144 /* bytes per direction of a connection */

struct sandbox;
struct err;

struct jup_relay;

/* 'listen' and 'requests' are borrowed. */
int jup_relay_new(const int listen[JUP_CHANNELS], struct jup_requests *requests,
		  struct jup_relay **ret, struct err *err);
/* Closes every connection, and nothing of what was borrowed. */
void jup_relay_free(struct jup_relay *r);
/* From here on connections can be made. Borrowed. */
int jup_relay_start(struct jup_relay *r, struct sandbox *sb, struct err *err);
/* Readable when there is something to do. */
int jup_relay_fd(const struct jup_relay *r);
/* Do it. Never blocks. */
void jup_relay_turn(struct jup_relay *r);
/* Knock again for clients that wait; returns when to call again, UINT64_MAX = no need. 'now' in ms.
 */
uint64_t jup_relay_tick(struct jup_relay *r, uint64_t now);
/* Clients that are connected to a channel. */
size_t jup_relay_count(const struct jup_relay *r, int channel);
/* When somebody used the kernel last, heartbeats not counted; ms of the monotonic clock. */
uint64_t jup_relay_last_use(const struct jup_relay *r);
