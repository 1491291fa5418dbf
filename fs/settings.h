/* The settings of a workspace: what workspace.json shows and the sealed config holds.  Pure.
 *
 * doc/control.md has the shape.  Unknown keys are refused, so that a slip in a name is not taken
 * for a limit that holds. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

struct err;

/* Settings of a new workspace with every default written out. NULL when out of memory. */
json_t *settings_new(const uint8_t vol_id[static 16], const char *cipher, bool pad,
		     uint64_t quota_bytes, uint64_t quota_files);

/* Is it whole, of the right types, in bounds, with nothing unknown? -EINVAL naming the field;
 * -EOPNOTSUPP for a newer format. */
int settings_validate(const json_t *s, struct err *err);

/* Change one value by its dotted path ("limits.memory", "quota.bytes").  Text is taken for a
 * number where a number is kept ("10G" for quota.bytes, "none" for 0).  Only quota, limits and
 * cipher can be set so.  -EINVAL. The result is not validated. */
int settings_set(json_t *s, const char *path, const json_t *value, struct err *err);

/* May 'before' become 'after'?  id, created, format and pad are fixed for life. -EINVAL. */
int settings_check_edit(const json_t *before, const json_t *after, struct err *err);

/* Name the first field in which the two differ ("datasets[0].source") and both values, cut short
 * ("absent" if it is missing). False when they are equal. */
#define SETTINGS_FIELD_SIZE 160
#define SETTINGS_VALUE_SIZE 80
struct settings_difference {
	char field[SETTINGS_FIELD_SIZE];
	char a[SETTINGS_VALUE_SIZE], b[SETTINGS_VALUE_SIZE];
};
bool settings_differ(const json_t *a, const json_t *b, struct settings_difference *ret);
