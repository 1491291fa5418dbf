/* One FUSE connection on a descriptor of /dev/fuse that somebody mounted: the INIT negotiation, the
 * worker threads, the end.
 *
 * libfuse 3.14 never offers some features to the kernel (parallel directory operations,
 * KILLPRIV_V2, mmap on direct I/O), so the one INIT reply is edited on its way out: what the kernel
 * offered and we can do is added. That works with every libfuse from 3.14 on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct brake;
struct err;
struct fuse_conn_info;
struct fuse_lowlevel_ops;
struct passthrough;
struct session;

struct session_params {
	const struct fuse_lowlevel_ops *ops;
	void *layer; /* session_layer(fuse_req_userdata(req)) */
	unsigned workers;
	uint64_t
		bdi_dev; /* st_dev of the mount if its readahead shall be tuned (as root), else 0 */
	struct brake *brake; /* borrowed until the end, started when the mount is up; or NULL */
	/* As in struct brake_ops; NULL for a mount that is only read. */
	int (*sync_start)(void *ctx);
	void *sync_ctx;
	bool idmap;       /* idmapped mounts of it may be made (Linux 6.12) */
	bool passthrough; /* files may be read by the kernel itself, where it can be had */
};

/* Takes ownership of 'fd' in every case and starts serving. */
int session_start(int fd, const struct session_params *p, struct session **ret, struct err *err);
/* Requests read so far, by the kernel's opcode; the last one also counts what is beyond. */
#define SESSION_OPCODES 64u
void session_counts(const struct session *s, uint64_t ret[static SESSION_OPCODES]);
/* Readable once the kernel side is gone (unmounted, aborted) and all workers ended. */
int session_ended_fd(const struct session *s);
/* Wait up to 'wait_ms' for the kernel side to go by itself (its last writes are still served), then
 * stop the workers, close the connection, free 's'. */
void session_end(struct session *s, unsigned wait_ms);

/* Have the kernel write back what it caches, then call fn(arg): on a thread of its own, because a
 * worker that waits for the kernel while the kernel waits for workers would be a deadlock.
 * 'userdata' as libfuse hands it to operations. False: not possible now, 'fn' is not called. */
bool session_flush_then(void *userdata, void (*fn)(void *arg), void *arg);

/* Have the kernel ask for the attributes of this inode again. */
void session_forget_attr(void *userdata, uint64_t nodeid);
/* What operations work on: 'userdata' is what libfuse hands them. */
void *session_layer(void *userdata);
struct brake *session_brake(void *userdata); /* NULL: this mount has none */

/* Files of this mount that the kernel reads by itself; NULL: it cannot. */
struct passthrough *session_passthrough(void *userdata);

/* Did the kernel agree to idmapped mounts of this one? Waits for its first message. */
bool session_idmapped(const struct session *s);
/* The same for the init operations: what the kernel offers and session_params ask for. */
bool session_will_idmap(void *userdata);

/* For the init operations of the two layers. 'cached_writes': the kernel gathers writes. */
void session_configure(struct fuse_conn_info *conn, bool cached_writes, bool auto_invalidate);
