#include "fs/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/data_filter.h"
#include "keys/cipher.h"
#include "keys/identity.h"

#define DATASETS_MAX   256
#define RECIPIENTS_MAX 64

/* Limits: how the text is read, and which words stand for what a number cannot say. */
enum limit_kind { TIME, SIZE, MILLI, COUNT };

static const struct limit {
	const char *key;
	enum limit_kind kind;
	const char *standard;
	const char *words[3];
} limits[] = {
	{ "time", TIME, "1h", { "none" } },       { "grace", TIME, "2s", { NULL } },
	{ "cpu_time", TIME, "none", { "none" } }, { "memory", SIZE, "half", { "half", "none" } },
	{ "cpus", MILLI, "all", { "all" } },      { "pids", COUNT, "512", { NULL } },
	{ "tmp", SIZE, "100M", { NULL } },        { "shm", SIZE, "half", { "half", "none" } },
	{ "home_size", SIZE, "100M", { NULL } },  { "output", SIZE, "64M", { "none" } },
	{ "fsize", SIZE, "none", { "none" } },    { "nofile", COUNT, "1024", { NULL } },
};

static const char *const top_keys[] = { "format", "id",     "created",  "cipher",    "pad",
					"quota",  "limits", "datasets", "recipients" };
static const char *const quota_keys[] = { "bytes", "files" };
static const char *const dataset_keys[] = { "name", "source", "kind", "include", "exclude", "pin" };
static const char *const pin_keys[] = { "digest", "table",    "files",  "bytes",
					"made",   "verified", "damaged" };
static const char *const recipient_keys[] = { "public", "slot" };

static const struct limit *find_limit(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (strcmp(limits[i].key, key) == 0)
			return &limits[i];
	return NULL;
}

static json_t *limits_new(void)
{
	autojson json_t *j = json_object();
	int r = j ? 0 : -1;

	for (size_t i = 0; i < ARRAY_LEN(limits) && r == 0; i++) {
		uint64_t n = 0;

		if (limits[i].kind == COUNT && parse_u64(limits[i].standard, &n) == 0)
			r = json_object_set_new(j, limits[i].key, json_integer((json_int_t)n));
		else
			r = json_object_set_new(j, limits[i].key, json_string(limits[i].standard));
	}
	return r == 0 ? take_ptr(j) : NULL;
}

json_t *settings_new(const uint8_t vol_id[static 16], const char *cipher, bool pad,
		     uint64_t quota_bytes, uint64_t quota_files)
{
	char id[33], now[24];
	time_t t = time(NULL);
	struct tm tm;
	json_t *l = limits_new();

	if (!l)
		return NULL;
	hex_encode(vol_id, 16, id);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return json_pack("{s:i, s:s, s:s, s:s, s:b, s:{s:I, s:I}, s:o, s:[], s:[]}", "format", 1,
			 "id", id, "created", now, "cipher", cipher, "pad", pad, "quota", "bytes",
			 (json_int_t)quota_bytes, "files", (json_int_t)quota_files, "limits", l,
			 "datasets", "recipients");
}

/* Validation ----------------------------------------------------------------------------------- */

/* 'where' is "" or "limits." and the like; the last 'optional' of the keys may be missing. */
static int check_keys(const json_t *obj, const char *where, const char *const *keys, size_t n,
		      size_t optional, struct err *err)
{
	const char *key;
	json_t *v;

	if (!json_is_object(obj))
		return err_set(err, -EINVAL, "'%.*s' must be an object.",
			       (int)strlen(where) - (where[0] != '\0'), where);
	for (size_t i = 0; i < n - optional; i++)
		if (!json_object_get(obj, keys[i]))
			return err_set(err, -EINVAL, "'%s%s' is missing.", where, keys[i]);
	json_object_foreach ((json_t *)obj, key, v) {
		size_t i = 0;

		while (i < n && strcmp(keys[i], key) != 0)
			i++;
		if (i == n)
			return err_set(err, -EINVAL, "'%s%.64s' is not a setting.", where, key);
	}
	return 0;
}

