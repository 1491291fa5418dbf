/* Replies of both tables. Included by fs/ops*.c only. */
#pragma once

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>

#include "fs/session.h"

#define READ_MAX (1024 * 1024)

/* Requests are served by a few threads: each keeps one buffer for replies. */
char *reply_buffer(void); /* READ_MAX bytes, NULL: no memory */

static inline void *req_layer(fuse_req_t req)
{
	return session_layer(fuse_req_userdata(req));
}

/* 0 or negative errno */
static inline void reply_code(fuse_req_t req, int r)
{
	fuse_reply_err(req, -r);
}

/* A length asked for by size 0, or the bytes. */
static inline void reply_xattr(fuse_req_t req, ssize_t r, const char *buf, size_t size)
{
	if (r < 0)
		fuse_reply_err(req, (int)-r);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)r);
	else
		fuse_reply_buf(req, buf, (size_t)r);
}
