#include "fs/setid.h"

#include <stdint.h>
#include <string.h>

/* The kernel's numbers (include/uapi/linux/fuse.h). */
#define OPCODE_OPEN        14u
#define OPCODE_WRITE       16u
#define OPEN_KILL_SUIDGID  (1u << 0)
#define WRITE_KILL_SUIDGID (1u << 2)

struct head {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid;
	uint16_t extlen, padding;
};

struct open_request {
	struct head head;
	uint32_t flags, open_flags;
};

struct write_request {
	struct head head;
	uint64_t fh, offset;
	uint32_t size, write_flags;
};
_Static_assert(sizeof(struct open_request) == 48, "kernel layout");
_Static_assert(sizeof(struct write_request) == 64, "kernel layout");

static _Thread_local bool lost;

void setid_look(const void *request, size_t len)
{
	struct write_request w;
	struct open_request o;
	struct head h;

	lost = false;
	if (len < sizeof(h))
		return;
	memcpy(&h, request, sizeof(h));
	if (h.opcode == OPCODE_WRITE && len >= sizeof(w)) {
		memcpy(&w, request, sizeof(w));
		lost = w.write_flags & WRITE_KILL_SUIDGID;
	} else if (h.opcode == OPCODE_OPEN && len >= sizeof(o)) {
		memcpy(&o, request, sizeof(o));
		lost = o.open_flags & OPEN_KILL_SUIDGID;
	}
}

bool setid_lost(void)
{
	return lost;
}
