#include "sandbox/report.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

int report_send(int link, enum report_kind kind, int value, const int *fds, size_t nfds)
{
	struct report r = { .kind = kind, .value = value };

	return fd_send(link, &r, sizeof(r), fds, nfds);
}

int report_send_error(int link, int code, const struct err *err)
{
	struct report r = { .kind = REPORT_ERROR, .value = code };

	if (err)
		r.err = *err;
	r.err.code = code;
	return fd_send(link, &r, sizeof(r), NULL, 0);
}

int report_recv(int link, struct report *ret, int *fds, size_t *ret_nfds)
{
	ssize_t n = fd_recv(link, ret, sizeof(*ret), fds, ret_nfds);

	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ENOTCONN;
	if ((size_t)n != sizeof(*ret))
		return -EPROTO;
	ret->err.text[sizeof(ret->err.text) - 1] = '\0';
	return 0;
}
