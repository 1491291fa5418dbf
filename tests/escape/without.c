/* Attack 59: a host that lacks something.  "without CALL ERRNO CMD.." runs CMD where that system
 * call fails; "without list" prints the calls it knows: those with which a sandbox is set up. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define C(name)                                                                                    \
	{                                                                                          \
#name, SYS_##name                                                                  \
	}

static const struct {
	const char *name;
	unsigned number;
} calls[] = {
	C(setns),
	C(unshare),
	C(clone3),
	C(pivot_root),
	C(umount2),
	C(mount),
	C(fsopen),
	C(fsconfig),
	C(fsmount),
	C(open_tree),
	C(move_mount),
	C(mount_setattr),
	C(openat2),
	C(sethostname),
	C(setdomainname),
	C(keyctl),
	C(prctl),
	C(capset),
	C(setresuid),
	C(setresgid),
	C(setgroups),
	C(prlimit64),
	C(close_range),
	C(landlock_create_ruleset),
	C(landlock_add_rule),
	C(landlock_restrict_self),
	C(seccomp),
	C(setsid),
	C(mkdirat),
	C(symlinkat),
	C(ioctl),
	C(fstatfs),
	C(chdir),
	C(fchdir),
	C(getcwd),
	C(pidfd_open),
	C(socketpair),
	C(pipe2),
	C(signalfd4),
	C(flock),
	C(faccessat),
};

#define N (sizeof(calls) / sizeof(calls[0]))

static int refuse(unsigned number, int code)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(insns) / sizeof(insns[0]), insns };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

int main(int argc, char **argv)
{
	int code = argc > 2 && strcmp(argv[2], "ENOSYS") == 0 ? ENOSYS : EPERM;

	for (size_t i = 0; argc == 2 && i < N; i++)
		puts(calls[i].name);
	for (size_t i = 0; argc > 3 && i < N; i++) {
		if (strcmp(calls[i].name, argv[1]) != 0)
			continue;
		if (refuse(calls[i].number, code) < 0)
			return 77;
		execvp(argv[3], argv + 3);
		return 99;
	}
	return argc != 2;
}
