#include "shell/term_modes.h"

#include <assert.h>
#include <string.h>

#include "base/cleanup.h"

#define ANY 2 /* terminals differ in how they begin: allowed, and left as it is */

static const struct {
	uint16_t mode;
	uint8_t first; /* how a terminal begins: 0, 1 or ANY */
} rows[] = {
	/* In the order in which they are undone: first the picture is let go, then the screen
	 * changes, and what the cursor does comes last. */
	{ 2026, 0 },                                                         /* held updates */
	{ 47, 0 },   { 1047, 0 },   { 1049, 0 },                             /* the other screen */
	{ 9, 0 },    { 1000, 0 },   { 1002, 0 },   { 1003, 0 }, { 1004, 0 }, /* mouse and focus */
	{ 1005, 0 }, { 1006, 0 },   { 1015, 0 },   { 1016, 0 },              /* how they report */
	{ 1, 0 },    { 66, 0 },     { 2004, 0 },                             /* keys, paste */
	{ 5, 0 },    { 6, 0 },      { 7, 1 },      { 45, 0 },   { 69, 0 },   /* picture */
	{ 25, 1 },   { 12, ANY },                                            /* cursor */
	{ 4, ANY },  { 1034, ANY }, { 1048, ANY },
};

static_assert(ARRAY_LEN(rows) <= 32, "a bit for each row");

static size_t row_of(unsigned mode)
{
	size_t i = 0;

	while (i < ARRAY_LEN(rows) && rows[i].mode != mode)
		i++;
	return i;
}

bool term_mode_allowed(unsigned mode)
{
	return row_of(mode) < ARRAY_LEN(rows);
}

void term_mode_note(struct term_modes *m, unsigned mode, bool on)
{
	size_t i = row_of(mode);

	if (i == ARRAY_LEN(rows) || rows[i].first == ANY)
		return;
	if (on != (rows[i].first == 1))
		m->changed |= 1u << i;
	else
		m->changed &= ~(1u << i);
}

struct text {
	char *out;
	size_t len;
};

static void add(struct text *t, const char *s)
{
	size_t n = strlen(s);

	if (t->len + n > TERM_MODES_TEXT)
		return;
	memcpy(t->out + t->len, s, n);
	t->len += n;
}

/* "CSI ? N h" or "l"; without stdio, which a signal handler may not use. */
static void add_mode(struct text *t, unsigned mode, bool on)
{
	char digits[8];
	size_t n = sizeof(digits);

	digits[--n] = '\0';
	do
		digits[--n] = (char)('0' + mode % 10);
	while ((mode /= 10) > 0);
	add(t, "\033[?");
	add(t, digits + n);
	add(t, on ? "h" : "l");
}

static void add_changed(struct text *t, const struct term_modes *m, bool undo)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (m->changed & (1u << i))
			add_mode(t, rows[i].mode, (rows[i].first == 1) == undo);
}

size_t term_modes_undo(const struct term_modes *m, char out[static TERM_MODES_TEXT])
{
	struct text t = { .out = out };

	add_changed(&t, m, true);
	if (m->margins) /* setting them moves the cursor */
		add(&t, "\0337\033[r\0338");
	if (m->insert)
		add(&t, "\033[4l");
	if (m->keypad)
		add(&t, "\033>");
	if (m->other_keys)
		add(&t, "\033[>4m");
	if (m->cursor_style)
		add(&t, "\033[0 q");
	if (m->shifted)
		add(&t, "\017");
	if (m->g0)
		add(&t, "\033(B");
	if (m->colours)
		add(&t, "\033[0m");
	return t.len;
}

size_t term_modes_again(const struct term_modes *m, char out[static TERM_MODES_TEXT])
{
	struct text t = { .out = out };

	add_changed(&t, m, false);
	if (m->keypad)
		add(&t, "\033=");
	if (m->insert)
		add(&t, "\033[4h");
	return t.len;
}
