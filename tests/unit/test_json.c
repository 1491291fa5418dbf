#include "base/json.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "tests/check.h"

static int parse(const char *text, json_t **ret)
{
	return json_parse(text, strlen(text), "test", ret, NULL);
}

int main(void)
{
	struct err e = { 0 };
	autojson json_t *j = NULL;
	autofree char *canon = NULL;
	const char *s = NULL;
	uint8_t h[2] = { 0 };
	uint64_t v = 0;
	bool b = false;
	json_t *none = NULL;

	CHECK_EQ(parse("{\"b\":{\"x\":7,\"t\":true},\"a\":\"0aff\",\"n\":-1}", &j), 0);
	CHECK_EQ(json_get_u64(j, "b.x", &v, &e), 0);
	CHECK_EQ(v, 7);
	CHECK_EQ(json_get_bool(j, "b.t", &b, &e), 0);
	CHECK(b);
	CHECK_EQ(json_get_hex(j, "a", h, 2, &e), 0);
	CHECK_EQ(h[1], 0xff);
	CHECK_EQ(json_get_hex(j, "a", h, 1, &e), -EINVAL);
	CHECK_EQ(json_get_str(j, "b.y", &s, &e), -ENOENT);
	CHECK_EQ(json_get_u64(j, "n", &v, &e), -EINVAL);
	CHECK_STR(e.text, "'n' must be a whole number, 0 or more.");
	CHECK_EQ(json_get_str(j, "b.x", &s, &e), -EINVAL);
	canon = json_canonical(j);
	CHECK_STR(canon, "{\"a\":\"0aff\",\"b\":{\"t\":true,\"x\":7},\"n\":-1}");

	CHECK_EQ(parse("{\"a\":1,\"a\":2}", &none), -EINVAL);
	CHECK_EQ(parse("{\"a\":1} x", &none), -EINVAL);
	CHECK_EQ(parse("", &none), -EINVAL);
	CHECK(none == NULL);
	return check_report();
}
