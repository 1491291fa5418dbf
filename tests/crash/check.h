/* Shared by check.c (which states) and check_state.c (is this one as promised?). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/crash/disk.h"
#include "tests/crash/model.h"

struct check {
	struct volume *vol; /* whose keys open the states; NULL: each has its own */
	struct disk *disk;
	struct model *model;
	char scratch[512], dir[600], dump[600];
	bool keep, whole;   /* states of the whole workspace, not of its store alone */
	FILE *ask, *answer; /* the program that looks at databases */
	uint8_t bind[32];   /* what the store of PLACE is bound to (fs/marks.c) */

	/* One state. */
	struct volume *own;
	struct store *store;
	struct quota *quota;
	struct out *out;
	int fd;
	unsigned number, complaints;
	uint64_t at;
	bool quiet_expected; /* second opening */
	bool *met;           /* by number of the model's path */

	unsigned states, clean, lost, unreadable, emptied, mended;
	unsigned part;  /* recovered by looking at some files only */
	bool recovered; /* this one */
};

/* Make the state of this moment in c->dir, open it, mend it, compare; once more, clean; remove it.
 */
void check_state(struct check *c, uint64_t rnd);
void check_remove(const char *dir);
