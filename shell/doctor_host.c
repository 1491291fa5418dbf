#include "shell/doctor_host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/client.h"
#include "sandbox/probe.h"

#define MEMLOCK_WANT (64u << 10)
#define SPACE_WANT   (256ull << 20)

static void row(struct probe_result *r, enum probe_state state, const char *detail, const char *fix)
{
	r->state = state;
	snprintf(r->detail, sizeof(r->detail), "%s", detail);
	snprintf(r->fix, sizeof(r->fix), "%s", fix);
}

static void check_daemon(struct probe_result *r)
{
	char path[PATH_MAX];
	int e;

	r->name = "daemon";
	e = fsc_daemon_path(path, sizeof(path));
	row(r, e < 0 ? PROBE_MISSING : PROBE_OK, path,
	    e < 0 ? "This program cannot be run: install again, or run from the build directory."
		  : "");
}

static void check_fuse_device(struct probe_result *r)
{
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	r->name = "fuse device";
	if (fd >= 0)
		row(r, PROBE_OK, "/dev/fuse can be opened", "");
	else if (errno == EACCES || errno == EPERM)
		row(r, PROBE_MISSING, "/dev/fuse may not be opened",
		    "As root: chmod 666 /dev/fuse (distributions set this through udev; containers "
		    "often do not). In a container that forbids the device, start it with --device "
		    "/dev/fuse.");
	else
		row(r, PROBE_MISSING, "there is no usable /dev/fuse",
		    "As root: modprobe fuse. In a container, start it with --device /dev/fuse.");
}

/* The steps of the real thing, in a child whose namespaces vanish with it. */
enum fuse_step { STEP_NONE, STEP_UNSHARE, STEP_MAP, STEP_ROOM, STEP_OPEN, STEP_MOUNT };

static int write_map(const char *file, unsigned id)
{
	char text[32];

	snprintf(text, sizeof(text), "0 %u 1\n", id);
	return fd_write_attr(AT_FDCWD, file, text);
}

static enum fuse_step try_fuse_mount(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char options[128];
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return STEP_UNSHARE;
	if (fd_write_attr(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 ||
	    write_map("/proc/self/uid_map", uid) < 0 || write_map("/proc/self/gid_map", gid) < 0)
		return STEP_MAP;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") < 0)
		return STEP_ROOM;
	/* Opened here: the kernel wants the file and the mount of one user namespace. */
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return STEP_OPEN;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd);
	if (mount("sbx", "/tmp", "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return STEP_MOUNT;
	return STEP_NONE;
}

static void check_fuse_mount(struct probe_result *r)
{
	static const char *const failed[] = {
		[STEP_NONE] = "a mount in a user namespace of its own worked",
		[STEP_UNSHARE] = "not tried: no user namespace can be made",
		[STEP_MAP] = "not tried: the ids of a user namespace cannot be set",
		[STEP_ROOM] = "nothing can be mounted in a user namespace",
		[STEP_OPEN] = "/dev/fuse cannot be opened in a user namespace",
		[STEP_MOUNT] = "FUSE cannot be mounted in a user namespace",
	};
	static const char *const fix[] = {
		[STEP_NONE] = "",
		[STEP_UNSHARE] = "See the row about user namespaces.",
		[STEP_MAP] = "See the row about user namespaces.",
		[STEP_ROOM] = "A security module or the container forbids mount(2): allow it.",
		[STEP_OPEN] = "See the row about the FUSE device.",
		[STEP_MOUNT] = "Linux 4.18 or newer is needed; a security module may forbid it.",
	};
	enum fuse_step step = STEP_UNSHARE;
	pid_t pid = fork();
	int status;

	r->name = "fuse mount";
	if (pid == 0)
		_exit(try_fuse_mount());
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= STEP_MOUNT)
		step = (enum fuse_step)WEXITSTATUS(status);
	row(r, step == STEP_NONE ? PROBE_OK : PROBE_MISSING, failed[step], fix[step]);
}

/* Needed by unprivileged users only, and only to mount on the host: a setuid program. */
static void check_fusermount(struct probe_result *r)
{
	const char *path = getenv("PATH");
	autofree char *dirs = strdup(path ? path : "/usr/bin:/bin");
	char *save, *dir = dirs ? strtok_r(dirs, ":", &save) : NULL;

	r->name = "fusermount3";
	for (; dir; dir = strtok_r(NULL, ":", &save)) {
		autofree char *file = str_printf("%s/fusermount3", dir);
		struct stat st;

		if (!file || stat(file, &st) < 0 || !(st.st_mode & 0111))
			continue;
		if (geteuid() == 0 || ((st.st_mode & S_ISUID) && st.st_uid == 0))
			row(r, PROBE_OK, file, "");
		else
			row(r, PROBE_DEGRADED, "it is not setuid root",
			    "Only 'sbxctl mount' needs it. As root: chmod u+s its file, or install "
			    "the package fuse3 again.");
		return;
	}
	if (geteuid() == 0)
		row(r, PROBE_OK, "not installed; root does not need it", "");
	else
		row(r, PROBE_DEGRADED, "not installed",
		    "Only 'sbxctl mount' needs it: install the package fuse3.");
}

static void check_memlock(struct probe_result *r)
{
	struct rlimit l;
	char text[24] = "unlimited", detail[80];
	bool few;

	r->name = "locked memory";
	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		l.rlim_max = 0;
	if (l.rlim_max != RLIM_INFINITY)
		format_size(l.rlim_max, text);
	few = geteuid() != 0 && l.rlim_max != RLIM_INFINITY && l.rlim_max < MEMLOCK_WANT;
	snprintf(detail, sizeof(detail), "limit %s", text);
	row(r, few ? PROBE_DEGRADED : PROBE_OK, detail,
	    few ? "Keys could be written to swap: raise 'memlock' in /etc/security/limits.conf."
		: "");
}

static void check_space(struct probe_result *r)
{
	struct statvfs v;
	char free_text[24], detail[80];
	uint64_t bytes;

	r->name = "space";
	if (statvfs(".", &v) < 0) {
		row(r, PROBE_DEGRADED, "the working directory cannot be asked",
		    "Change to another directory.");
		return;
	}
	bytes = (uint64_t)v.f_bavail * v.f_frsize;
	format_size(bytes, free_text);
	snprintf(detail, sizeof(detail), "%s free in this directory%s", free_text,
		 v.f_flag & ST_RDONLY ? ", read-only" : "");
	if (v.f_flag & ST_RDONLY)
		row(r, PROBE_DEGRADED, detail, "Make workspaces on a filesystem that is writable.");
	else
		row(r, bytes < SPACE_WANT ? PROBE_DEGRADED : PROBE_OK, detail,
		    bytes < SPACE_WANT ? "A store sets 64M aside for its log: free some space, or "
					 "make workspaces elsewhere."
				       : "");
}

size_t doctor_host(struct probe_result *ret, size_t max)
{
	static void (*const checks[])(struct probe_result * r) = {
		check_daemon,     check_fuse_device, check_fuse_mount,
		check_fusermount, check_memlock,     check_space,
	};
	size_t n = 0;

	for (; n < ARRAY_LEN(checks) && n < max; n++)
		checks[n](&ret[n]);
	return n;
}
