/* The connection file by which a Jupyter client says where it will look for its kernel: made by the
 * client before it starts the kernel, read by us, never changed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

struct err;

enum jup_channel { JUP_SHELL, JUP_IOPUB, JUP_STDIN, JUP_CONTROL, JUP_HB, JUP_CHANNELS };

struct jup_conn {
	bool ipc;     /* the client uses socket files: "IP-PORT" */
	char ip[108]; /* an address of the loopback, or the beginning of a path */
	uint16_t ports[JUP_CHANNELS];
	char key[256];  /* signs messages; empty = they are not signed */
	bool can_speak; /* we could send a message of our own: a signature that we know, no curve */
	json_t *json;   /* owned: all of it */
};

/* The text of a connection file.  -EINVAL with a sentence that names the member. */
int jup_conn_parse(const char *text, size_t len, struct jup_conn *ret, struct err *err);
int jup_conn_read(const char *path, struct jup_conn *ret, struct err *err);
void jup_conn_free(struct jup_conn *c);

/* The kernel's own copy, heap text: the same but for where it listens, which is its private
 * loopback with 'ports', or with ipc the files "SOCKETS-1" to "SOCKETS-5". NULL = out of memory. */
char *jup_conn_inner(const struct jup_conn *c, const uint16_t ports[JUP_CHANNELS],
		     const char *sockets);

/* "shell", "iopub", ..; the member that holds the port is "shell_port" and so on. */
const char *jup_channel_name(enum jup_channel c);
