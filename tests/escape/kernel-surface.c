/* Attack 24: the subsystems where kernel holes live: bpf, perf, userfaultfd, io_uring. */
#include "tests/escape/escape.h"

#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>

static int make_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return errno_of(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int count_self(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.exclude_kernel = 1 };

	return errno_of(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int handle_faults(void)
{
	return errno_of(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */));
}

static int setup_ring(void)
{
	struct io_uring_params params = { 0 };

	return errno_of(syscall(SYS_io_uring_setup, 1, &params));
}

static int enter_ring(void)
{
	return errno_of(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0));
}

static int handle_of(void)
{
	struct {
		struct file_handle h;
		char room[128];
	} handle = { .h.handle_bytes = 128 };
	int mount_id;

	return errno_of(name_to_handle_at(AT_FDCWD, "/", &handle.h, &mount_id, 0));
}

/* A lease holds up whoever opens the file to write, for as long as lease-break-time says. */
static int lease(int command)
{
	char path[] = "/tmp/sbx-escape-XXXXXX";
	int fd = mkstemp(path), again = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || again < 0)
		return 200;
	close(fd);
	unlink(path);
	return errno_of(syscall(SYS_fcntl, again, command, F_RDLCK));
}

static int take_lease(void)
{
	return lease(F_SETLEASE);
}

static const struct act acts[] = {
	{ "bpf", make_map, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "perf_event_open", count_self, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "userfaultfd", handle_faults, { EPERM, ENOSYS }, CONTROL_PLAIN, { 0 } },
	{ "io_uring_setup", setup_ring, { EPERM, ENOSYS }, CONTROL_PLAIN, { 0 } },
	{ "io_uring_enter", enter_ring, { EPERM, ENOSYS }, CONTROL_PLAIN, { EBADF } },
	{ "a lease on a file", take_lease, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "name_to_handle_at", handle_of, { EPERM }, CONTROL_PLAIN, { WORKS, EOPNOTSUPP } },
};

ESCAPE_MAIN(acts)
