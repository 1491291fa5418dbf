/* The kernel's side of FUSE that libfuse does not show: numbers and layouts of
 * include/uapi/linux/fuse.h.  Our copy, because the headers of some distributions are older than
 * the kernels that run there. */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

enum fuse_wire_opcode {
	WIRE_FORGET = 2,
	WIRE_OPEN = 14,
	WIRE_READ = 15,
	WIRE_WRITE = 16,
	WIRE_RELEASE = 18,
	WIRE_FSYNC = 20,
	WIRE_INIT = 26,
	WIRE_RELEASEDIR = 29,
	WIRE_FSYNCDIR = 30,
	WIRE_BATCH_FORGET = 42,
	WIRE_FALLOCATE = 43,
	WIRE_LSEEK = 46,
};

struct wire_in_header {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid;
	uint16_t extlen, padding;
};
_Static_assert(sizeof(struct wire_in_header) == 40, "kernel layout");

/* INIT: features that are offered and agreed on, in 'flags' and, with WIRE_INIT_EXT, 'flags2'. */
#define WIRE_PARALLEL_DIROPS    (1u << 18)
#define WIRE_HANDLE_KILLPRIV_V2 (1u << 28)
#define WIRE_INIT_EXT           (1u << 30)
#define WIRE2_DIRECT_IO_MMAP    (1u << 4)
#define WIRE2_PASSTHROUGH       (1u << 5)
#define WIRE2_ALLOW_IDMAP       (1u << 8)

struct wire_init_in {
	uint32_t major, minor, max_readahead, flags, flags2;
};

struct wire_init_out {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth;
	uint16_t request_timeout, unused[11];
};
_Static_assert(sizeof(struct wire_init_out) == 64, "kernel layout");

struct wire_open_in {
	struct wire_in_header head;
	uint32_t flags, open_flags;
};
_Static_assert(sizeof(struct wire_open_in) == 48, "kernel layout");
#define WIRE_OPEN_KILL_SUIDGID (1u << 0)

struct wire_open_out {
	uint64_t fh;
	uint32_t flags;
	int32_t backing_id; /* of passthrough */
};
_Static_assert(sizeof(struct wire_open_out) == 16, "kernel layout");
#define WIRE_FOPEN_KEEP_CACHE  (1u << 1)
#define WIRE_FOPEN_NOFLUSH     (1u << 5)
#define WIRE_FOPEN_PASSTHROUGH (1u << 7)

struct wire_read_in {
	struct wire_in_header head;
	uint64_t fh, offset;
	uint32_t size, read_flags;
};
struct wire_write_in {
	struct wire_in_header head;
	uint64_t fh, offset;
	uint32_t size, write_flags;
};
_Static_assert(sizeof(struct wire_write_in) == 64, "kernel layout");
#define WIRE_WRITE_KILL_SUIDGID (1u << 2)

struct wire_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define WIRE_BACKING_OPEN  _IOW(229, 1, struct wire_backing_map)
#define WIRE_BACKING_CLOSE _IOW(229, 2, uint32_t)
