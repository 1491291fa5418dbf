/* Keys that are for sbx-shell and not for what runs inside: as with ssh(1), a line that begins with
 * the escape character.  They work also when nothing inside listens any more. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define ESCAPE_NONE (-1)

enum escape_order {
	ESCAPE_PASS,    /* nothing */
	ESCAPE_END,     /* ~.  */
	ESCAPE_SUSPEND, /* ~^Z */
	ESCAPE_HELP,    /* ~?  */
};

struct escape {
	int key; /* ESCAPE_NONE: all bytes pass */
	bool line_start, begun;
	enum escape_order order; /* the last; whoever carries it out sets ESCAPE_PASS */
};

/* "none", one character, or "^" and a letter. NULL is "~". */
int escape_init(struct escape *e, const char *text, struct err *err);
/* A stream_edit (shell/stream.h) for what is typed. */
size_t escape_edit(void *escape, const uint8_t *in, size_t n, uint8_t *out);
/* What the keys are, for a terminal in raw mode. */
void escape_help(const struct escape *e, char *out, size_t size);
/* "~." as one types it; "" when there is none. */
void escape_name(const struct escape *e, char out[static 4]);
