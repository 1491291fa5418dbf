/* What code inside may say to the terminal of the person outside.
 *
 * A terminal obeys what is written to it: it sets its clipboard, prints, transfers files, renames
 * its window, and *answers*: the answer arrives as if the person had typed it.  An answer that
 * carries text of the asker's choice (the title, a setting, a font) is a way to type a command into
 * the shell that sbx-shell was started from.
 *
 * The filter is a list of what may pass, not of what may not: it takes the stream apart as a
 * terminal does, and writes anew, in one spelling, the sequences that it knows and that only draw.
 * Everything else is dropped, up to its end.  So no terminal ever sees the beginning of a sequence
 * that did not pass, and it cannot matter where it would see its end.  doc/threat-model.md says
 * what passes and why. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shell/term_modes.h"

/* The most of one sequence that is kept; a longer one is dropped. */
#define TERMFILTER_HOLD 128

struct termfilter {
	int state;
	bool utf8;                /* the terminal reads UTF-8 for certain; else a character that
					 has a byte 0x80..0x9f, a control without UTF-8, becomes "?" */
	struct term_modes *modes; /* borrowed; NULL = no account is kept */
	uint64_t dropped;         /* sequences and control bytes that did not pass */
	bool asked;               /* a question passed that the terminal answers */
	uint8_t held[TERMFILTER_HOLD];
	size_t nheld;
	size_t swallowed;        /* bytes of the string that is being dropped */
	uint8_t need, low, high; /* of a character: bytes to come, range of the next one */
};

void termfilter_init(struct termfilter *f, bool utf8, struct term_modes *modes);
/* What may pass of the next 'n' bytes; 'out' has room for TERMFILTER_ROOM(n). A sequence or
 * character that is not complete is held back for the next call. Returns the length. */
#define TERMFILTER_ROOM(n) (2 * (n) + TERMFILTER_HOLD + 8)
size_t termfilter_run(struct termfilter *f, const uint8_t *in, size_t n, uint8_t *out);
/* The same as a stream_edit of shell/stream.h. */
size_t termfilter_edit(void *filter, const uint8_t *in, size_t n, uint8_t *out);
