/* Shared by arch_index.c, arch_build.c and arch_finish.c. */
#pragma once

#include "fs/arch_index.h"

struct build_name {
	uint32_t dir, inode, at;
	uint16_t len;
	bool gone;
};

struct arch_build {
	struct arch_build_limits limits;
	struct arch_inode *inodes;
	struct build_name *names;
	char *strings;
	uint32_t *table; /* index + 1 of a name; size is a power of two */
	uint32_t ninodes, inodes_size, nnames, names_size, nstrings, strings_size, table_size;
	uint64_t seed; /* names are chosen by strangers */
	uint64_t unpacked;
	uint32_t entries, left_names, left_kinds, left_links, replaced;
};

uint64_t arch_index_sum(const void *mem, size_t size);
int arch_name_compare(const char *a, size_t alen, const char *b, size_t blen);
