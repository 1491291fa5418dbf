/* What the recorder writes and the checker reads: every change of the store, in the order in which
 * it happened.  The file begins with struct trace_head; records follow, each 8-byte aligned. The
 * number of a record is its place in the trace; the workload reads 'count' before and after each of
 * its calls, and so knows which records a call may have caused and which came before it. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define TRACE_MAGIC UINT64_C(0x3145434152544253)
#define TRACE_ENV   "SBX_CRASH_TRACE"
/* Set: the backing filesystem is to look like one that syncs each inode on its own. */
#define TRACE_OWN_ENV "SBX_CRASH_OWN"
#define TRACE_START   4096u

struct trace_head {
	uint64_t magic;
	atomic_uint_fast64_t count; /* records written; at offset 8: the workload reads it */
	atomic_uint_fast64_t used;  /* bytes, from TRACE_START */
	atomic_uint_fast64_t lost;  /* records without room, calls that are not understood */
};

enum trace_kind {
	TRACE_WRITE = 1, /* ino, off, data */
	TRACE_TRUNCATE,  /* ino, len */
	TRACE_FALLOCATE, /* ino, arg = mode, off, len */
	TRACE_CREATE,    /* dir, name, ino, arg = mode; without a name: a file that has none */
	TRACE_MKDIR,     /* dir, name, ino */
	TRACE_SYMLINK,   /* dir, name, ino, data = target */
	TRACE_MKNOD,     /* dir, name, ino, arg = mode */
	TRACE_LINK,      /* dir, name, ino */
	TRACE_UNLINK,    /* dir, name */
	TRACE_RENAME,    /* dir, name, dir2, name2, arg = flags */
	TRACE_SETXATTR,  /* ino, name, data */
	TRACE_RMXATTR,   /* ino, name */
	TRACE_CHMOD,     /* ino, arg = mode */
	TRACE_SYNC,      /* ino, arg = enum trace_sync: begins */
	TRACE_SYNCED     /* ino, arg, off = number of the record of its beginning */
};

enum trace_sync { SYNC_DATA = 1, SYNC_FULL, SYNC_FS };

struct trace_rec {
	uint32_t size; /* of all of it, a multiple of 8 */
	uint16_t kind;
	uint16_t name_len, name2_len; /* without NUL, though one follows each */
	uint16_t zero;
	uint32_t arg;
	uint32_t tid;
	uint32_t data_len;
	uint64_t ino, dir, dir2;
	uint64_t off, len;
	/* name NUL name2 NUL data */
};

static inline const char *trace_name(const struct trace_rec *r)
{
	return (const char *)(r + 1);
}
static inline const char *trace_name2(const struct trace_rec *r)
{
	return trace_name(r) + r->name_len + 1;
}
static inline const uint8_t *trace_data(const struct trace_rec *r)
{
	return (const uint8_t *)trace_name2(r) + r->name2_len + 1;
}
