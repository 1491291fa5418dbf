/* Jupyter's kernelspecs: directories that hold a kernel.json, found by name in several places. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"

struct err;

#define KSPEC_PLACES_MAX 16

/* Where Jupyter looks for kernels ("DIR/kernels"), the first place first; heap strings. */
struct kspec_places {
	char *dir[KSPEC_PLACES_MAX];
	size_t n;
};
void kspec_places(struct kspec_places *ret);
void kspec_places_free(struct kspec_places *p);
/* The place of the user's own, and that below a prefix (heap, NULL = out of memory). */
char *kspec_user_place(void);
char *kspec_prefix_place(const char *prefix);

/* One that was found. */
struct kspec {
	char *dir;    /* owned: holds kernel.json */
	json_t *json; /* owned: an object with an "argv" of strings */
};
void kspec_free(struct kspec *k);
/* Read DIR/NAME/kernel.json.  -ENOENT when there is none. */
int kspec_read(const char *place, const char *name, struct kspec *ret, struct err *err);
/* The first of this name.  -ENOENT with a sentence that lists what there is. */
int kspec_find(const char *name, struct kspec *ret, struct err *err);
/* The workspace that a kernel of ours works on, NULL for any other kernel. Borrowed. */
const char *kspec_workspace(const struct kspec *k);

/* Write 'json' as PLACE/NAME/kernel.json, beside copies of the logos in 'from' (may be NULL). */
int kspec_write(const char *place, const char *name, const json_t *json, const char *from,
		struct err *err);
/* Remove the directory and the files that kspec_write() makes. */
int kspec_remove(const struct kspec *k, struct err *err);
