#include "sandbox/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

/* Made by filter_gen.c: filter_allow_insns[] and so on. */
#include "sandbox/filter_data.h"

#define PROGRAM(name)                                                                              \
	const struct filter_program name = { sizeof(name##_insns) / sizeof(name##_insns[0]),       \
					     name##_insns }

PROGRAM(filter_allow);
PROGRAM(filter_deny);
PROGRAM(filter_init);
PROGRAM(filter_connector);
PROGRAM(filter_daemon);
PROGRAM(filter_parser);

int filter_load(const struct filter_program *p, struct err *err)
{
	const struct sock_fprog prog = {
		.len = p->len,
		.filter = (struct sock_filter *)p->insns,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_set(err, -errno, "load the system call filter");
	return 0;
}
