#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

int parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!s || !*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

/* Read "123.456" into whole and millionths; *end is left behind the number. */
static int parse_fraction(const char *s, const char **end, uint64_t *whole, uint64_t *micro)
{
	uint64_t v = 0, f = 0, scale = 100000;
	bool digits = false;

	for (; *s >= '0' && *s <= '9'; s++, digits = true)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	if (*s == '.') {
		if (!digits)
			return -EINVAL;
		s++;
		if (*s < '0' || *s > '9')
			return -EINVAL;
		for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
			f += (uint64_t)(*s - '0') * scale;
	}
	if (!digits)
		return -EINVAL;
	*end = s;
	*whole = v;
	*micro = f;
	return 0;
}

static int scale_fraction(uint64_t whole, uint64_t micro, uint64_t unit, uint64_t *ret)
{
	__uint128_t v = (__uint128_t)whole * unit + (__uint128_t)micro * unit / 1000000;

	if (v > INT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
	static const char units[] = "KMGTP";
	uint64_t whole, micro, unit = 1;
	const char *end, *u;
	int r;

	if (!s)
		return -EINVAL;
	r = parse_fraction(s, &end, &whole, &micro);
	if (r < 0)
		return r;
	if (*end && (u = strchr(units, *end & ~0x20)) != NULL && *u) {
		unit = 1ull << (10 * (u - units + 1));
		end++;
		if (!strcmp(end, "iB") || !strcmp(end, "B"))
			end += strlen(end);
	} else if (!strcmp(end, "B")) {
		end++;
	}
	if (*end || (unit == 1 && micro))
		return -EINVAL;
	return scale_fraction(whole, micro, unit, ret_bytes);
}

int parse_duration(const char *s, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "", 1000 },   { "ms", 1 },      { "s", 1000 },
		{ "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	uint64_t whole, micro;
	const char *end;
	int r;

	if (!s)
		return -EINVAL;
	r = parse_fraction(s, &end, &whole, &micro);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (!strcmp(end, units[i].name))
			return scale_fraction(whole, micro, units[i].ms, ret_ms);
	return -EINVAL;
}

int parse_milli(const char *s, uint64_t *ret_milli)
{
	uint64_t whole, micro;
	const char *end;
	int r;

	if (!s)
		return -EINVAL;
	r = parse_fraction(s, &end, &whole, &micro);
	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	return scale_fraction(whole, micro, 1000, ret_milli);
}

void format_size(uint64_t bytes, char out[static 24])
{
	static const char units[] = "KMGTP";
	int i = -1;
	double v = (double)bytes;

	while (v >= 1024 && i < 4) {
		v /= 1024;
		i++;
	}
	if (i < 0)
		snprintf(out, 24, "%llu", (unsigned long long)bytes);
	else if (v == (double)(uint64_t)v)
		snprintf(out, 24, "%.0f%c", v, units[i]);
	else
		snprintf(out, 24, "%.1f%c", v, units[i]);
}

void format_duration(uint64_t ms, char out[static 24])
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (ms >= units[i].ms && ms % units[i].ms == 0) {
			/* 60 s reads better than 1 min, 90 s better than 1.5 min */
			if (units[i].ms > 1000 && ms < 2 * units[i].ms && units[i].ms == 60000)
				continue;
			snprintf(out, 24, "%llu %s", (unsigned long long)(ms / units[i].ms),
				 units[i].name);
			return;
		}
	if (ms > 10000)
		snprintf(out, 24, "%.1f s", (double)ms / 1000);
	else
		snprintf(out, 24, "%llu ms", (unsigned long long)ms);
}

bool name_is_plain(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++) {
		char c = s[n];
		bool alnum =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (n >= 64 || !(alnum || (n > 0 && (c == '.' || c == '_' || c == '-'))))
			return false;
	}
	return n > 0;
}

bool path_is_clean_absolute(const char *s)
{
	size_t len = strlen(s);

	if (s[0] != '/' || len >= PATH_MAX || (len > 1 && s[len - 1] == '/'))
		return false;
	for (const char *p = s; (p = strchr(p, '/')) != NULL; p++) {
		size_t n = strcspn(p + 1, "/");

		if (len > 1 && n == 0)
			return false;
		if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
			return false;
	}
	return true;
}

char *str_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return s;
}

/* Length of the valid UTF-8 sequence at p, 0 if none (overlong forms and surrogates refused). */
static size_t utf8_len(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0))
			return 0;
		return 3;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
			return 0;
		return 4;
	}
	return 0;
}

void str_printable(const char *s, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t o = 0;

	while (*p && o + 5 < size) {
		size_t n = utf8_len(p);
		/* C1 controls (U+0080..U+009F) drive terminals too */
		bool c1 = n == 2 && p[0] == 0xc2 && p[1] < 0xa0;

		if (n == 0 || c1 || *p < 0x20 || *p == 0x7f) {
			o += (size_t)snprintf(out + o, size - o, "\\x%02x", *p);
			p++;
			continue;
		}
		memcpy(out + o, p, n);
		o += n;
		p += n;
	}
	if (size)
		out[o] = '\0';
}

void hex_encode(const uint8_t *p, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *s, uint8_t *out, size_t len)
{
	if (strlen(s) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}
