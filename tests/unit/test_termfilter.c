#include "shell/termfilter.h"

#include <string.h>

#include "base/cleanup.h"
#include "tests/check.h"

#define E "\033"

static struct term_modes modes;

/* What comes out of 'text', given in pieces of 'step' bytes. */
static size_t run(const char *text, size_t len, size_t step, bool utf8, uint8_t *out)
{
	struct termfilter f;
	size_t n = 0;

	modes = (struct term_modes){ 0 };
	termfilter_init(&f, utf8, &modes);
	for (size_t i = 0; i < len; i += step)
		n += termfilter_run(&f, (const uint8_t *)text + i, MIN(step, len - i), out + n);
	return n;
}

static const struct {
	const char *in, *out;
} utf8_rows[] = {
	/* Text, the controls of text, colours, the cursor, the screen. */
	{ "plain\r\n\ttext\b\a", "plain\r\n\ttext\b\a" },
	{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ E "[1;31mred" E "[0m" E "[38;2;1;2;3m" E "[4:3m",
	  E "[1;31mred" E "[0m" E "[38;2;1;2;3m" E "[4:3m" },
	{ E "[2J" E "[H" E "[10;20H" E "[K" E "[3A" E "[2;24r" E "[5@",
	  E "[2J" E "[H" E "[10;20H" E "[K" E "[3A" E "[2;24r" E "[5@" },
	{ E "7" E "8" E "=" E ">" E "M" E "c" E "D", E "7" E "8" E "=" E ">" E "M" E "c" E "D" },
	{ E "(0lqk" E "(B\016\017" E "#8", E "(0lqk" E "(B\016\017" E "#8" },
	{ E "[?1049h" E "[?25l" E "[?2004h", E "[?1049h" E "[?25l" E "[?2004h" },
	{ E "[4h" E "[34l" E "[!p" E "[2 q" E "[>4;2m",
	  E "[4h" E "[34l" E "[!p" E "[2 q" E "[>4;2m" },
	/* Controls in the middle of a sequence are obeyed first. */
	{ E "[3\n1m", "\n" E "[31m" },
	/* Questions that full-screen programs ask, answered with numbers. */
	{ E "[c" E "[0c" E "[>c" E "[6n" E "[5n" E "[?6n" E "[?2026$p" E "[18t",
	  E "[c" E "[0c" E "[>c" E "[6n" E "[5n" E "[?6n" E "[?2026$p" E "[18t" },
	{ E "]11;?" E "\\" E "]10;?\a.", E "]11;?" E "\\" E "]10;?" E "\\." },
	/* Clipboard, title, icon, directory, links, notices, files, colours of the terminal. */
	{ "a" E "]52;c;cm0gLXJmIC8=\ab", "ab" },
	{ "a" E "]52;c;cm0gLXJmIC8=" E "\\b", "ab" },
	{ "a" E "]0;title\ab" E "]1;i\ac" E "]2;t" E "\\d", "abcd" },
	{ E "]7;file://h/p\a" E "]8;;http://x/" E "\\link" E "]8;;" E "\\", "link" },
	{ E "]9;hello\a" E "]777;notify;a;b\a" E "]1337;File=:QUJD\a" E "]50;?\a.", "." },
	{ E "]4;1;?\a" E "]4;1;#ff0000\a" E "]10;#fff\a" E "]104\a.", "." },
	{ E "]11;?;?\a" E "]11;? \a" E "]011;?\a" E "];\a" E "]\a.", "." },
	{ E "]Pabcdef0." E "]R.", ".." },
	/* Answers with text of the asker's choice; the screen as an answer. */
	{ E "[21t" E "[20t" E "[22;2t" E "[8;1;1t" E "[3;0;0t.", "." },
	{ E "P$q\"p" E "\\" E "P+q544e" E "\\.", "." },
	{ "\005" E "Z" E "[=c" E "[x" E "[1;1;1;1;1;1*y" E "[1$w" E "[?u" E "[?26n.", "." },
	/* Printing, keys, files, tunnels. */
	{ E "[5i" E "[?5i" E "[4i" E "_Gf=24;AAAA" E "\\" E "^pm" E "\\" E "Xsos" E "\\.", "." },
	{ E "P1;1|17/6c73" E "\\" E "P0;0;0q#0~~" E "\\" E "kname" E "\\.", "." },
	{ E "Ptmux;" E E "]52;c;AAAA\a" E "\\.", "." },
	/* Modes that lock keys, resize, report by themselves; the others of the list stay. */
	{ E "[2h" E "[12l" E "[20h" E "[?3h" E "[?40h" E "[?1001h" E "[?2031h" E "[?2048h.", "." },
	{ E "[?3;25;2031;7h.", E "[?25;7h." },
	{ E "[?25;h" E "[?;h" E "[?2 h" E "[?25:1h.", E "[?25h." },
	{ E "[62\"p" E " G" E "%@" E "%G" E "[>1u" E "[1#|" E "[1;2;3*|.", "." },
	/* Eight-bit controls as characters; spellings too long; halves. */
	{ "a\xc2\x9b"
	  "31mb\xc2\x9d"
	  "0;x\a.",
	  "a" E "[31mb." },
	{ "a\x9b"
	  "31m\x9d.",
	  "a?31m?." },
	{ "\xc0\x9b"
	  "c\xe0\x82\x9b"
	  "c\xed\xa0\x80\xf5.",
	  "??c???c????." },
	{ "\xe2\x82" E "[0m\xe2.", "?" E "[0m?." },
	/* Cut short, begun anew, nested, bytes that belong nowhere. */
	{ E E "[31m" E "[3" E "[32m", E "[31m" E "[32m" },
	{ E "[31\030m" E "]0;a\032b" E "P\030c", "mbc" },
	{ E "]0;never ended\r\nnext", "\r\nnext" },
	{ E "[3\x80m." E "\xc3\xa4" E "[\xc3\xa4", "?m.\xc3\xa4\xc3\xa4" },
	{ "\x7f\x00", "" },
	{ E "[<u" E "[1!q" E "[1 !p" E "[1 2q" E "[1?2h.", "." },
	{ E "\\" E "]52;c;" E "[31m.", E "[31m." },
};

