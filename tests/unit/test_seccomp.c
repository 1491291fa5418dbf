#include "sandbox/seccomp.h"

#include <stdbool.h>

#include "tests/check.h"

static int owner[4096]; /* row number + 1 that named the call */

/* Each name is known to libseccomp, and no name is said twice. */
static void check_names(const struct seccomp_row *rows, const char *table, int base)
{
	for (int i = 0; rows[i].names; i++) {
		const char *p = rows[i].names;
		char name[48];

		CHECK(rows[i].reason && strlen(rows[i].reason) > 5);
		while (seccomp_next_name(&p, name) == 0) {
			int nr = seccomp_number(name);

			/* not here, and not too new for this libseccomp, is a typing error: only
			 * calls of other machines resolve to negative numbers other than -1 */
			if (nr < 0 || nr >= (int)(sizeof(owner) / sizeof(owner[0])))
				continue;
			if (owner[nr])
				fprintf(stderr, "%s: '%s' is in row %d and row %d\n", table, name,
					owner[nr] - 1, base + i);
			CHECK(!owner[nr]);
			owner[nr] = base + i + 1;
		}
		CHECK_EQ(*(p + strspn(p, " ")), '\0');
	}
}

static bool named(const struct seccomp_row *rows, const char *call)
{
	for (; rows->names; rows++) {
		const char *p = rows->names;
		char name[48];

		while (seccomp_next_name(&p, name) == 0) {
			if (strcmp(name, call) == 0)
				return true;
		}
	}
	return false;
}

static void test_decisions(void)
{
	static const char *const never[] = {
		"mount",
		"umount2",
		"pivot_root",
		"chroot",
		"fsopen",
		"open_tree",
		"move_mount",
		"mount_setattr",
		"unshare",
		"setns",
		"clone3",
		"clone",
		"bpf",
		"perf_event_open",
		"userfaultfd",
		"io_uring_setup",
		"io_uring_enter",
		"keyctl",
		"add_key",
		"request_key",
		"ptrace",
		"process_vm_readv",
		"process_vm_writev",
		"pidfd_getfd",
		"kcmp",
		"open_by_handle_at",
		"name_to_handle_at",
		"kexec_load",
		"init_module",
		"finit_module",
		"reboot",
		"syslog",
		"iopl",
		"acct",
		"swapon",
		"quotactl",
		"fanotify_init",
		"vmsplice",
		"socket",
		"ioctl",
		"personality",
		"settimeofday",
		"clock_settime",
		"sethostname",
	};
	static const char *const always[] = {
		"read",  "write",     "openat",        "execve",    "exit_group",   "mmap",
		"futex", "mbind",     "set_mempolicy", "seccomp",   "socketpair",   "statx",
		"rseq",  "getrandom", "prlimit64",     "renameat2", "rt_sigreturn",
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		CHECK(!named(seccomp_allowed, never[i]));
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		CHECK(named(seccomp_allowed, always[i]));
}

static void test_programs(void)
{
	static struct seccomp_set set;

	CHECK_EQ(seccomp_build_set(&set, NULL), 0);
	CHECK(set.allow.len > 100 && set.allow.len < SECCOMP_INSNS_MAX);
	CHECK(set.deny.len > 10 && set.deny.len < 100);
	CHECK(set.init.len > 10 && set.init.len < 100);
	CHECK(set.daemon.len > 30 && set.daemon.len < 400);
	CHECK(set.parser.len > 30 && set.parser.len < 400);
}

int main(void)
{
	check_names(seccomp_allowed, "allowed", 0);
	check_names(seccomp_refused, "refused", 1000);
	test_decisions();
	test_programs();
	return check_report();
}
