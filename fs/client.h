/* The client side of the control socket (doc/control.md): the only header of fs/ that programs for
 * people include.  No key and no passphrase passes through here, except by descriptor. */
#pragma once

#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct fsc;

struct fsc_options {
	const char *ws;              /* workspace directory */
	const char *passphrase_file; /* handed to sbxfsd by name; NULL = it asks on the terminal */
	const char *recovery_file;
	bool start;      /* start sbxfsd when nobody serves the workspace */
	bool foreground; /* the started sbxfsd logs to our stderr (mount --foreground) */
};

/* Connect to the daemon of this workspace, starting it if asked.  While the connection is open the
 * daemon lives.  One that is being opened by another (mended after a crash, which may take long) is
 * waited for, with a note on stderr; -EBUSY when it does not answer.  Errors carry the daemon's own
 * sentence and code (see volume.h), -ENOTCONN when not served and start is false. */
int fsc_open(const struct fsc_options *o, struct fsc **ret, struct err *err);
void fsc_close(struct fsc *c);

/* One request, one reply.  'req' is taken.  A reply {"ok":false,"code":N,"error":"..."} becomes the
 * return code and 'err'. 'fds' (FD_PASS_MAX slots) receives descriptors, may be NULL.
 * 'send_fds' are passed along with the request (borrowed). */
int fsc_call(struct fsc *c, json_t *req, const int *send_fds, size_t nsend, json_t **ret, int *fds,
	     size_t *ret_nfds, struct err *err);

/* The same without descriptors, for an answer that is not worth waiting for: -ETIMEDOUT when it
 * does not come within 'ms', and then the connection answers nothing any more. */
int fsc_call_within(struct fsc *c, json_t *req, int ms, json_t **ret, struct err *err);

int fsc_fd(const struct fsc *c);       /* poll for POLLHUP: the daemon died */
pid_t fsc_pid(const struct fsc *c);    /* of the daemon, from the socket's credentials */
bool fsc_stopped(const struct fsc *c); /* the daemon: by SIGSTOP, or by a debugger */
int fsc_kill(struct fsc *c);           /* last resort of the kill ladder: SIGKILL to the daemon */

/* Run "sbxfsd init" with these settings (taken); 'pass_fd' >= 0 is a descriptor to read the
 * passphrase from, to its end (a trailing newline does not count).  Settings, all but "path"
 * optional:
 *   {"path":WS,"cipher":"auto","quota":{"bytes":0,"files":0},"pad":false,"ring_pages":0,
 *    "recipients":["sbx-pub-..."]}
 * Returns the report of volume_create() (fs/volume.h). */
int fsc_init(json_t *settings, int pass_fd, json_t **ret, struct err *err);
/* Run "sbxfsd identity": make the identity if there is none, return {"path","public","created"}. */
int fsc_identity(json_t **ret, struct err *err);

/* Run "sbxfsd ciphers": {"ciphers":{NAME:{"available","mbps","why"}}}, each measured for some
 * milliseconds. */
int fsc_ciphers(json_t **ret, struct err *err);

/* The check of a workspace that nobody serves ("sbxfsd fsck"). */
struct fsc_check {
	const char *ws;
	const char *passphrase_file, *recovery_file;
	bool repair, quick;
	bool progress; /* send progress messages, after a first count */
	/* Each message of fs/fsck.h; borrowed for the call. */
	void (*message)(void *ctx, const json_t *message);
	void *ctx;
};
/* '*ret' is the summary.  -EINTR: a signal with a handler came, the check was ended; nothing is
 * half done then.  -EBUSY: somebody serves the workspace, or another process holds it. */
int fsc_check(const struct fsc_check *o, json_t **ret, struct err *err);

/* Where sbxfsd is: beside us in a build tree, else the configured libexecdir. */
int fsc_daemon_path(char *ret, size_t size);
