/* Attack 16: read or write the memory of pid 1, of the parent, of any other process. Outside, the
 * same is done to a child of ours. */
#include "tests/escape/escape.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static char victim_word[8] = "victim";

/* Whom to attack: pid 1 inside, a child that waits for us outside. */
static pid_t target(void)
{
	int ready[2];
	char c;
	pid_t pid;

	if (!in_control)
		return 1;
	if (pipe(ready) < 0)
		_exit(200);
	pid = fork();
	if (pid == 0) {
		/* Told only now to go on: stopped any earlier, it would outlive us. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	if (read(ready[0], &c, 1) != 1)
		_exit(200);
	return pid;
}

static int attach(void)
{
	return errno_of(ptrace(PTRACE_ATTACH, target(), NULL, NULL));
}

static int seize(void)
{
	return errno_of(ptrace(PTRACE_SEIZE, target(), NULL, NULL));
}

static int attach_parent(void)
{
	return errno_of(ptrace(PTRACE_ATTACH, in_control ? target() : getppid(), NULL, NULL));
}

static int trace_me(void)
{
	return errno_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int proc_mem(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", target());
	return errno_of(open(path, O_RDWR | O_CLOEXEC));
}

static int vm_read(void)
{
	char buf[8];
	struct iovec local = { buf, sizeof(buf) }, remote = { victim_word, sizeof(victim_word) };

	return errno_of(process_vm_readv(target(), &local, 1, &remote, 1, 0));
}

static int vm_write(void)
{
	struct iovec local = { victim_word, sizeof(victim_word) }, remote = local;

	return errno_of(process_vm_writev(target(), &local, 1, &remote, 1, 0));
}

static int steal_fd(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, target(), 0);

	if (pidfd < 0)
		return errno;
	return errno_of(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static const struct act acts[] = {
	{ "PTRACE_ATTACH pid 1", attach, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "PTRACE_SEIZE pid 1", seize, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "PTRACE_ATTACH the parent", attach_parent, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "PTRACE_TRACEME", trace_me, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "open /proc/1/mem", proc_mem, { EACCES, EPERM, ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "process_vm_readv pid 1", vm_read, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "process_vm_writev pid 1", vm_write, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "pidfd_getfd of pid 1", steal_fd, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
