#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

int json_parse(const char *text, size_t len, const char *what, json_t **ret, struct err *err)
{
	json_error_t e;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);

	if (!j)
		return err_set(err, -EINVAL, "%s is not valid JSON (line %d: %s)", what, e.line,
			       e.text);
	*ret = j;
	return 0;
}

char *json_canonical(const json_t *j)
{
	return json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

char *json_pretty(const json_t *j)
{
	return json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY);
}

json_t *json_at(const json_t *obj, const char *path)
{
	char key[128];

	while (obj && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		obj = json_object_get(obj, key);
		path += n + (path[n] == '.');
	}
	return (json_t *)obj;
}

int json_get_str(const json_t *obj, const char *path, const char **ret, struct err *err)
{
	json_t *v = json_at(obj, path);

	if (!v)
		return -ENOENT;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return err_set(err, -EINVAL, "'%s' must be a string.", path);
	*ret = json_string_value(v);
	return 0;
}

int json_get_u64(const json_t *obj, const char *path, uint64_t *ret, struct err *err)
{
	json_t *v = json_at(obj, path);

	if (!v)
		return -ENOENT;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return err_set(err, -EINVAL, "'%s' must be a whole number, 0 or more.", path);
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

int json_get_bool(const json_t *obj, const char *path, bool *ret, struct err *err)
{
	json_t *v = json_at(obj, path);

	if (!v)
		return -ENOENT;
	if (!json_is_boolean(v))
		return err_set(err, -EINVAL, "'%s' must be true or false.", path);
	*ret = json_is_true(v);
	return 0;
}

int json_get_hex(const json_t *obj, const char *path, uint8_t *ret, size_t len, struct err *err)
{
	const char *s = NULL;
	int r = json_get_str(obj, path, &s, err);

	if (r < 0)
		return r;
	if (hex_decode(s, ret, len) < 0)
		return err_set(err, -EINVAL, "'%s' must be %zu bytes in hex.", path, len);
	return 0;
}

int json_set_hex(json_t *obj, const char *key, const uint8_t *p, size_t len)
{
	autofree char *s = malloc(2 * len + 1);

	if (!s)
		return -ENOMEM;
	hex_encode(p, len, s);
	return json_object_set_new(obj, key, json_string(s)) < 0 ? -ENOMEM : 0;
}
