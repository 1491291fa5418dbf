/* Attributes of the outputs mount, and what its requests have to do with the brake (fs/brake.h).
 * Included by fs/ops_out.c only. */
#pragma once

#include <stdbool.h>

#include "fs/brake.h"
#include "fs/ops_reply.h"
#include "fs/out.h"

/* We are the only writer: what the kernel knows stays true until it changes it itself. */
#define TIMEOUT 86400.0

/* A handle is the node, with a mark when it was opened for writing. */
#define HANDLE_WRITES 1u

static inline struct node *handle(const struct fuse_file_info *fi)
{
	return (struct node *)(uintptr_t)(fi->fh & ~(uint64_t)HANDLE_WRITES);
}

static inline bool handle_writes(const struct fuse_file_info *fi)
{
	return fi->fh & HANDLE_WRITES;
}

static inline struct brake *brake(fuse_req_t req)
{
	return session_brake(fuse_req_userdata(req));
}

/* While the brake is on, the kernel must ask before each write(2). */
static inline double attr_timeout(fuse_req_t req, const struct stat *st)
{
	return brake_is_on(brake(req)) && S_ISREG(st->st_mode) ? 0.0 : TIMEOUT;
}

/* 0 and '*st', or negative errno */
void ops_reply_stat(fuse_req_t req, int r, const struct stat *st);
/* Somebody is about to write to the file while the brake is on: the reply, now or later. */
void ops_ask(fuse_req_t req, fuse_ino_t ino);
/* The reply to a change of nothing, which the kernel asks for in the middle of a write(2). */
void ops_unchanged(fuse_req_t req, fuse_ino_t ino);
/* A write from the kernel's cache ended so; before its reply. */
void ops_wrote(fuse_req_t req, fuse_ino_t ino, ssize_t n);
