/* The compiled filters, run by our own small interpreter: the one that explains refuses exactly
 * what the ordinary ones refuse. And the counting of what was refused. */
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/explain.h"
#include "tests/check.h"

#if defined(__x86_64__)
#define NATIVE  AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE  AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#endif

#ifdef NATIVE
static void same(const struct seccomp_data *d)
{
	const uint32_t plain = filter_decide(d), explained = filter_run(&filter_explain, d);
	const bool error = (plain & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;

	if (explained != (error ? SECCOMP_RET_USER_NOTIF : plain))
		fprintf(stderr, "call %d, args %llx %llx %llx: %x and %x\n", d->nr,
			(unsigned long long)d->args[0], (unsigned long long)d->args[1],
			(unsigned long long)d->args[2], plain, explained);
	CHECK_EQ(explained, error ? SECCOMP_RET_USER_NOTIF : plain);
}

static void test_same_decisions(void)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		3,
		6,
		10,
		16,
		17,
		31,
		38,
		40,
		100,
		TIOCSTI,
		TIOCSETD,
		TIOCLINUX,
		0x541cULL + (1ULL << 32),
		CLONE_NEWUSER,
		CLONE_VM,
		0xffffffff,
		~0ULL,
		0x40000,
	};
	const size_t n = sizeof(values) / sizeof(values[0]);
	unsigned refused = 0;

	for (int nr = -1; nr < 1100; nr++) {
		struct seccomp_data d = { .nr = nr, .arch = NATIVE };

		for (size_t i = 0; i < n * n; i++) {
			d.args[0] = values[i % n];
			d.args[1] = values[i / n];
			d.args[2] = values[(i * 7) % n];
			same(&d);
		}
		refused += filter_run(&filter_explain, &d) == SECCOMP_RET_USER_NOTIF;
		d.arch = FOREIGN;
		same(&d);
		CHECK_EQ(filter_run(&filter_explain, &d), SECCOMP_RET_KILL_PROCESS);
		d.arch = NATIVE;
		d.nr = 0x40000000 | nr;
		same(&d);
	}
	/* all that this machine does not know, and some sixty that it does */
	CHECK(refused > 600 && refused < 850);
}

static int try_call(long nr, long a, long b, long c)
{
	return syscall(nr, a, b, c, 0L, 0L) < 0 ? errno : 0;
}

/* In a child under the ordinary filters: what filter_decide() says is what the kernel does. */
static void compare_with_kernel(void)
{
	static const struct {
		long nr, args[3];
	} calls[] = {
		{ SYS_mount, { 0 } },
		{ SYS_bpf, { 0 } },
		{ SYS_clone3, { 0 } },
		{ SYS_socket, { 40, SOCK_STREAM, 0 } },
		{ SYS_socket, { AF_NETLINK, SOCK_RAW, 4 } },
		{ SYS_ioctl, { 0, TIOCSTI, 0 } },
		{ SYS_personality, { 0x1234, 0, 0 } },
		{ SYS_unshare, { CLONE_NEWUSER, 0, 0 } },
		{ SYS_keyctl, { 0 } },
		{ 1000, { 0 } },
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_load(&filter_allow, NULL) < 0 ||
	    filter_load(&filter_deny, NULL) < 0)
		_exit(77);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].args;
		struct seccomp_data d = { .nr = (int)calls[i].nr, .arch = NATIVE };

		for (int k = 0; k < 3; k++)
			d.args[k] = (uint64_t)a[k];
		if (filter_decide(&d) !=
		    (SECCOMP_RET_ERRNO | (uint32_t)try_call(calls[i].nr, a[0], a[1], a[2])))
			_exit(100 + (int)i);
	}
	_exit(0);
}

static void test_against_kernel(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		compare_with_kernel();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}
#endif

static void test_names(void)
{
	const struct filter_call *c = filter_find_call(SYS_mount);

	CHECK(c != NULL);
	CHECK_STR(c->name, "mount");
	CHECK(c->reason[0] != '\0');
	CHECK_EQ(c->arg, -1);
	c = filter_find_call(SYS_ioctl);
	CHECK_EQ(c->arg, 1);
	CHECK(filter_find_call(1023) == NULL);
	CHECK(filter_find_call(-1) == NULL);
}

static void test_count(void)
{
	static struct sandbox_denials all;
	struct seccomp_data d = { .nr = SYS_socket, .args = { 40 } };

	explain_count(&all, &d, EPERM, 7, "python3");
	explain_count(&all, &d, EPERM, 8, "other");
	CHECK_EQ(all.n, 1);
	CHECK_EQ(all.rows[0].count, 2);
	CHECK_EQ(all.rows[0].pid, 7);
	CHECK_STR(all.rows[0].comm, "python3");
	CHECK_STR(all.rows[0].call, "socket");
	CHECK(all.rows[0].has_argument);
	CHECK_EQ(all.rows[0].argument, 40);
	/* another argument, another errno: another row */
	d.args[0] = 38;
	explain_count(&all, &d, EPERM, 7, "a\tb\n");
	CHECK_STR(all.rows[1].comm, "a\\x09b\\x0a");
	explain_count(&all, &d, ENOSYS, 7, "");
	CHECK_EQ(all.n, 3);
	/* more kinds than there are rows */
	for (int nr = 2000; nr < 2100; nr++) {
		d.nr = nr;
		explain_count(&all, &d, ENOSYS, 1, "x");
	}
	CHECK_EQ(all.n, sizeof(all.rows) / sizeof(all.rows[0]));
	CHECK_EQ(all.others, 100 - (all.n - 3));
	CHECK_STR(all.rows[3].call, "2000");
	CHECK(!all.rows[3].has_argument);
}

int main(void)
{
#ifdef NATIVE
	test_same_decisions();
	test_against_kernel();
#endif
	test_names();
	test_count();
	return check_report();
}
