/* Any bytes, as a client could send them to the daemon. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "fs/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request r;
	struct err err = { 0 };

	if (request_parse((const char *)data, size, &r, &err) < 0) {
		assert(err.text[0]); /* a refusal has a reason */
		return 0;
	}
	/* What handlers rely on. */
	assert(!r.name || name_is_plain(r.name));
	assert(!r.run || (name_is_plain(r.run) && strlen(r.run) < 64));
	assert(r.op != REQ_SESSION || r.run);
	assert(r.op != REQ_DATASET_ADD || (r.name && r.source));
	assert(r.op != REQ_SET || json_is_object(r.changes));
	request_free(&r);
	return 0;
}
