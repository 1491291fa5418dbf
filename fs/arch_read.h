/* Reading archives: the only door to libarchive.  Runs in sbx-archive alone, confined, on two
 * descriptors (fs/arch_proto.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct arch_read_options {
	bool unpack;        /* send the bytes of members; else their names */
	uint64_t max_bytes; /* of all members that are not in place */
	uint64_t max_entries;
};

/* Reads the archive on ARCH_FD_SOURCE to its end and says all in records on ARCH_FD_OUT. 0 when the
 * last one is END, 1 when it is FAIL. Ends the process when nobody reads the records any more. */
int arch_read(const struct arch_read_options *o);
