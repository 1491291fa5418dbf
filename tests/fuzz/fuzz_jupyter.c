/* Any bytes, as a client could send them to the shell channel, and a kernel back. */
#include <assert.h>
#include <string.h>

#include "shell/jup_requests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jup_requests q = { 0 };
	struct jup_tap t;
	size_t piece = size ? data[0] % 17 + 1 : 1;

	/* Behind a good greeting: without one nothing else is looked at. */
	struct zmtp_out o = { 0 };

	zmtp_put_greeting(&o);
	jup_tap_init(&t, &q);
	if (size % 8)
		jup_tap_client(&t, o.p, o.len);
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		jup_tap_client(&t, data + at, n);
		jup_tap_kernel(&t, data + at, n);
		assert(q.n <= JUP_REQUESTS_MAX);
	}
	for (size_t i = 0; i < q.n; i++)
		assert(q.open[i].header && strlen(q.open[i].id) < JUP_ID_MAX);
	jup_tap_free(&t);
	jup_requests_free(&q);
	zmtp_out_free(&o);
	return 0;
}
