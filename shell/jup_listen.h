/* The five places outside at which a Jupyter client expects its kernel. */
#pragma once

#include <stdbool.h>

#include "shell/jup_conn.h"

struct err;

/* Bind and listen on all five at once, before anything else is done: the client chose the ports by
 * looking for free ones, and until somebody listens another program may take one.  Waits up to a
 * second for a kernel that is just ending there (a restart uses the same ports).  'ret' gets
 * non-blocking descriptors, owned by the caller. */
int jup_listen(const struct jup_conn *c, int ret[JUP_CHANNELS], struct err *err);
/* Remove the socket files of an ipc client. */
void jup_unlisten(const struct jup_conn *c, int fds[JUP_CHANNELS]);
/* Does this connection, just accepted, come from our own user (or root)? */
bool jup_peer_is_ours(int fd);
