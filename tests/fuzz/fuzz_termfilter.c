/* Whatever code inside writes: what reaches the terminal is only what the filter's list has,
 * however the bytes were cut.  The output is read again by a reader of its own, simpler and
 * stricter. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shell/termfilter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t filter(const uint8_t *data, size_t size, size_t step, bool utf8, uint8_t *out)
{
	struct term_modes modes = { 0 };
	struct termfilter f;
	char text[TERM_MODES_TEXT];
	size_t n = 0, len;

	termfilter_init(&f, utf8, &modes);
	for (size_t i = 0; i < size; i += step) {
		size_t now = size - i < step ? size - i : step;

		len = termfilter_run(&f, data + i, now, out + n);
		assert(len <= TERMFILTER_ROOM(now));
		n += len;
	}
	assert(n <= TERMFILTER_ROOM(size));
	assert(term_modes_undo(&modes, text) <= TERM_MODES_TEXT);
	assert(term_modes_again(&modes, text) <= TERM_MODES_TEXT);
	return n;
}

/* One sequence at p[0] = ESC; returns its length. */
static size_t check_escape(const uint8_t *p, size_t n)
{
	size_t i = 2;

	assert(n >= 2);
	if (p[1] == ']') {
		assert(n >= 8 && p[2] == '1' && p[3] >= '0' && p[3] <= '2' &&
		       !memcmp(p + 4, ";?\033\\", 4));
		return 8;
	}
	/* No string begins, none ends; no answer of VT52 days; UTF-8 is not left. */
	assert(!memchr("PX^_k\\Z%", p[1], 8));
	if (p[1] >= 0x20 && p[1] <= 0x2f) {
		assert(n >= 3 && p[2] >= 0x30 && p[2] <= 0x7e);
		return 3;
	}
	if (p[1] != '[')
		return 2;
	while (i < n && p[i] >= 0x20 && p[i] <= 0x3f)
		i++;
	assert(i < n && p[i] >= 0x40 && p[i] <= 0x7e && i <= TERMFILTER_HOLD + 2);
	assert(!memchr("iyNOQRUVWY\\]wo|", p[i], 15));
	if (p[i] == 't' && p[i - 1] != '$')
		assert(i == 4 && p[2] == '1' && (p[3] == '4' || p[3] == '6' || p[3] == '8'));
	return i + 1;
}

static void check_output(const uint8_t *p, size_t n, bool utf8)
{
	for (size_t i = 0; i < n;) {
		if (p[i] == 0x1b) {
			i += check_escape(p + i, n - i);
			continue;
		}
		assert(p[i] >= 0x20 || (p[i] >= 7 && p[i] <= 0x0f));
		assert(p[i] != 0x7f);
		if (!utf8)
			assert(p[i] < 0x80 || p[i] >= 0xa0);
		else if (p[i] == 0xc2)
			assert(i + 1 < n && p[i + 1] >= 0xa0);
		i++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Pieces of one byte need no more room in sum than a slack for each. */
	uint8_t *whole = malloc(TERMFILTER_ROOM(size) + TERMFILTER_ROOM(1));
	uint8_t *pieces = malloc(TERMFILTER_ROOM(size) + TERMFILTER_ROOM(1));

	for (int utf8 = 0; utf8 < 2; utf8++) {
		size_t n = filter(data, size, size ? size : 1, utf8, whole);

		check_output(whole, n, utf8);
		for (size_t step = 1; step < 5; step++) {
			assert(filter(data, size, step, utf8, pieces) == n);
			assert(memcmp(whole, pieces, n) == 0);
		}
	}
	free(whole);
	free(pieces);
	return 0;
}
