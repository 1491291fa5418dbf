/* The names of a dataset as they are now, in the order of a pin file (fs/pin.h): made in memory,
 * some 90 bytes a name, by a walk over a directory of the host or over the index of an archive.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "fs/data_filter.h"
#include "fs/pin.h"

struct arch;
struct err;

struct pin_tree {
	struct pin_record *rec;
	uint64_t *stamp; /* of files of the host: changes when they do */
	uint32_t *inode; /* of an archive, else NULL */
	uint32_t n, room;
	char *names;
	uint64_t names_len, names_room;
	uint64_t leaves, files, bytes;
};

/* What is walked over. All is borrowed. */
struct pin_walk {
	int top;           /* O_PATH: of a directory, or of a single file: then */
	const char *base;  /* its name; NULL: a directory */
	struct arch *arch; /* of an archive, then 'top' is not used */
	struct data_filter filter;
	dev_t own[2]; /* never entered */
	/* Called now and then: negative ends the walk. May be NULL. */
	int (*progress)(void *ctx, const struct pin_tree *t);
	/* Record 'i' cannot be read: negative ends the walk, else it is as if it were empty. */
	int (*failed)(void *ctx, const struct pin_tree *t, uint32_t i, int r);
	void *ctx;
};

void pin_tree_free(struct pin_tree *t);
/* Fills '*t', which is all zero; free it in any case. */
int pin_tree_walk(struct pin_tree *t, const struct pin_walk *w);
/* "a/b/c" below the top ("" of the top itself), on the heap; NULL: no memory. */
char *pin_tree_path(const struct pin_tree *t, uint32_t i);
/* Record 'i' below 'top' (a directory's), nothing on the way being a symlink. A descriptor. */
int pin_tree_open(const struct pin_tree *t, int top, uint32_t i, int flags);
/* The name of a record; not terminated, name_len bytes. */
const char *pin_tree_name(const struct pin_tree *t, uint32_t i);
uint64_t pin_stamp(const struct stat *st);
/* What a pin knows of the type of an inode: 'd', 'f', .. */
uint8_t pin_type(mode_t mode);
/* The digests of all directories and of the top from those of what is in them. -ENOMEM. */
int pin_tree_finish(struct pin_tree *t, uint8_t ret_digest[static PIN_HASH]);
