#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "config.h"

static bool attr_is(const char *path, const char *value)
{
	autofree char *text = NULL;

	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, value) == 0;
}

bool userns_apparmor(struct err *err)
{
	static const char sysctl[] = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

	if (geteuid() == 0 || !attr_is(sysctl, "1"))
		return false;
	err_set(err, -EOPNOTSUPP,
		"AppArmor restricts user namespaces on this host; an administrator allows them to "
		"sbx with 'cp %s/apparmor/sbx /etc/apparmor.d/ && apparmor_parser -r "
		"/etc/apparmor.d/sbx', or to all with 'sysctl -w "
		"kernel.apparmor_restrict_unprivileged_userns=0'.",
		SBX_DATADIR);
	return true;
}

static int write_map(const char *dir, const char *file, unsigned inner, unsigned outer,
		     struct err *err)
{
	char path[64], line[48];
	int r;

	snprintf(path, sizeof(path), "/proc/%s/%s", dir, file);
	snprintf(line, sizeof(line), "%u %u 1\n", inner, outer);
	r = fd_write_attr(AT_FDCWD, path, line);
	/* Where AppArmor restricts them, making one works and this is the first that does not. */
	if (r == -EPERM && userns_apparmor(err))
		return -EOPNOTSUPP;
	if (r < 0)
		return err_set(err, r, "map id %u of the sandbox to %u (%s)", inner, outer, path);
	return 0;
}

int userns_map(pid_t pid, uid_t inner, uid_t outer_uid, gid_t outer_gid, struct err *err)
{
	char dir[24] = "self", path[64];
	int r;

	if (pid > 0)
		snprintf(dir, sizeof(dir), "%d", (int)pid);
	/* Without this an unprivileged gid_map is refused; with it groups can never be dropped to
	 * get past a "deny this group" permission. */
	snprintf(path, sizeof(path), "/proc/%s/setgroups", dir);
	r = fd_write_attr(AT_FDCWD, path, "deny");
	if (r < 0 && r != -ENOENT)
		return err_set(err, r, "forbid setgroups in the sandbox (%s)", path);
	r = write_map(dir, "gid_map", inner, outer_gid, err);
	if (r == 0)
		r = write_map(dir, "uid_map", inner, outer_uid, err);
	return r;
}

static int idmap_fill(pid_t pid, uid_t uid, gid_t gid, uid_t outer_uid, gid_t outer_gid,
		      struct err *err)
{
	char dir[24], path[64];
	int fd, r;

	snprintf(dir, sizeof(dir), "%d", (int)pid);
	r = write_map(dir, "gid_map", gid, outer_gid, err);
	if (r == 0)
		r = write_map(dir, "uid_map", uid, outer_uid, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%s/ns/user", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_set(err, -errno, "open a user namespace (%s)", path) : fd;
}

int userns_for_idmap(uid_t uid, gid_t gid, uid_t outer_uid, gid_t outer_gid, struct err *err)
{
	/* A namespace begins with a member; the descriptor keeps it when that one is gone. */
	pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)(CLONE_NEWUSER | SIGCHLD), 0, 0, 0, 0);
	int fd;

	if (pid < 0)
		return userns_explain(-errno, err);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			pause();
	}
	fd = idmap_fill(pid, uid, gid, outer_uid, outer_gid, err);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

int userns_limit_nested(int proc_fd, struct err *err)
{
	/* user: one, which is the second level itself; the others none.  Counted along the whole
	 * chain of namespaces, so W cannot make one even when a filter were missing.  Not mnt: each
	 * detached mount that is still to come is counted as one (seen on Linux 6.18). */
	static const struct {
		const char *attr, *value;
	} limits[] = {
		{ "sys/user/max_user_namespaces", "1" }, { "sys/user/max_pid_namespaces", "0" },
		{ "sys/user/max_net_namespaces", "0" },  { "sys/user/max_ipc_namespaces", "0" },
		{ "sys/user/max_uts_namespaces", "0" },
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int r = fd_write_attr(proc_fd, limits[i].attr, limits[i].value);

		/* A kernel built without one kind of namespace has no such file. */
		if (r < 0 && !(r == -ENOENT && i > 0))
			return err_set(err, r, "limit nested namespaces (/proc/%s)",
				       limits[i].attr);
	}
	return 0;
}

int userns_second_level(uid_t uid, struct err *err)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return err_set(err, -errno, "make the second user namespace");
	/* The change of credentials made us undumpable, and our own /proc files root's. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "make the second user namespace");
	return userns_map(0, uid, 0, 0, err);
}

/* Lines of inside, outside, count. Returns how many ids there are; *ret is where 'id' leads. */
static uint64_t read_map(const char *map, uid_t id, uint64_t *ret)
{
	unsigned inside, outside, count;
	uint64_t total = 0;
	int used;

	for (; sscanf(map, " %u %u %u%n", &inside, &outside, &count, &used) == 3; map += used) {
		if (id >= inside && id - inside < count)
			*ret = (uint64_t)outside + (id - inside);
		total += count;
	}
	return total;
}

int userns_refuse_root(const char *parent_map, const char *own_map, uid_t outer, struct err *err)
{
	uint64_t lower = outer, unused;

	if (own_map)
		read_map(own_map, outer, &lower);
	if (lower != 0 || read_map(parent_map, 0, &unused) <= 1)
		return 0;
	return err_set(err, -EPERM,
		       "the code would run as root of this host, which is never done.");
}

int userns_explain(int code, struct err *err)
{
	if (attr_is("/proc/sys/kernel/unprivileged_userns_clone", "0") && geteuid() != 0)
		return err_set(err, -EOPNOTSUPP,
			       "this host forbids user namespaces to ordinary users; an "
			       "administrator allows them with 'sysctl -w "
			       "kernel.unprivileged_userns_clone=1'.");
	if (attr_is("/proc/sys/user/max_user_namespaces", "0"))
		return err_set(err, -EOPNOTSUPP,
			       "this host allows no user namespaces; an administrator allows them "
			       "with 'sysctl -w user.max_user_namespaces=10000'.");
	if (userns_apparmor(err))
		return -EOPNOTSUPP;
	if (code == -ENOSPC)
		return err_set(err, -EOPNOTSUPP,
			       "no further namespace can be made: a limit in /proc/sys/user is "
			       "reached, or this already runs inside a sandbox.");
	if (code == -EPERM || code == -ENOSYS)
		return err_set(err, -EOPNOTSUPP,
			       "namespaces are forbidden here, probably by the filter of a "
			       "surrounding container; start that with user namespaces allowed "
			       "(podman, docker: '--security-opt seccomp=unconfined').");
	return err_set(err, code, "make the namespaces of the sandbox");
}
