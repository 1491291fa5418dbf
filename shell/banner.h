/* The two lines that greet a person in a shell. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_limits;

struct banner {
	const char *name; /* of the workspace, printable */
	const struct plan_limits *limits;
	bool quota_known;
	uint64_t used, quota; /* bytes; quota 0 = no limit */
	unsigned datasets;
	bool home_kept;
	const char *escape; /* "~", "" = none */
};

/* Two lines with their ends, cut to 'size'. */
void banner_text(const struct banner *b, char *out, size_t size);
