#include "base/err.h"

#include <errno.h>

#include "tests/check.h"

int main(void)
{
	struct err e = { 0 };
	char big[2 * ERR_TEXT_MAX];

	CHECK_EQ(err_set(&e, -ENOENT, "open '%s'", "x"), -ENOENT);
	CHECK_EQ(e.code, -ENOENT);
	CHECK_STR(e.text, "open 'x': No such file or directory");
	CHECK_EQ(err_wrap(&e, -EIO, "mount dataset '%s'", "d"), -EIO);
	CHECK_STR(e.text, "mount dataset 'd': open 'x': No such file or directory");
	err_set(&e, -EINVAL, "'a' is not a size; try 64K.");
	CHECK_STR(e.text, "'a' is not a size; try 64K.");
	CHECK_EQ(err_set(NULL, -EPERM, "nobody listens"), -EPERM);
	CHECK_EQ(err_wrap(NULL, -EPERM, "nobody listens"), -EPERM);

	memset(big, 'y', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_set(&e, -EIO, "%s", big);
	CHECK_EQ(strlen(e.text), ERR_TEXT_MAX - 1);
	err_wrap(&e, -EIO, "%s", big);
	CHECK_EQ(strlen(e.text), ERR_TEXT_MAX - 1);
	return check_report();
}
