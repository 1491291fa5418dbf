#include "shell/screen.h"

#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "shell/pty.h"
#include "shell/stream.h"

/* A terminal answers at once; one at the end of a long line is given this long. */
#define ANSWER_MS 150

int screen_attach_pty(struct screen *s, struct stream *in, struct stream *out, struct err *err)
{
	int r = stream_set_edit(in, escape_edit, &s->escape, err);

	s->pty = true;
	if (r < 0 || s->raw)
		return r;
	termfilter_init(&s->out, pty_is_utf8(STDOUT_FILENO), pty_modes());
	return stream_set_edit(out, termfilter_edit, &s->out, err);
}

int screen_attach_pipes(struct screen *s, struct stream *out, struct stream *errs, struct err *err)
{
	int r = 0;

	if (s->raw)
		return 0;
	if (out->dst_tty) {
		termfilter_init(&s->out, pty_is_utf8(STDOUT_FILENO), &s->modes);
		r = stream_set_edit(out, termfilter_edit, &s->out, err);
	}
	if (r == 0 && errs->dst_tty) {
		termfilter_init(&s->errs, pty_is_utf8(STDERR_FILENO), &s->modes);
		r = stream_set_edit(errs, termfilter_edit, &s->errs, err);
	}
	if (out->dst_tty && errs->dst_tty) {
		out->beside = errs;
		errs->beside = out;
	}
	return r;
}

/* What a program asked last, and did not wait for. */
static void discard_answers(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char answer[256];

	while (poll(&p, 1, ANSWER_MS) == 1 && (p.revents & POLLIN))
		if (read(STDIN_FILENO, answer, sizeof(answer)) <= 0)
			return;
}

void screen_finish(struct screen *s)
{
	char text[TERM_MODES_TEXT];
	size_t n;

	if (s->raw)
		return;
	if (s->pty) {
		if (s->out.asked && pty_foreground(STDIN_FILENO))
			discard_answers();
		return;
	}
	n = term_modes_undo(&s->modes, text);
	if (n)
		fd_write_full(isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO, text, n);
}
