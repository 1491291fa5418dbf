#include "shell/sbxctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

static bool use_color(void)
{
	static int known = -1; /* asked once: the terminal does not change under a command */
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (known < 0)
		known = isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
	return known;
}

const char *out_on(enum out_color c)
{
	static const char *const seq[] = {
		[OUT_BOLD] = "\033[1m",    [OUT_DIM] = "\033[2m",  [OUT_GREEN] = "\033[32m",
		[OUT_YELLOW] = "\033[33m", [OUT_RED] = "\033[31m",
	};

	return use_color() ? seq[c] : "";
}

const char *out_off(void)
{
	return use_color() ? "\033[0m" : "";
}

void out_json(const json_t *j)
{
	autofree char *text = json_pretty(j);

	puts(text ? text : "null");
}

/* printf into a heap string that can do a terminal no harm; NULL when out of memory. */
__attribute__((format(printf, 1, 0))) static char *printable(const char *fmt, va_list ap)
{
	autofree char *raw = NULL;
	char *safe;
	size_t size;

	if (vasprintf(&raw, fmt, ap) < 0) {
		raw = NULL;
		return NULL;
	}
	size = 4 * strlen(raw) + 8;
	safe = malloc(size);
	if (safe)
		str_printable(raw, safe, size);
	return safe;
}

void out_pair(const char *name, const char *fmt, ...)
{
	autofree char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	value = printable(fmt, ap);
	va_end(ap);
	printf("  %s%-11s%s %s\n", out_on(OUT_DIM), name, out_off(), value ? value : "");
}

struct out_table {
	const char *const *heads;
	size_t cols, n, room;
	char **cells;
};

struct out_table *out_table_new(const char *const *heads)
{
	struct out_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->heads = heads;
	while (t->cols < OUT_COLS_MAX && heads[t->cols])
		t->cols++;
	return t;
}

void out_cell(struct out_table *t, const char *fmt, ...)
{
	va_list ap;

	if (!t)
		return;
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (!cells)
			return;
		t->cells = cells;
		t->room = room;
	}
	va_start(ap, fmt);
	t->cells[t->n++] = printable(fmt, ap);
	va_end(ap);
}

/* Characters, not bytes: names may be UTF-8. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; s && *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void print_padded(const char *s, size_t to, bool last)
{
	fputs(s ? s : "", stdout);
	if (!last)
		for (size_t w = width(s); w < to + 2; w++)
			putchar(' ');
}

void out_table_print(struct out_table *t)
{
	size_t widths[OUT_COLS_MAX] = { 0 };

	if (!t)
		return;
	for (size_t c = 0; c < t->cols; c++)
		widths[c] = width(t->heads[c]);
	for (size_t i = 0; i < t->n; i++)
		widths[i % t->cols] = MAX(widths[i % t->cols], width(t->cells[i]));
	fputs(out_on(OUT_BOLD), stdout);
	for (size_t c = 0; c < t->cols; c++)
		print_padded(t->heads[c], widths[c], c + 1 == t->cols);
	printf("%s\n", out_off());
	for (size_t i = 0; i < t->n; i++) {
		bool last = i % t->cols == t->cols - 1;

		print_padded(t->cells[i], widths[i % t->cols], last);
		if (last)
			putchar('\n');
	}
}

void out_table_free(struct out_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
