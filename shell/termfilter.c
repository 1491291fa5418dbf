#include "shell/termfilter.h"

#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "shell/stream.h"

#define ESC 0x1b
#define BEL 0x07
#define CAN 0x18
#define SUB 0x1a

/* A string that never ends must not swallow the session: what comes later is text, no more. */
#define STRING_MAX (1u << 20)

static_assert(TERMFILTER_ROOM(1) <= STREAM_EDIT_ROOM(1), "a stream has room for what comes out");

enum {
	GROUND,
	CHARACTER, /* in a UTF-8 character */
	ESCAPE,
	ESCAPE_MORE, /* ESC and intermediates, in 'held' */
	CSI,         /* parameters and intermediates, in 'held' */
	CSI_DROP,
	OSC,     /* its first bytes in 'held' */
	STRING,  /* DCS, SOS, PM, APC, a title of screen(1) */
	PALETTE, /* Linux console: "ESC ] P" and seven digits, without an end */
};

struct sink {
	uint8_t *out;
	size_t len;
};

static void put(struct sink *s, const void *p, size_t n)
{
	memcpy(s->out + s->len, p, n);
	s->len += n;
}

static void put_byte(struct sink *s, uint8_t c)
{
	s->out[s->len++] = c;
}

void termfilter_init(struct termfilter *f, bool utf8, struct term_modes *modes)
{
	*f = (struct termfilter){ .state = GROUND, .utf8 = utf8, .modes = modes };
}

static void enter(struct termfilter *f, int state)
{
	f->state = state;
	f->nheld = 0;
	f->swallowed = 0;
}

static void drop(struct termfilter *f)
{
	f->dropped++;
	enter(f, GROUND);
}

/* Those that move the cursor or ring pass. Not: ENQ, which is answered; XON and XOFF; the shifts of
 * other alphabets pass, for line drawing. */
static void control(struct termfilter *f, uint8_t c, struct sink *s)
{
	if ((c >= BEL && c <= 0x0f)) {
		if (f->modes && (c == 0x0e || c == 0x0f))
			f->modes->shifted = c == 0x0e;
		put_byte(s, c);
	} else {
		f->dropped++;
	}
}

/* The numbers of "CSI ? 1 ; 2004 h", of which those not allowed are left out. */
static void private_modes(struct termfilter *f, bool on, struct sink *s)
{
	size_t at = 1, written = 0;

	while (at < f->nheld) {
		unsigned n = 0;
		size_t begin = at, len;

		for (; at < f->nheld && f->held[at] >= '0' && f->held[at] <= '9'; at++)
			n = n < 100000 ? n * 10 + (f->held[at] - '0') : n;
		len = at - begin;
		if (at < f->nheld && f->held[at] != ';') {
			f->dropped++; /* not a list of numbers */
			break;
		}
		at++;
		if (len == 0 || len > 8 || !term_mode_allowed(n)) {
			f->dropped++;
			continue;
		}
		put(s, written ? ";" : "\033[?", written ? 1 : 3);
		put(s, f->held + begin, len);
		written++;
		if (f->modes)
			term_mode_note(f->modes, n, on);
	}
	if (written)
		put_byte(s, on ? 'h' : 'l');
}