static int check_limit_text(const struct limit *l, const char *text)
{
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(l->words) && l->words[i]; i++)
		if (strcmp(l->words[i], text) == 0)
			return 0;
	switch (l->kind) {
	case TIME:
		return parse_duration(text, &v);
	case SIZE:
		return parse_size(text, &v);
	case MILLI:
		return parse_milli(text, &v);
	case COUNT:
		return parse_u64(text, &v);
	}
	return -EINVAL;
}

static int check_limit(const struct limit *l, const json_t *v, struct err *err)
{
	static const char *const like[] = {
		[TIME] = "a time such as 90s or 1h",
		[SIZE] = "a size such as 512M or 2G",
		[MILLI] = "a number of CPUs such as 2 or 1.5",
		[COUNT] = "a whole number of 1 or more",
	};
	bool ok;

	if (json_is_string(v))
		ok = check_limit_text(l, json_string_value(v)) == 0;
	else if (json_is_integer(v))
		ok = json_integer_value(v) >= (l->kind == COUNT);
	else
		ok = l->kind == MILLI && json_is_real(v) && json_real_value(v) > 0;
	if (!ok)
		return err_set(err, -EINVAL, "'limits.%s' must be %s%s%s%s%s.", l->key,
			       like[l->kind], l->words[0] ? ", or " : "",
			       l->words[0] ? l->words[0] : "", l->words[1] ? " or " : "",
			       l->words[1] ? l->words[1] : "");
	return 0;
}

static int check_limits(const json_t *obj, struct err *err)
{
	const char *keys[ARRAY_LEN(limits)];
	int r;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		keys[i] = limits[i].key;
	r = check_keys(obj, "limits.", keys, ARRAY_LEN(keys), 0, err);
	for (size_t i = 0; i < ARRAY_LEN(limits) && r == 0; i++)
		r = check_limit(&limits[i], json_object_get(obj, limits[i].key), err);
	return r;
}

/* The patterns of a part of a directory, in 'where' of dataset 'd'. */
static int check_patterns(const json_t *d, const char *key, const char *where, struct err *err)
{
	const json_t *list = json_object_get(d, key);
	size_t n = json_array_size(list);

	if (!list)
		return 0;
	if (!json_is_array(list) || n == 0 || n > FILTER_PATTERNS_MAX)
		return err_set(err, -EINVAL, "'%s%s' must be an array of 1 to %u patterns.", where,
			       key, FILTER_PATTERNS_MAX);
	if (strcmp(json_string_value(json_object_get(d, "kind")), "dir") != 0)
		return err_set(err, -EINVAL, "'%s%s': only of a directory a part can be shown.",
			       where, key);
	for (size_t i = 0; i < n; i++) {
		const char *pattern = json_string_value(json_array_get(list, i));
		const char *wrong = pattern ? filter_pattern_wrong(pattern) : "must be a string";

		if (wrong)
			return err_set(err, -EINVAL, "'%s%s': the pattern '%.80s' %s.", where, key,
				       pattern ? pattern : "", wrong);
	}
	return 0;
}

static int check_pin(const json_t *d, size_t at, struct err *err)
{
	const json_t *pin = json_object_get(d, "pin");
	const char *text;
	uint8_t digest[32];
	char where[40];
	uint64_t n;
	int r;

	snprintf(where, sizeof(where), "datasets[%zu].pin.", at);
	r = check_keys(pin, where, pin_keys, ARRAY_LEN(pin_keys), 2, err);
	if (r < 0)
		return r;
	if (json_get_hex(pin, "digest", digest, sizeof(digest), err) < 0 ||
	    json_get_hex(pin, "table", digest, sizeof(digest), err) < 0 ||
	    json_get_u64(pin, "files", &n, err) < 0 || json_get_u64(pin, "bytes", &n, err) < 0 ||
	    json_get_str(pin, "made", &text, err) < 0 ||
	    (json_object_get(pin, "verified") && json_get_str(pin, "verified", &text, err) < 0) ||
	    (json_object_get(pin, "damaged") && json_get_u64(pin, "damaged", &n, err) < 0))
		return err_wrap(err, -EINVAL, "datasets[%zu].pin", at);
	return 0;
}

