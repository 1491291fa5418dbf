#include "shell/escape.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "tests/check.h"

static struct escape e;
static struct err err;
static char out[256];

/* What passes of 'text', given in pieces of 'step'; the last order in e.order. */
static const char *type(const char *key, const char *text, size_t step)
{
	size_t n = 0, len = strlen(text);

	CHECK_EQ(escape_init(&e, key, &err), 0);
	for (size_t i = 0; i < len && e.order != ESCAPE_END; i += step)
		n += escape_edit(&e, (const uint8_t *)text + i, len - i < step ? len - i : step,
				 (uint8_t *)out + n);
	out[n] = '\0';
	return out;
}

static void test_orders(void)
{
	for (size_t step = 1; step < 12; step++) {
		CHECK_STR(type(NULL, "~.rest", step), "");
		CHECK_EQ(e.order, ESCAPE_END);
		CHECK_STR(type(NULL, "ls\r~.", step), "ls\r");
		CHECK_EQ(e.order, ESCAPE_END);
		CHECK_STR(type(NULL, "ls\r~?", step), "ls\r");
		CHECK_EQ(e.order, ESCAPE_HELP);
		CHECK_STR(type(NULL, "ab\003~\032", step), "ab\003");
		CHECK_EQ(e.order, ESCAPE_SUSPEND);
		/* After an order a line begins. */
		CHECK_STR(type(NULL, "~?~.", step), "");
		CHECK_EQ(e.order, ESCAPE_END);
	}
}

static void test_passes(void)
{
	for (size_t step = 1; step < 12; step++) {
		CHECK_STR(type(NULL, "cd ~/x~.\r", step), "cd ~/x~.\r");
		CHECK_STR(type(NULL, "~/bin/x\r", step), "~/bin/x\r");
		CHECK_STR(type(NULL, "~~.", step), "~.");
		CHECK_STR(type(NULL, "~\r~.", step), "~\r");
		CHECK_EQ(e.order, ESCAPE_END);
		CHECK_STR(type("none", "\r~.\r", step), "\r~.\r");
		CHECK_EQ(e.order, ESCAPE_PASS);
		CHECK_STR(type("^]", "\r~.\r", step), "\r~.\r");
		CHECK_STR(type("^]", "\r\035.", step), "\r");
		CHECK_EQ(e.order, ESCAPE_END);
	}
}

static void test_option(void)
{
	char name[4];

	CHECK_EQ(escape_init(&e, "%", &err), 0);
	escape_name(&e, name);
	CHECK_STR(name, "%");
	CHECK_EQ(escape_init(&e, "^]", &err), 0);
	escape_name(&e, name);
	CHECK_STR(name, "^]");
	escape_help(&e, out, sizeof(out));
	CHECK(strstr(out, "^]^]    type ^]\r\n"));
	CHECK_EQ(escape_init(&e, "ab", &err), -EINVAL);
	CHECK_EQ(escape_init(&e, " ", &err), -EINVAL);
	CHECK_EQ(escape_init(&e, "^", &err), 0);
	CHECK_EQ(escape_init(&e, "none", &err), 0);
	escape_name(&e, name);
	CHECK_STR(name, "");
}

int main(void)
{
	test_orders();
	test_passes();
	test_option();
	return check_report();
}
