#include "base/str.h"

#include <errno.h>

#include "tests/check.h"

static void sizes(void)
{
	uint64_t v = 7;

	CHECK_EQ(parse_size("4096", &v), 0);
	CHECK_EQ(v, 4096);
	CHECK_EQ(parse_size("64K", &v), 0);
	CHECK_EQ(v, 65536);
	CHECK_EQ(parse_size("1.5G", &v), 0);
	CHECK_EQ(v, 1610612736);
	CHECK_EQ(parse_size("2MiB", &v), 0);
	CHECK_EQ(v, 2097152);
	CHECK_EQ(parse_size("0", &v), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(parse_size("", &v), -EINVAL);
	CHECK_EQ(parse_size("-1", &v), -EINVAL);
	CHECK_EQ(parse_size("1.5", &v), -EINVAL);
	CHECK_EQ(parse_size("5X", &v), -EINVAL);
	CHECK_EQ(parse_size("5KK", &v), -EINVAL);
	CHECK_EQ(parse_size("99999999999999999999", &v), -ERANGE);
	CHECK_EQ(parse_size("8192P", &v), -ERANGE);
}

static void durations(void)
{
	uint64_t v = 7;

	CHECK_EQ(parse_duration("500ms", &v), 0);
	CHECK_EQ(v, 500);
	CHECK_EQ(parse_duration("2", &v), 0);
	CHECK_EQ(v, 2000);
	CHECK_EQ(parse_duration("1.5m", &v), 0);
	CHECK_EQ(v, 90000);
	CHECK_EQ(parse_duration("2d", &v), 0);
	CHECK_EQ(v, 172800000);
	CHECK_EQ(parse_duration("1w", &v), -EINVAL);
	CHECK_EQ(parse_duration("h", &v), -EINVAL);
	CHECK_EQ(parse_duration(" 1h", &v), -EINVAL);
}

static void formats(void)
{
	char b[24];

	format_size(104857600, b);
	CHECK_STR(b, "100M");
	format_size(1000, b);
	CHECK_STR(b, "1000");
	format_size(1610612736, b);
	CHECK_STR(b, "1.5G");
	format_duration(60000, b);
	CHECK_STR(b, "60 s");
	format_duration(500, b);
	CHECK_STR(b, "500 ms");
	format_duration(3600000, b);
	CHECK_STR(b, "1 h");
}

static void names(void)
{
	CHECK(name_is_plain("wine"));
	CHECK(name_is_plain("a.b-c_9"));
	CHECK(!name_is_plain(""));
	CHECK(!name_is_plain(".hidden"));
	CHECK(!name_is_plain("a/b"));
	CHECK(!name_is_plain("a b"));
	CHECK(path_is_clean_absolute("/"));
	CHECK(path_is_clean_absolute("/a/b..c"));
	CHECK(!path_is_clean_absolute("a"));
	CHECK(!path_is_clean_absolute("/a/"));
	CHECK(!path_is_clean_absolute("/a//b"));
	CHECK(!path_is_clean_absolute("/a/../b"));
	CHECK(!path_is_clean_absolute("/."));
}

static void printable(void)
{
	char b[64];

	str_printable("a\x1b[31mb", b, sizeof(b));
	CHECK_STR(b, "a\\x1b[31mb");
	str_printable("\xc3\xa9t\xc3\xa9", b, sizeof(b));
	CHECK_STR(b, "\xc3\xa9t\xc3\xa9");
	str_printable("\xff\xc2\x9b", b, sizeof(b));
	CHECK_STR(b, "\\xff\\xc2\\x9b");
	str_printable("abcdef", b, 8);
	CHECK_STR(b, "abc");
}

static void hex(void)
{
	uint8_t p[2];
	char s[5];

	CHECK_EQ(hex_decode("0aFf", p, 2), 0);
	hex_encode(p, 2, s);
	CHECK_STR(s, "0aff");
	CHECK_EQ(hex_decode("0aF", p, 2), -EINVAL);
	CHECK_EQ(hex_decode("0agf", p, 2), -EINVAL);
}

int main(void)
{
	sizes();
	durations();
	formats();
	names();
	printable();
	hex();
	return check_report();
}
