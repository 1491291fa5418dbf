#include "shell/escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define CTRL(c) ((c)&0x1f)

int escape_init(struct escape *e, const char *text, struct err *err)
{
	*e = (struct escape){ .key = '~', .line_start = true };
	if (!text)
		return 0;
	if (!strcmp(text, "none"))
		e->key = ESCAPE_NONE;
	else if (text[0] > ' ' && text[0] < 0x7f && !text[1])
		e->key = (unsigned char)text[0];
	else if (text[0] == '^' && text[1] >= '@' && text[1] < 0x7f && !text[2])
		e->key = CTRL(text[1]);
	else
		return err_set(err, -EINVAL,
			       "--escape: '%s' is not one character, ^ and a letter, or none.",
			       text);
	return 0;
}

void escape_name(const struct escape *e, char out[static 4])
{
	if (e->key == ESCAPE_NONE)
		out[0] = '\0';
	else
		snprintf(out, 4, "%s%c", e->key < ' ' ? "^" : "",
			 e->key < ' ' ? e->key + '@' : e->key);
}

void escape_help(const struct escape *e, char *out, size_t size)
{
	char k[4];

	escape_name(e, k);
	snprintf(out, size,
		 "\r\n"
		 "  %s.    end the session and everything inside\r\n"
		 "  %s^Z   stop sbx-shell; 'fg' comes back to it\r\n"
		 "  %s%s    type %s\r\n"
		 "  %s?    this list\r\n"
		 "(at the beginning of a line)\r\n",
		 k, k, k, k, k, k);
}

static enum escape_order order_of(uint8_t c)
{
	switch (c) {
	case '.':
		return ESCAPE_END;
	case CTRL('Z'):
		return ESCAPE_SUSPEND;
	case '?':
		return ESCAPE_HELP;
	default:
		return ESCAPE_PASS;
	}
}

/* The character after the escape character. */
static size_t second(struct escape *e, uint8_t c, uint8_t *out)
{
	size_t n = 0;

	e->begun = false;
	e->order = order_of(c);
	if (e->order != ESCAPE_PASS) {
		e->line_start = true;
		return 0;
	}
	out[n++] = (uint8_t)e->key;
	if ((int)c != e->key)
		out[n++] = c;
	e->line_start = c == '\r' || c == '\n';
	return n;
}

size_t escape_edit(void *escape, const uint8_t *in, size_t n, uint8_t *out)
{
	struct escape *e = escape;
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (e->begun) {
			len += second(e, in[i], out + len);
			/* What was typed after the end is for the shell outside, or for nobody. */
			if (e->order == ESCAPE_END)
				break;
			continue;
		}
		if (e->line_start && (int)in[i] == e->key) {
			e->begun = true;
			continue;
		}
		e->line_start = in[i] == '\r' || in[i] == '\n' || in[i] == CTRL('C');
		out[len++] = in[i];
	}
	return len;
}
