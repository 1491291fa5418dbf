/* Requests on datasets that wait for an archive to be indexed or unpacked.  They must not hold the
 * few workers: then nobody would read the kernel's next message, not even the one that says that
 * the waiting program was killed.  One thread asks for all of them again, a few hundred times a
 * second while there are any. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

struct wait;

struct waiting {
	fuse_req_t req;
	fuse_ino_t ino;
	uint64_t fh, off;
	size_t size;
	char name[256];
	/* Serve it, with one reply. False: it still has to wait. */
	bool (*serve)(struct waiting *w);
};

/* NULL: no memory, or no thread. */
struct wait *wait_new(void);
/* Whatever still waits gets EINTR. NULL is accepted. */
void wait_free(struct wait *w);
/* Copied. A request whose sender was interrupted gets EINTR. Without 'w' or memory: EIO. */
void wait_add(struct wait *w, const struct waiting *what);
