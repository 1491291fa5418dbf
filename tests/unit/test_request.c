/* Requests on the control socket: what is taken and what is refused, and why. */
#include "fs/request.h"

#include <errno.h>

#include "base/err.h"
#include "tests/check.h"

static struct err err;

static int parse(const char *text, struct request *r)
{
	err = (struct err){ 0 };
	return request_parse(text, strlen(text), r, &err);
}

static void refused(const char *text, const char *why)
{
	struct request r;

	CHECK_EQ(parse(text, &r), -EINVAL);
	if (!strstr(err.text, why))
		CHECK_STR(err.text, why);
}

int main(void)
{
	struct request r;

	CHECK_EQ(parse("{\"op\":\"hello\"}", &r), 0);
	CHECK_EQ(r.op, REQ_HELLO);
	CHECK(!r.edits);
	request_free(&r);
	CHECK_EQ(parse("{\"op\":\"session\",\"run\":\"20261120T101500Z-7f3a\",\"pid\":1}", &r), 0);
	CHECK_EQ(r.op, REQ_SESSION);
	CHECK_STR(r.run, "20261120T101500Z-7f3a");
	request_free(&r);
	CHECK_EQ(parse("{\"op\":\"dataset-add\",\"name\":\"a.b-c_1\",\"source\":\"/x\"}", &r), 0);
	CHECK(r.edits);
	CHECK_STR(r.name, "a.b-c_1");
	request_free(&r);
	CHECK_EQ(parse("{\"op\":\"set\",\"changes\":{\"limits.pids\":4}}", &r), 0);
	CHECK_EQ(json_object_size(r.changes), 1);
	request_free(&r);

	refused("", "JSON");
	refused("[]", "no operation");
	refused("{}", "no operation");
	refused("{\"op\":1}", "no operation");
	refused("{\"op\":\"format-disk\"}", "unknown operation 'format-disk'");
	refused("{\"op\":\"session\"}", "missing");
	refused("{\"op\":\"session\",\"run\":\"../x\"}", "plain");
	refused("{\"op\":\"session\",\"run\":7}", "must be a string");
	refused("{\"op\":\"mount\"}", "missing");
	refused("{\"op\":\"set\",\"changes\":[]}", "must be an object");
	refused("{\"op\":\"dataset-add\",\"name\":\"a/b\",\"source\":\"/x\"}", "dataset name");
	refused("{\"op\":\"dataset-add\",\"name\":\"..\",\"source\":\"/x\"}", "dataset name");
	refused("{\"op\":\"dataset-add\",\"name\":\"ok\"}", "missing");
	refused("{\"op\":\"mount\",\"dir\":\"/a\\u0000b\"}", "");
	refused("{\"op\":\"hello\",\"op\":\"sync\"}", "JSON");
	return check_report();
}
