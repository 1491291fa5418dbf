/* Between the person's terminal and the streams of a run: what is typed is looked at for the escape
 * character, what is shown goes through the filter. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shell/escape.h"
#include "shell/termfilter.h"

struct err;
struct stream;

struct screen {
	bool raw; /* --raw-terminal: nothing is filtered */
	struct escape escape;
	/* Below: its own. */
	struct termfilter out, errs;
	struct term_modes modes; /* where there is no pty whose guard keeps them */
	bool pty;
};

/* A pty inside: both directions. After pty_save(). */
int screen_attach_pty(struct screen *s, struct stream *in, struct stream *out, struct err *err);
/* Pipes inside: of 'out' and 'errs' those that lead to a terminal; others pass byte for byte. */
int screen_attach_pipes(struct screen *s, struct stream *out, struct stream *errs, struct err *err);
/* The run has ended and all of it is written: as it was, and no answer left to be read by the shell
 * outside as if it had been typed. */
void screen_finish(struct screen *s);
