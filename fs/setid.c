#include "fs/setid.h"

#include <string.h>

#include "fs/fuse_wire.h"

static _Thread_local bool lost;

void setid_look(const void *request, size_t len)
{
	struct wire_write_in w;
	struct wire_open_in o;
	struct wire_in_header h;

	lost = false;
	if (len < sizeof(h))
		return;
	memcpy(&h, request, sizeof(h));
	if (h.opcode == WIRE_WRITE && len >= sizeof(w)) {
		memcpy(&w, request, sizeof(w));
		lost = w.write_flags & WIRE_WRITE_KILL_SUIDGID;
	} else if (h.opcode == WIRE_OPEN && len >= sizeof(o)) {
		memcpy(&o, request, sizeof(o));
		lost = o.open_flags & WIRE_OPEN_KILL_SUIDGID;
	}
}

bool setid_lost(void)
{
	return lost;
}
