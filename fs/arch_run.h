/* One run of sbx-archive over an archive: start it, read what it says, see how it ended. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct arch_stream_ops;
struct err;

struct arch_run {
	int source; /* the archive; its offset is moved */
	bool unpack;
	uint64_t max_bytes, max_entries;
	const struct arch_stream_ops *ops;
	void *ctx;
	const atomic_bool *cancel; /* looked at a few times a second */
};

/* 0: it ended well, END has been seen.  An error of 'ops' ends it at once and is returned; FAIL is
 * what ops->fail() makes of it.  -ECANCELED; -EIO: the reader died. Waits for its end in every
 * case. The child gets the archive and a pipe: no other descriptor, no environment, no memory of
 * ours. */
int arch_run(const struct arch_run *p, struct err *err);
