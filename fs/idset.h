/* 16 bytes -> inode: which file, directory or name was met already. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Zeros are an empty one. Open addressing; ino 0 = empty. */
struct idset {
	struct idset_row {
		uint8_t id[16];
		uint64_t ino;
	} * v;
	size_t len, cap;
};

/* The inode noted for this id before, else 0 and 'ino' is noted. -ENOMEM as a return value. */
int idset_note(struct idset *s, const uint8_t id[static 16], uint64_t ino, uint64_t *ret_before);
bool idset_has(const struct idset *s, const uint8_t id[static 16]);
/* Was this inode met under another name? Otherwise it is noted, if it has several. -ENOMEM. */
int idset_met(struct idset *s, const struct stat *st, bool *ret);
void idset_free(struct idset *s);
