/* What a program has changed of the terminal beyond its termios: modes, cursor, margins, character
 * sets.  The filter (shell/termfilter.h) keeps the account; whoever gives the terminal back writes
 * what undoes it.
 *
 * Plain data without pointers, so that it can lie in memory that is shared with the guard of the
 * terminal (shell/pty.h), which survives a SIGKILL of the supervisor. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct term_modes {
	uint32_t changed;    /* bit i: row i of the table is not as a terminal begins */
	bool insert, keypad; /* CSI 4 h; ESC = */
	bool cursor_style, other_keys, margins, colours, shifted;
	bool g0; /* another character set than ASCII */
};

/* May a program set or reset this DEC private mode ("CSI ? N h")?  Those not listed report things
 * unasked, resize the window, or stay for good. */
bool term_mode_allowed(unsigned mode);
void term_mode_note(struct term_modes *m, unsigned mode, bool on);

/* Enough for all of it. */
#define TERM_MODES_TEXT 512
/* The sequences that undo every change, or (term_modes_again) make them again after a pause.
 * Returns the length; 0 when nothing was changed.  Async-signal-safe. */
size_t term_modes_undo(const struct term_modes *m, char out[static TERM_MODES_TEXT]);
size_t term_modes_again(const struct term_modes *m, char out[static TERM_MODES_TEXT]);
