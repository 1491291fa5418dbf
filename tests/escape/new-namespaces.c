/* Attack 19: a namespace of one's own, where one has all capabilities again. */
#include "tests/escape/escape.h"

#include <linux/sched.h>

static int clone_with(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return errno_of(pid);
}

static int unshare_user(void)
{
	return errno_of(unshare(CLONE_NEWUSER));
}

static int unshare_user_net(void)
{
	return errno_of(unshare(CLONE_NEWUSER | CLONE_NEWNET));
}

static int unshare_net(void)
{
	return errno_of(unshare(CLONE_NEWNET));
}

static int unshare_mount(void)
{
	return errno_of(unshare(CLONE_NEWNS));
}

static int unshare_time(void)
{
	return errno_of(unshare(CLONE_NEWTIME));
}

static int clone_user(void)
{
	return clone_with(CLONE_NEWUSER);
}

static int clone_user_pid(void)
{
	return clone_with(CLONE_NEWUSER | CLONE_NEWPID);
}

static int clone_cgroup(void)
{
	return clone_with(CLONE_NEWCGROUP);
}

/* Its flags are behind a pointer, where seccomp cannot look: so all of it is refused, in the way
 * that makes libc fall back to clone. */
static int clone3_plain(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return errno_of(pid);
}

static int clone3_user(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return errno_of(pid);
}

/* And the fall-back works. */
static int fork_works(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return errno_of(pid);
}

static const struct act acts[] = {
	{ "unshare NEWUSER", unshare_user, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "unshare NEWUSER|NEWNET", unshare_user_net, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "unshare NEWNET", unshare_net, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "unshare NEWNS", unshare_mount, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "unshare NEWTIME", unshare_time, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "clone NEWUSER", clone_user, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "clone NEWUSER|NEWPID", clone_user_pid, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "clone NEWCGROUP", clone_cgroup, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "clone3", clone3_plain, { ENOSYS }, CONTROL_PLAIN, { 0 } },
	{ "clone3 NEWUSER", clone3_user, { ENOSYS }, CONTROL_PLAIN, { 0 } },
	{ "fork", fork_works, { WORKS }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