/* Is what is held (parameters) exactly one of these, separated by blanks? */
static bool held_is(const struct termfilter *f, const char *list)
{
	while (*list) {
		size_t n = strcspn(list, " ");

		if (n == f->nheld && !memcmp(list, f->held, n))
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

/* What may pass, by private prefix and intermediate; those with a say of their own follow below.
 *   CSI c, > c, 5 n, 6 n, ? 6 n, $ p, ? $ p, > q, 14 t, 16 t, 18 t are questions whose answers are
 *   numbers, or the terminal's own name: full-screen programs need them. */
static const struct {
	char prefix, inter;
	const char *finals;
} passing[] = {
	{ 0, 0, "@ABCDEFGHIJKLMPSTXZ`abdefgmrsu" },
	{ '?', 0, "JKmc" },
	{ '>', 0, "cmq" },
	{ 0, ' ', "q@A" },
	{ 0, '!', "p" },
	{ 0, '"', "q" },
	{ 0, '$', "prtvxz{" },
	{ '?', '$', "p" },
	{ 0, '\'', "}~" },
};

static bool csi_passes(const struct termfilter *f, uint8_t prefix, uint8_t inter, uint8_t final)
{
	if (!prefix && !inter) {
		switch (final) {
		case 'c':
			return held_is(f, "0") || f->nheld == 0;
		case 'n':
			return held_is(f, "5 6");
		case 't':
			return held_is(f, "14 16 18");
		case 'h':
		case 'l': /* insert, and what terminfo has for the cursor */
			return held_is(f, "4 34");
		default:
			break;
		}
	}
	if (prefix == '?' && !inter && final == 'n')
		return held_is(f, "?6");
	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		if (passing[i].prefix == (char)prefix && passing[i].inter == (char)inter)
			return strchr(passing[i].finals, final) != NULL;
	return false;
}

static bool is_question(uint8_t prefix, uint8_t inter, uint8_t final)
{
	return final == 'n' || final == 't' || (final == 'c' && prefix != '?') ||
	       (final == 'p' && inter == '$') || (final == 'q' && prefix == '>');
}

static void csi_note(struct termfilter *f, uint8_t prefix, uint8_t inter, uint8_t final)
{
	struct term_modes *m = f->modes;

	f->asked |= is_question(prefix, inter, final);
	if (!m)
		return;
	if (final == 'm' && !prefix)
		m->colours = !(f->nheld == 0 || held_is(f, "0 00"));
	else if (final == 'm' && prefix == '>')
		m->other_keys = true;
	else if (final == 'q' && inter == ' ')
		m->cursor_style = f->nheld > 1 && f->held[0] != '0';
	else if (final == 'r' && !inter)
		m->margins = f->nheld > 0;
	else if ((final == 'h' || final == 'l') && held_is(f, "4"))
		m->insert = final == 'h';
}

static void csi_end(struct termfilter *f, uint8_t final, struct sink *s)
{
	uint8_t prefix = 0, inter = 0;
	size_t n = f->nheld;

	if (n && f->held[0] >= '<' && f->held[0] <= '?')
		prefix = f->held[0];
	if (n && f->held[n - 1] < '0')
		inter = f->held[--n];
	/* Parameters only between the two. */
	for (size_t i = prefix != 0; i < n; i++)
		if (f->held[i] < '0' || f->held[i] > ';') {
			drop(f);
			return;
		}
	if (prefix == '?' && !inter && (final == 'h' || final == 'l')) {
		private_modes(f, final == 'h', s);
	} else if (csi_passes(f, prefix, inter, final)) {
		csi_note(f, prefix, inter, final);
		put(s, "\033[", 2);
		put(s, f->held, f->nheld);
		put_byte(s, final);
	} else {
		f->dropped++;
	}
	enter(f, GROUND);
}

/* False: the byte does not belong to the sequence any more. */
static bool in_csi(struct termfilter *f, uint8_t c, struct sink *s)
{
	if (c >= 0x40 && c <= 0x7e) {
		if (f->state == CSI)
			csi_end(f, c, s);
		else
			drop(f);
	} else if (c >= 0x20 && c <= 0x3f) {
		if (f->nheld == sizeof(f->held))
			f->state = CSI_DROP;
		else if (f->state == CSI)
			f->held[f->nheld++] = c;
	} else if (c < 0x20) {
		control(f, c, s); /* obeyed in the middle, as terminals do */
	} else if (c >= 0x80) {
		drop(f);
		return false;
	}
	return true;
}

/* The whole of ESC and one byte. */
static void escape_final(struct termfilter *f, uint8_t c, struct sink *s)
{
	enter(f, GROUND);
	if (!strchr("78=>DEHMNOc69no|}~", c)) {
		f->dropped++;
		return;
	}
	if (f->modes && (c == '=' || c == '>'))
		f->modes->keypad = c == '=';
	if (f->modes && c == 'c')
		*f->modes = (struct term_modes){ 0 };
	if (f->modes && (c == 'n' || c == 'o'))
		f->modes->shifted = true;
	put_byte(s, ESC);
	put_byte(s, c);
}

/* Character sets, and the sizes of lines. Not "ESC %", with which a terminal leaves UTF-8, and
 * would then read controls in the middle of characters; not "ESC SP", which widens the controls. */
static void escape_more(struct termfilter *f, uint8_t c, struct sink *s)
{
	uint8_t inter = f->held[0];
	bool sets = strchr("()*+-./", inter) && c >= 0x30;
	bool lines = inter == '#' && strchr("34568", c);

	if (f->nheld == 1 && (sets || lines)) {
		if (f->modes && inter == '(')
			f->modes->g0 = c != 'B';
		put_byte(s, ESC);
		put_byte(s, inter);
		put_byte(s, c);
		enter(f, GROUND);
	} else {
		drop(f);
	}
}

static bool in_escape(struct termfilter *f, uint8_t c, struct sink *s)
{
	if (c < 0x20) {
		control(f, c, s);
		return true;
	}
	if (c >= 0x7f) {
		bool again = c > 0x7f;

		if (again)
			drop(f);
		return !again;
	}
	if (c <= 0x2f) {
		if (f->nheld < 2)
			f->held[f->nheld++] = c;
		f->state = ESCAPE_MORE;
	} else if (f->state == ESCAPE_MORE) {
		escape_more(f, c, s);
	} else if (c == '[') {
		enter(f, CSI);
	} else if (c == ']') {
		enter(f, OSC);
	} else if (strchr("PX^_k", c)) {
		enter(f, STRING);
	} else {
		escape_final(f, c, s);
	}
	return true;
}

/* Of all commands to the operating system only these pass: which colours are there?  Answered with
 * numbers, and programs choose readable colours by them. */
static void osc_end(struct termfilter *f, struct sink *s)
{
	if (f->swallowed == f->nheld && held_is(f, "10;? 11;? 12;?")) {
		f->asked = true;
		put(s, "\033]", 2);
		put(s, f->held, f->nheld);
		put(s, "\033\\", 2);
	} else {
		f->dropped++;
	}
	enter(f, GROUND);
}

static bool in_string(struct termfilter *f, uint8_t c, struct sink *s)
{
	bool osc = f->state == OSC;

	if (f->state == PALETTE) {
		bool digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');

		if (!digit || ++f->swallowed == 7)
			drop(f);
		return digit;
	}
	/* CAN, SUB: broken off. A new line ends a command that a program has left open. */
	if (c == CAN || c == SUB || f->swallowed > STRING_MAX ||
	    (osc && (c == '\n' || c == '\r'))) {
		drop(f);
		return c == CAN || c == SUB;
	}
	if ((osc && c == BEL) || (!f->utf8 && c == 0x9c)) {
		if (osc)
			osc_end(f, s);
		else
			drop(f);
		return true;
	}
	if (osc && f->swallowed == 0 && c == 'P') {
		enter(f, PALETTE);
		return true;
	}
	if (osc && f->swallowed == 0 && c == 'R') {
		drop(f);
		return true;
	}
	f->swallowed++;
	if (osc && f->nheld < 8)
		f->held[f->nheld++] = c;
	return true;
}

/* ESC ends whatever was begun. If it was an allowed command, it ends properly if "\" follows; that
 * alone then ends nothing, and is dropped. */
static void on_esc(struct termfilter *f, struct sink *s)
{
	if (f->state == OSC)
		osc_end(f, s);
	else if (f->state != GROUND)
		f->dropped++;
	enter(f, ESCAPE);
}

/* An 8-bit control, as one byte or as the character U+0080..U+009F, is the same as ESC and the
 * letter 0x40 below it. */
static void c1(struct termfilter *f, uint8_t c, struct sink *s)
{
	enter(f, ESCAPE);
	in_escape(f, c - 0x40, s);
}

/* The first byte of a character. The ranges leave out the spellings that are too long: a lax
 * terminal would read a control in them. */
static bool begin_character(struct termfilter *f, uint8_t c)
{
	if (c < 0xc2 || c > 0xf4)
		return false;
	f->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	f->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	f->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	enter(f, CHARACTER);
	f->held[f->nheld++] = c;
	return true;
}

/* The bytes of a character that is none: what a terminal without UTF-8 shows as a letter passes to
 * that. */
static void broken_character(struct termfilter *f, struct sink *s)
{
	if (f->utf8)
		put_byte(s, '?');
	for (size_t i = 0; i < f->nheld && !f->utf8; i++)
		put_byte(s, f->held[i] >= 0xa0 ? f->held[i] : '?');
	enter(f, GROUND);
}

/* Would a terminal without UTF-8 find a control in it? */
static bool hides_control(const struct termfilter *f)
{
	for (size_t i = 1; i < f->nheld; i++)
		if (f->held[i] < 0xa0)
			return true;
	return false;
}

static bool in_character(struct termfilter *f, uint8_t c, struct sink *s)
{
	if (c < f->low || c > f->high) {
		broken_character(f, s);
		return false;
	}
	f->held[f->nheld++] = c;
	f->low = 0x80;
	f->high = 0xbf;
	if (--f->need)
		return true;
	if (f->held[0] == 0xc2 && c < 0xa0) {
		c1(f, c, s);
		return true;
	}
	if (f->utf8 || !hides_control(f))
		put(s, f->held, f->nheld);
	else
		put_byte(s, '?');
	enter(f, GROUND);
	return true;
}

static void in_ground(struct termfilter *f, uint8_t c, struct sink *s)
{
	if (c < 0x20)
		control(f, c, s);
	else if (c < 0x7f)
		put_byte(s, c);
	else if (c == 0x7f)
		f->dropped++;
	else if (begin_character(f, c))
		return;
	else if (f->utf8)
		put_byte(s, '?');
	else if (c < 0xa0)
		c1(f, c, s);
	else
		put_byte(s, c);
}

/* One byte; what a state does not want is looked at again, from the ground. */
static void step(struct termfilter *f, uint8_t c, struct sink *s)
{
	bool taken = true;

	if (f->state == CHARACTER) {
		taken = in_character(f, c, s);
	} else if (c == ESC) {
		on_esc(f, s);
		return;
	} else if ((c == CAN || c == SUB) && f->state != GROUND) {
		drop(f);
		return;
	} else if (f->state == ESCAPE || f->state == ESCAPE_MORE) {
		taken = in_escape(f, c, s);
	} else if (f->state == CSI || f->state == CSI_DROP) {
		taken = in_csi(f, c, s);
	} else if (f->state != GROUND) {
		taken = in_string(f, c, s);
	} else {
		in_ground(f, c, s);
	}
	if (!taken)
		step(f, c, s);
}

size_t termfilter_run(struct termfilter *f, const uint8_t *in, size_t n, uint8_t *out)
{
	struct sink s = { .out = out };

	for (size_t i = 0; i < n; i++) {
		/* Plain text, most of all there is. */
		if (f->state == GROUND && in[i] >= 0x20 && in[i] < 0x7f)
			out[s.len++] = in[i];
		else
			step(f, in[i], &s);
	}
	return s.len;
}

size_t termfilter_edit(void *filter, const uint8_t *in, size_t n, uint8_t *out)
{
	return termfilter_run(filter, in, n, out);
}
