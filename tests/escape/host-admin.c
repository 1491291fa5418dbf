/* Attack 25: what only the administrator of the host does. The arguments are such that outside, as
 * root, nothing happens: the kernel gets past the question of rights and refuses the nonsense. */
#include "tests/escape/escape.h"

#include <sys/io.h>
#include <sys/klog.h>
#include <sys/swap.h>
#include <sys/quota.h>
#include <time.h>

static int kexec(void)
{
	return errno_of(syscall(SYS_kexec_load, 0, 0xffffUL, NULL, 0));
}

static int load_module(void)
{
	return errno_of(syscall(SYS_init_module, "", 0UL, ""));
}

static int load_module_fd(void)
{
	return errno_of(syscall(SYS_finit_module, -1, "", 0));
}

static int unload_module(void)
{
	return errno_of(syscall(SYS_delete_module, "sbx_no_such_module", O_NONBLOCK));
}

static int restart(void)
{
	return errno_of(syscall(SYS_reboot, 0, 0, 0, NULL));
}

static int swap_on(void)
{
	return errno_of(swapon("/nonexistent", 0));
}

static int swap_off(void)
{
	return errno_of(swapoff("/nonexistent"));
}

static int accounting(void)
{
	return errno_of(acct("/nonexistent"));
}

static int kernel_log(void)
{
	return errno_of(klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0));
}

static int kernel_log_read(void)
{
	char buf[16];

	return errno_of(klogctl(3 /* SYSLOG_ACTION_READ_ALL */, buf, sizeof(buf)));
}

static int io_level(void)
{
	return errno_of(iopl(3));
}

static int io_ports(void)
{
	return errno_of(ioperm(0x80, 1, 1));
}

static int host_name(void)
{
	return errno_of(sethostname("elsewhere", 9));
}

static int set_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return errno_of(clock_settime(CLOCK_REALTIME, &now));
}

static int quotas(void)
{
	return errno_of(quotactl(QCMD(Q_SYNC, USRQUOTA), "/nonexistent", 0, NULL));
}

static int make_device(void)
{
	char path[] = "/tmp/sbx-escape-XXXXXX";
	int r;

	if (!mkdtemp(path))
		return 200;
	r = chdir(path) < 0 ? 200 : errno_of(mknod("null", S_IFCHR | 0600, (1 << 8) | 3));
	unlink("null");
	rmdir(path);
	return r;
}

static const struct act acts[] = {
	{ "kexec_load", kexec, { EPERM }, CONTROL_ROOT, { EINVAL } },
	{ "init_module", load_module, { EPERM }, CONTROL_ROOT, { ENOEXEC, EINVAL, EFAULT } },
	{ "finit_module", load_module_fd, { EPERM }, CONTROL_ROOT, { EBADF } },
	{ "delete_module", unload_module, { EPERM }, CONTROL_ROOT, { ENOENT } },
	{ "reboot", restart, { EPERM }, CONTROL_ROOT, { EINVAL } },
	{ "swapon", swap_on, { EPERM }, CONTROL_ROOT, { ENOENT } },
	{ "swapoff", swap_off, { EPERM }, CONTROL_ROOT, { ENOENT } },
	{ "acct", accounting, { EPERM }, CONTROL_ROOT, { ENOENT } },
	{ "syslog", kernel_log, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "syslog read", kernel_log_read, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "iopl", io_level, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "ioperm", io_ports, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "sethostname", host_name, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "clock_settime", set_clock, { EPERM }, CONTROL_ROOT, { 0 } },
	{ "quotactl", quotas, { EPERM }, CONTROL_ROOT, { ENOENT, ENODEV } },
	{ "mknod a device", make_device, { EPERM, EACCES }, CONTROL_ROOT, { 0 } },
};

ESCAPE_MAIN(acts)
