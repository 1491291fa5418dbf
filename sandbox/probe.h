/* What this host offers, layer by layer, each one tried and not guessed: for sbxctl doctor and for
 * sentences of failing launches. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum probe_state { PROBE_OK, PROBE_DEGRADED, PROBE_MISSING };

struct probe_result {
	const char *name; /* "user namespaces", "landlock", "cgroup memory", ... */
	enum probe_state state;
	char detail[240]; /* what was found: "ABI 7", "v1+v2 hybrid, writable" */
	char fix[640];    /* what to do about it; empty when OK */
};

/* Fills at most 'max' rows, returns how many. Takes well under a second; leaves nothing. */
size_t probe_host(struct probe_result *ret, size_t max);
