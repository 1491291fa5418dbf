#include "sandbox/userns.h"

#include <errno.h>

#include "base/err.h"
#include "sandbox/scope.h"
#include "tests/check.h"

#define ALL    "         0          0 4294967295\n"
#define U1     "         0          0          1\n      1000 2000000001          1\n"
#define SINGLE "         0       1000          1\n"

static void test_refuse_root(void)
{
	struct err err = { 0 };

	/* the payload's own id */
	CHECK_EQ(userns_refuse_root(ALL, U1, 1000, NULL), 0);
	/* id 0 of U1 is the host's root */
	CHECK_EQ(userns_refuse_root(ALL, U1, 0, &err), -EPERM);
	CHECK(strstr(err.text, "root"));
	/* on a host mount, without U1 */
	CHECK_EQ(userns_refuse_root(ALL, NULL, 0, NULL), -EPERM);
	CHECK_EQ(userns_refuse_root(ALL, NULL, 2000000001, NULL), 0);
	/* a container with one id only: there is nobody else to be */
	CHECK_EQ(userns_refuse_root(SINGLE, "0 0 1\n", 0, NULL), 0);
	/* root of a container that has more */
	CHECK_EQ(userns_refuse_root("0 1000 1\n1 100000 65536\n", "0 0 1\n", 0, NULL), -EPERM);
	CHECK_EQ(userns_refuse_root("0 1000 1\n1 100000 65536\n", "0 0 1\n1000 65536 1\n", 1000,
				    NULL),
		 0);
}

static void test_scope(void)
{
	const struct scope_facts good = { .v2 = true, .systemd = true, .user_manager = true };
	struct scope_facts f;

	CHECK(scope_is_wanted(&good));
	f = good, f.root = true;
	CHECK(!scope_is_wanted(&f));
	f = good, f.again = true;
	CHECK(!scope_is_wanted(&f));
	f = good, f.writable = true;
	CHECK(!scope_is_wanted(&f));
	f = good, f.v2 = false;
	CHECK(!scope_is_wanted(&f));
	f = good, f.systemd = false;
	CHECK(!scope_is_wanted(&f));
	f = good, f.user_manager = false;
	CHECK(!scope_is_wanted(&f));
}

int main(void)
{
	test_refuse_root();
	test_scope();
	return check_report();
}