static int check_dataset(const json_t *list, size_t at, struct err *err)
{
	const json_t *d = json_array_get(list, at);
	const char *name, *source, *kind, *other;
	char where[40];
	int r;

	snprintf(where, sizeof(where), "datasets[%zu].", at);
	r = check_keys(d, where, dataset_keys, ARRAY_LEN(dataset_keys), 3, err);
	if (r < 0)
		return r;
	if (json_get_str(d, "name", &name, err) < 0 ||
	    json_get_str(d, "source", &source, err) < 0 || json_get_str(d, "kind", &kind, err) < 0)
		return err_wrap(err, -EINVAL, "datasets[%zu]", at);
	if (!name_is_plain(name))
		return err_set(err, -EINVAL,
			       "'%sname' must be 1 to 64 letters, digits, '.', '_' or '-', the "
			       "first a letter or digit.",
			       where);
	if (!path_is_clean_absolute(source))
		return err_set(err, -EINVAL,
			       "'%ssource' must be an absolute path without '.', '..' or '//'.",
			       where);
	if (strcmp(kind, "dir") != 0 && strcmp(kind, "file") != 0 && strcmp(kind, "archive") != 0)
		return err_set(err, -EINVAL, "'%skind' must be \"dir\", \"file\" or \"archive\".",
			       where);
	r = check_patterns(d, "include", where, err);
	if (r == 0)
		r = check_patterns(d, "exclude", where, err);
	if (r == 0 && json_object_get(d, "pin"))
		r = check_pin(d, at, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < at; i++)
		if (json_get_str(json_array_get(list, i), "name", &other, NULL) == 0 &&
		    strcmp(name, other) == 0)
			return err_set(err, -EINVAL, "there are two datasets named '%s'.", name);
	return 0;
}

static int check_recipient(const json_t *list, size_t at, struct err *err)
{
	const json_t *d = json_array_get(list, at);
	struct identity_public pub;
	const char *public, *slot;
	char where[40];
	int r;

	snprintf(where, sizeof(where), "recipients[%zu].", at);
	r = check_keys(d, where, recipient_keys, ARRAY_LEN(recipient_keys), 0, err);
	if (r < 0)
		return r;
	if (json_get_str(d, "public", &public, err) < 0 ||
	    json_get_str(d, "slot", &slot, err) < 0 || identity_public_parse(public, &pub, err) < 0)
		return err_wrap(err, -EINVAL, "recipients[%zu]", at);
	if (!name_is_plain(slot))
		return err_set(err, -EINVAL, "'%sslot' is not the name of a key slot.", where);
	return 0;
}

static int check_list(const json_t *s, const char *key, size_t max,
		      int (*check)(const json_t *list, size_t at, struct err *err), struct err *err)
{
	const json_t *list = json_object_get(s, key);
	int r = 0;

	if (!json_is_array(list))
		return err_set(err, -EINVAL, "'%s' must be a list.", key);
	if (json_array_size(list) > max)
		return err_set(err, -EINVAL, "'%s' has more than %zu entries.", key, max);
	for (size_t i = 0; i < json_array_size(list) && r == 0; i++)
		r = check(list, i, err);
	return r;
}

