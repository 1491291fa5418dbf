#include "sandbox/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static int range(unsigned first, unsigned last, unsigned flags)
{
	if (first > last)
		return 0;
	return syscall(SYS_close_range, first, last, flags) < 0 ? -errno : 0;
}

int fds_close_except(const int *keep, size_t n, struct err *err)
{
	unsigned first = 3;

	for (;;) {
		unsigned next = UINT_MAX;
		int r;

		for (size_t i = 0; i < n; i++) {
			if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		}
		r = range(first, next == UINT_MAX ? UINT_MAX : next - 1, 0);
		if (r < 0)
			return err_set(err, r, "close what is not needed");
		if (next == UINT_MAX)
			return 0;
		first = next + 1;
	}
}

int fds_cloexec_all(struct err *err)
{
	int r = range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);

	return r < 0 ? err_set(err, r, "mark descriptors close-on-exec") : 0;
}

int fds_set_stdio(const int fds[3], struct err *err)
{
	int high[3] = { -1, -1, -1 };
	int r = 0;

	/* Out of the way first: one of the sources may be another one's target. */
	for (int i = 0; i < 3 && r == 0; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (high[i] < 0)
			r = err_set(err, -errno, "pass descriptor %d on", i);
	}
	for (int i = 0; i < 3 && r == 0; i++) {
		if (dup2(high[i], i) < 0)
			r = err_set(err, -errno, "pass descriptor %d on", i);
	}
	for (int i = 0; i < 3; i++) {
		if (high[i] >= 0)
			close(high[i]);
	}
	return r;
}
