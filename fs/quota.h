/* The quota of a workspace: bytes and files, counted by us, exactly.
 *
 * A file is charged by its mapped blocks and what they cost in the store, whatever its apparent
 * size: holes are free.  Directories, symlinks, fifos and sockets cost one page.  The sum is kept
 * in the state page of the log while the store is clean and counted anew by recovery otherwise.
 * Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct quota;

#define QUOTA_PAGE 4096u

/* Bytes charged for a regular file with this many mapped 4096-byte blocks: header page, data
 * pages, and one tag page per 64 blocks past the first 32. */
uint64_t quota_file_bytes(uint64_t mapped_blocks);

/* Limits of 0 mean "no limit". */
int quota_new(uint64_t limit_bytes, uint64_t limit_files, struct quota **ret);
void quota_free(struct quota *q);
void quota_set_limits(struct quota *q, uint64_t limit_bytes, uint64_t limit_files);
void quota_set_used(struct quota *q, uint64_t bytes, uint64_t files);

/* Take 'bytes' and 'files'. -ENOSPC when bytes, -EDQUOT when files would pass the limit (the
 * caller maps to what its operation may answer); nothing is taken then. */
int quota_charge(struct quota *q, uint64_t bytes, uint64_t files);
/* Give back. Never below zero. */
void quota_release(struct quota *q, uint64_t bytes, uint64_t files);

/* Have fn(arg, high) called when the charged bytes pass 'high' (high = true), or pass 'wake' or
 * fall below 'low' (high = false): each of the two once, until the next quota_watch().  It is
 * called with the quota locked, by whoever charges: it may not wait, nor call the quota.  NULL:
 * nobody watches. */
struct quota_watch {
	uint64_t low, wake, high;
	void (*fn)(void *arg, bool high);
	void *arg;
};
void quota_watch(struct quota *q, const struct quota_watch *w);

struct quota_usage {
	uint64_t bytes, files;             /* charged now */
	uint64_t limit_bytes, limit_files; /* 0 = none */
	uint64_t refused;                  /* how often a charge was, since quota_new() */
};
void quota_get(const struct quota *q, struct quota_usage *ret);
