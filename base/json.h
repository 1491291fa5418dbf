/* The only door to jansson.  Getters name the path of what is wrong: "limits.memory: not a size".
 *
 * 'path' arguments are dotted keys below 'obj' ("limits.time_ms").  Getters return 0, -ENOENT when
 * the key is absent (nothing is written), or -EINVAL with a sentence. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define autojson __attribute__((cleanup(cleanup_json)))

/* Strict: one value, no duplicate keys, depth bounded by jansson, at most 'len' bytes. */
int json_parse(const char *text, size_t len, const char *what, json_t **ret, struct err *err);
/* Heap text: sorted keys and no blanks (the form that is authenticated), or indented. */
char *json_canonical(const json_t *j);
char *json_pretty(const json_t *j);

json_t *json_at(const json_t *obj, const char *path); /* borrowed, NULL if absent */
int json_get_str(const json_t *obj, const char *path, const char **ret, struct err *err);
int json_get_u64(const json_t *obj, const char *path, uint64_t *ret, struct err *err);
int json_get_bool(const json_t *obj, const char *path, bool *ret, struct err *err);
/* Raw bytes kept as hex. Exactly 'len' bytes. */
int json_get_hex(const json_t *obj, const char *path, uint8_t *ret, size_t len, struct err *err);
int json_set_hex(json_t *obj, const char *key, const uint8_t *p, size_t len);
