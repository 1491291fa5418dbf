/* Attack 21: gain rights by executing a set-user-id program, or by asking. */
#include "tests/escape/escape.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

/* The effective uid of a child that executes 'path' and waits at its password prompt. */
static int euid_of(pid_t pid)
{
	char path[64], line[256];
	int real, effective = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Uid: %d %d", &real, &effective) == 2)
			break;
	if (f)
		fclose(f);
	return effective;
}

/* EPERM when executing it gained nothing, 0 when it did. */
static int exec_setuid(void)
{
	int in[2], effective;
	pid_t pid;
	struct stat st;

	/* Root has nothing to gain. */
	if ((in_control && geteuid() == 0) || stat("/usr/bin/su", &st) < 0 ||
	    !(st.st_mode & S_ISUID) || pipe2(in, O_CLOEXEC) < 0)
		return 200;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(in[0], 0);
		dup2(null, 1);
		dup2(null, 2);
		execl("/usr/bin/su", "su", NULL);
		_exit(127);
	}
	usleep(300000);
	effective = euid_of(pid);
	kill(pid, SIGKILL);
	close(in[1]);
	/* A process that gained rights is hidden from us or shows another effective uid. */
	return effective == (int)geteuid() ? EPERM : effective == -1 ? ESRCH : 0;
}

/* A set-user-id bit on a file of our own must not even be honoured. */
static int nosuid_everywhere(void)
{
	static const char *const dirs[] = { "/",    "/usr",      "/workspace",
					    "/tmp", "/home/sbx", "/dev/shm" };
	struct statvfs v;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (statvfs(dirs[i], &v) < 0)
			return errno;
		if (!(v.f_flag & ST_NOSUID))
			return EACCES;
	}
	return 0;
}

static int no_new_privs(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : EACCES;
}

static int set_uid_zero(void)
{
	return errno_of(setresuid(0, 0, 0));
}

static int set_gid_zero(void)
{
	return errno_of(setresgid(0, 0, 0));
}

static int set_groups(void)
{
	gid_t g = 0;

	return errno_of(setgroups(1, &g));
}

static const struct act acts[] = {
	{ "exec a set-user-id program", exec_setuid, { EPERM, 200 }, CONTROL_PLAIN, { 0 } },
	{ "every mount is nosuid", nosuid_everywhere, { WORKS }, CONTROL_NONE, { 0 } },
	{ "no_new_privs is set", no_new_privs, { WORKS }, CONTROL_NONE, { 0 } },
	{ "setresuid 0", set_uid_zero, { EPERM, EINVAL }, CONTROL_ROOT, { 0 } },
	{ "setresgid 0", set_gid_zero, { EPERM, EINVAL }, CONTROL_ROOT, { 0 } },
	{ "setgroups", set_groups, { EPERM }, CONTROL_ROOT, { 0 } },
};

ESCAPE_MAIN(acts)
