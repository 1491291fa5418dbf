/* The last word of a kernel that was ended: said in its place, by us.
 *
 * The kernel is gone and its clients' sockets look for it again, as ZeroMQ does by itself.  For up
 * to a second we are the peer that they find: the running cell gets an error that says which limit
 * it was, its request a reply, and the kernel is idle. Then the client learns that it died. */
#pragma once

#include <stddef.h>

#include "shell/jup_conn.h"
#include "shell/jup_requests.h"

struct jup_farewell {
	const struct jup_conn *conn;
	const int *listen; /* as from jup_listen(), still open; all borrowed */
	const struct jup_requests *requests;
	size_t expected[JUP_CHANNELS]; /* how many clients were connected */
	const char *name;              /* "SandboxKilled" */
	const char *text;              /* why, and what to do */
};

/* Returns when all that were there have been told, or after a second. Never fails: a client that
 * cannot be told sees a dead kernel, as ever. */
void jup_farewell(const struct jup_farewell *f);
