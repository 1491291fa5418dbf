/* A request on the control socket (doc/control.md): foreign bytes in, a checked structure out.
 * Pure. */
#pragma once

#include <stdint.h>

#include "base/json.h"

struct err;

enum request_op {
	REQ_HELLO,
	REQ_SESSION,
	REQ_MOUNT,
	REQ_STATUS,
	REQ_QUOTA,
	REQ_SHOW,
	REQ_SET,
	REQ_DATASET_INDEX,
	REQ_DATASET_PIN,
	REQ_DATASET_VERIFY,
	REQ_DATASET_ADD,
	REQ_DATASET_REMOVE,
	REQ_DATASET_LIST,
	REQ_KEY_LIST,
	REQ_KEY_ADD,
	REQ_KEY_REMOVE,
	REQ_SYNC,
};

#define REQUEST_MAX 65536

struct request {
	enum request_op op;
	bool edits;   /* needs a volume that may be written */
	json_t *json; /* owner of the strings below */
	/* Present when the operation has them, else NULL. */
	const char *run, *dir, *name, *source, *kind, *type, *public, *slot;
	const json_t *changes; /* object */
	bool pin;
	const json_t *include, *exclude; /* arrays; what is in them is checked with the settings */
};

/* -EINVAL with a sentence. Free with request_free() on success. */
int request_parse(const char *text, size_t len, struct request *ret, struct err *err);
void request_free(struct request *r);
