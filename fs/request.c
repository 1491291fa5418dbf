#include "fs/request.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#define FIELD(f) offsetof(struct request, f)
#define NAME_LEN 64

/* The fields that an operation must have; 0 ends ('op' itself is at 0 and no string). */
static const struct row {
	const char *op;
	enum request_op id;
	bool edits;
	size_t fields[3];
} rows[] = {
	{ "hello", REQ_HELLO, false, { 0 } },
	{ "session", REQ_SESSION, false, { FIELD(run) } },
	{ "mount", REQ_MOUNT, false, { FIELD(dir) } },
	{ "status", REQ_STATUS, false, { 0 } },
	{ "quota", REQ_QUOTA, false, { 0 } },
	{ "show", REQ_SHOW, false, { 0 } },
	{ "set", REQ_SET, true, { FIELD(changes) } },
	{ "dataset-add", REQ_DATASET_ADD, true, { FIELD(name), FIELD(source) } },
	{ "dataset-index", REQ_DATASET_INDEX, true, { FIELD(name), FIELD(source) } },
	{ "dataset-pin", REQ_DATASET_PIN, true, { FIELD(name), FIELD(source) } },
	{ "dataset-verify", REQ_DATASET_VERIFY, false, { FIELD(name) } },
	{ "dataset-remove", REQ_DATASET_REMOVE, true, { FIELD(name) } },
	{ "dataset-list", REQ_DATASET_LIST, false, { 0 } },
	{ "key-list", REQ_KEY_LIST, false, { 0 } },
	{ "key-add", REQ_KEY_ADD, true, { FIELD(type) } },
	{ "key-remove", REQ_KEY_REMOVE, true, { FIELD(slot) } },
	{ "sync", REQ_SYNC, false, { 0 } },
};

static const struct {
	const char *key;
	size_t field;
} keys[] = {
	{ "run", FIELD(run) },   { "dir", FIELD(dir) },       { "name", FIELD(name) },
	{ "type", FIELD(type) }, { "source", FIELD(source) }, { "public", FIELD(public) },
	{ "slot", FIELD(slot) }, { "kind", FIELD(kind) },
};

static const char **string_field(struct request *r, size_t field)
{
	return (const char **)((char *)r + field);
}

static int fill_strings(struct request *r, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int e = json_get_str(r->json, keys[i].key, string_field(r, keys[i].field), err);

		if (e < 0 && e != -ENOENT)
			return e;
	}
	r->changes = json_object_get(r->json, "changes");
	if (r->changes && !json_is_object(r->changes))
		return err_set(err, -EINVAL, "'changes' must be an object.");
	r->pin = json_is_true(json_object_get(r->json, "pin"));
	r->include = json_object_get(r->json, "include");
	r->exclude = json_object_get(r->json, "exclude");
	if ((r->include && !json_is_array(r->include)) ||
	    (r->exclude && !json_is_array(r->exclude)))
		return err_set(err, -EINVAL, "'include' and 'exclude' must be arrays.");
	return 0;
}

static int check_fields(struct request *r, const struct row *row, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(row->fields) && row->fields[i]; i++) {
		if (!*(void **)((char *)r + row->fields[i]))
			return err_set(err, -EINVAL, "a field of the request '%s' is missing.",
				       row->op);
	}
	if (r->run && (!name_is_plain(r->run) || strlen(r->run) >= NAME_LEN))
		return err_set(err, -EINVAL, "'run' is not a plain name.");
	if (r->name && !name_is_plain(r->name))
		return err_set(err, -EINVAL,
			       "'%.80s' is not a dataset name: letters, digits, '.', '_' and '-', "
			       "at most 64, a letter or digit first.",
			       r->name);
	return 0;
}

static const struct row *find_row(const json_t *j, struct err *err)
{
	const char *op;

	if (!json_is_object(j) || json_get_str(j, "op", &op, NULL) < 0) {
		err_set(err, -EINVAL, "the request names no operation.");
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].op, op) == 0)
			return &rows[i];
	err_set(err, -EINVAL, "unknown operation '%.80s'.", op);
	return NULL;
}

int request_parse(const char *text, size_t len, struct request *ret, struct err *err)
{
	autojson json_t *j = NULL;
	struct request r = { 0 };
	const struct row *row;
	int e;

	if (len > REQUEST_MAX)
		return err_set(err, -EINVAL, "the request is too large.");
	e = json_parse(text, len, "the request", &j, err);
	if (e < 0)
		return e;
	row = find_row(j, err);
	if (!row)
		return -EINVAL;
	r.op = row->id;
	r.edits = row->edits;
	r.json = j;
	e = fill_strings(&r, err);
	if (e == 0)
		e = check_fields(&r, row, err);
	if (e < 0)
		return e;
	r.json = take_ptr(j);
	*ret = r;
	return 0;
}

void request_free(struct request *r)
{
	json_decref(r->json);
	r->json = NULL;
}