static int check_fixed(const json_t *s, struct err *err)
{
	const char *text;
	uint64_t n = 0;
	uint8_t id[16];
	bool pad;

	if (json_get_u64(s, "format", &n, err) < 0)
		return -EINVAL;
	if (n != 1)
		return err_set(err, -EOPNOTSUPP,
			       "the workspace has format %llu, which needs a newer version of sbx.",
			       (unsigned long long)n);
	if (json_get_hex(s, "id", id, sizeof(id), err) < 0 ||
	    json_get_str(s, "created", &text, err) < 0 || json_get_bool(s, "pad", &pad, err) < 0 ||
	    json_get_str(s, "cipher", &text, err) < 0)
		return -EINVAL;
	if (!cipher_by_name(text))
		return err_set(err, -EINVAL,
			       "'cipher' must be xchacha20, aes-gcm or aegis, not '%.32s'.", text);
	return 0;
}

/* 'strict' and 'cache' may be missing: workspaces were made before they were known. */
static int check_quota(const json_t *quota, struct err *err)
{
	const json_t *strict = json_object_get(quota, "strict");
	autojson json_t *rest = json_copy((json_t *)quota);
	uint64_t n;
	int r;

	if (strict && !json_is_boolean(strict))
		return err_set(err, -EINVAL, "'quota.strict' must be true or false.");
	if (json_object_get(quota, "cache") && json_get_u64(quota, "cache", &n, err) < 0)
		return -EINVAL;
	if (json_is_object(rest)) {
		json_object_del(rest, "strict");
		json_object_del(rest, "cache");
	}
	r = check_keys(rest, "quota.", quota_keys, ARRAY_LEN(quota_keys), 0, err);
	for (size_t i = 0; i < ARRAY_LEN(quota_keys) && r == 0; i++)
		r = json_get_u64(quota, quota_keys[i], &n, err);
	return r;
}

int settings_validate(const json_t *s, struct err *err)
{
	int r = check_keys(s, "", top_keys, ARRAY_LEN(top_keys), 0, err);

	if (r == 0)
		r = check_fixed(s, err);
	if (r == 0)
		r = check_quota(json_object_get(s, "quota"), err);
	if (r == 0)
		r = check_limits(json_object_get(s, "limits"), err);
	if (r == 0)
		r = check_list(s, "datasets", DATASETS_MAX, check_dataset, err);
	if (r == 0)
		r = check_list(s, "recipients", RECIPIENTS_MAX, check_recipient, err);
	return r;
}

/* Changes -------------------------------------------------------------------------------------- */

static int set_quota(json_t *s, const char *path, const char *key, const json_t *value,
		     struct err *err)
{
	json_t *quota = json_object_get(s, "quota");
	const char *text = json_string_value(value);
	bool is_size = strcmp(key, "files") != 0;
	uint64_t n = 0;
	int r;

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		n = (uint64_t)json_integer_value(value);
	else if (!text || (strcmp(text, "none") != 0 &&
			   (is_size ? parse_size(text, &n) : parse_u64(text, &n)) < 0))
		return err_set(err, -EINVAL, "'%s' must be %s, or none.", path,
			       is_size ? "a size such as 10G" : "a whole number");
	if (n > INT64_MAX)
		return err_set(err, -EINVAL, "'%s' is too large.", path);
	r = json_object_set_new(quota, key, json_integer((json_int_t)n));
	return r < 0 ? err_set(err, -ENOMEM, "set '%s'", path) : 0;
}

static int set_strict(json_t *s, const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	bool on = json_is_true(value) || (text && strcmp(text, "on") == 0);

	if (!json_is_boolean(value) && !on && (!text || strcmp(text, "off") != 0))
		return err_set(err, -EINVAL, "'quota.strict' must be on or off.");
	return json_object_set_new(json_object_get(s, "quota"), "strict", json_boolean(on)) < 0
		       ? err_set(err, -ENOMEM, "set 'quota.strict'")
		       : 0;
}

static int set_limit(json_t *s, const char *path, const struct limit *l, const json_t *value,
		     struct err *err)
{
	const char *text = json_string_value(value);
	uint64_t n;
	int r = check_limit(l, value, err);