static void test_rows(void)
{
	uint8_t out[TERMFILTER_ROOM(512)];

	for (size_t i = 0; i < ARRAY_LEN(utf8_rows); i++) {
		const char *in = utf8_rows[i].in, *want = utf8_rows[i].out;

		/* However it arrives. */
		for (size_t step = 1; step <= strlen(in); step++) {
			size_t n = run(in, strlen(in), step, true, out);

			if (n != strlen(want) || memcmp(out, want, n) != 0)
				fprintf(stderr, "row %zu, in pieces of %zu: %.*s\n", i, step,
					(int)n, out);
			CHECK_EQ(n, strlen(want));
			CHECK_MEM(out, want, MIN(n, strlen(want)));
		}
	}
}

/* A terminal that may not read UTF-8 obeys one-byte controls, also amid what is a character. */
static void test_eight_bit(void)
{
	uint8_t out[TERMFILTER_ROOM(64)];
	const char in[] = "\x9b"
			  "31m\xe4\x9d"
			  "52;c;AAAA\x9c.\xc3\x9b"
			  "21t\x90$qm\x9c.\x85gr\xfc\xdf \xc3\xbc\xe2\x94\x80\xe4\xbd.";
	const char want[] = E "[31m\xe4?52;c;AAAA.?21t." E "Egr\xfc\xdf \xc3\xbc?\xe4\xbd.";

	for (size_t step = 1; step < sizeof(in); step++) {
		size_t n = run(in, sizeof(in) - 1, step, false, out);

		CHECK_EQ(n, sizeof(want) - 1);
		CHECK_MEM(out, want, MIN(n, sizeof(want) - 1));
	}
}

/* Memory stays what it is: long sequences and strings are dropped, and text comes after them. */
static void test_long(void)
{
	static char in[3 << 20];
	static uint8_t out[TERMFILTER_ROOM(sizeof(in))];
	size_t n = 0;

	n = (size_t)sprintf(in, E "[");
	memset(in + n, '1', 5000);
	n += 5000;
	n += (size_t)sprintf(in + n, "m." E "P");
	memset(in + n, 'x', 1 << 19);
	n += 1 << 19;
	n += (size_t)sprintf(in + n, E "\\.");
	CHECK_EQ(run(in, n, 7, true, out), 2);
	CHECK_MEM(out, "..", 2);
	/* A string without an end swallows a megabyte and no more. */
	n = (size_t)sprintf(in, E "_");
	memset(in + n, 'y', 2 << 20);
	n += 2 << 20;
	n = run(in, n, 4096, true, out);
	CHECK(n > 1000000 && n < 1100000);
}

static void test_account(void)
{
	uint8_t out[TERMFILTER_ROOM(256)];
	char undo[TERM_MODES_TEXT];
	const char *all = E "[?1049h" E "[?1;1006;1002;2004h" E "[?25l" E "[?7l" E "=" E "[1;31m" E
			    "[2;5r" E "[4 q" E "[>4;2m" E "(0\016" E "[4h";
	const char *want =
		E "[?1049l" E "[?1002l" E "[?1006l" E "[?1l" E "[?2004l" E "[?7h" E "[?25h" E "7" E
		  "[r" E "8" E "[4l" E ">" E "[>4m" E "[0 q\017" E "(B" E "[0m";
	const char *clean = E "[?1049h" E "[?25l" E "[?25h" E "[?1049l" E "=" E ">" E "[1m" E "[m" E
			      "[2;5r" E "[r" E "(0" E "(B\016\017" E "[2 q" E "[0 q";
	size_t n;

	run(all, strlen(all), 3, true, out);
	n = term_modes_undo(&modes, undo);
	CHECK_EQ(n, strlen(want));
	CHECK_MEM(undo, want, MIN(n, strlen(want)));
	n = term_modes_again(&modes, undo);
	CHECK(n > 7 && !memcmp(undo, E "[?1049h", 8));
	run(clean, strlen(clean), 1, true, out);
	CHECK_EQ(term_modes_undo(&modes, undo), 0);
	/* What begins anew has nothing to undo. */
	run(E "[?1049h" E "[31m" E "c", 16, 16, true, out);
	CHECK_EQ(term_modes_undo(&modes, undo), 0);
	/* Everything at once has room. */
	modes = (struct term_modes){
		.changed = 0x1fffff,
		.insert = true,
		.keypad = true,
		.cursor_style = true,
		.other_keys = true,
		.margins = true,
		.colours = true,
		.shifted = true,
		.g0 = true,
	};
	n = term_modes_undo(&modes, undo);
	CHECK(n > 100 && n < TERM_MODES_TEXT - 16);
}

int main(void)
{
	test_rows();
	test_eight_bit();
	test_long();
	test_account();
	return check_report();
}