	if (r < 0)
		return r;
	if (l->kind == COUNT && text && parse_u64(text, &n) == 0 && n > 0 && n <= INT64_MAX)
		r = json_object_set_new(json_object_get(s, "limits"), l->key,
					json_integer((json_int_t)n));
	else
		r = json_object_set(json_object_get(s, "limits"), l->key, (json_t *)value);
	return r < 0 ? err_set(err, -ENOMEM, "set '%s'", path) : 0;
}

int settings_set(json_t *s, const char *path, const json_t *value, struct err *err)
{
	const struct limit *l;

	if (strcmp(path, "quota.bytes") == 0 || strcmp(path, "quota.files") == 0 ||
	    strcmp(path, "quota.cache") == 0)
		return set_quota(s, path, path + strlen("quota."), value, err);
	if (strcmp(path, "quota.strict") == 0)
		return set_strict(s, value, err);
	if (strncmp(path, "limits.", strlen("limits.")) == 0) {
		l = find_limit(path + strlen("limits."));
		if (l)
			return set_limit(s, path, l, value, err);
	}
	if (strcmp(path, "cipher") == 0 && json_is_string(value))
		return json_object_set(s, "cipher", (json_t *)value) < 0
			       ? err_set(err, -ENOMEM, "set '%s'", path)
			       : 0;
	return err_set(err, -EINVAL, "'%.64s' is not a setting that can be changed.", path);
}

int settings_check_edit(const json_t *before, const json_t *after, struct err *err)
{
	static const char *const fixed[] = { "format", "id", "created", "pad" };

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (!json_equal(json_object_get(before, fixed[i]),
				json_object_get(after, fixed[i])))
			return err_set(err, -EINVAL,
				       "'%s' is fixed for the life of a workspace: make a new one "
				       "and copy the outputs.",
				       fixed[i]);
	return 0;
}

/* Comparison ----------------------------------------------------------------------------------- */

static void show_value(const json_t *v, char out[static SETTINGS_VALUE_SIZE])
{
	autofree char *text = v ? json_canonical(v) : NULL;

	str_printable(text ? text : "absent", out, SETTINGS_VALUE_SIZE);
}

static bool differ(const json_t *a, const json_t *b, const char *path,
		   struct settings_difference *ret);

static bool objects_differ(const json_t *a, const json_t *b, const char *path,
			   struct settings_difference *ret)
{
	char sub[SETTINGS_FIELD_SIZE];
	const json_t *both[] = { a, b };

	for (size_t i = 0; i < 2; i++) {
		const char *key;
		json_t *v;

		json_object_foreach ((json_t *)both[i], key, v) {
			snprintf(sub, sizeof(sub), "%s%s%.64s", path, *path ? "." : "", key);
			if (differ(json_object_get(a, key), json_object_get(b, key), sub, ret))
				return true;
		}
	}
	return false;
}

static bool arrays_differ(const json_t *a, const json_t *b, const char *path,
			  struct settings_difference *ret)
{
	size_t n = MAX(json_array_size(a), json_array_size(b));
	char sub[SETTINGS_FIELD_SIZE];

	for (size_t i = 0; i < n; i++) {
		snprintf(sub, sizeof(sub), "%.120s[%zu]", path, i);
		if (differ(json_array_get(a, i), json_array_get(b, i), sub, ret))
			return true;
	}
	return false;
}

/* Settings are at most four deep, but what is compared with them may be anything. */
static bool differ(const json_t *a, const json_t *b, const char *path,
		   struct settings_difference *ret)
{
	if (json_equal(a, b))
		return false;
	if (json_is_object(a) && json_is_object(b))
		return objects_differ(a, b, path, ret);
	if (json_is_array(a) && json_is_array(b))
		return arrays_differ(a, b, path, ret);
	str_printable(path, ret->field, sizeof(ret->field));
	show_value(a, ret->a);
	show_value(b, ret->b);
	return true;
}

bool settings_differ(const json_t *a, const json_t *b, struct settings_difference *ret)
{
	return differ(a, b, "", ret);
}
