/* Attack 59: is the sandbox around us whole?  Prints "hardened", or what is missing.  HOST_NS holds
 * the namespaces of the host, HOST_DIR a directory of it. */
#include "tests/escape/escape.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

static int missing;

static void lacks(const char *what)
{
	printf("BARE: %s\n", what);
	missing++;
}

static void check_status(void)
{
	static const char *const lines[] = { "NoNewPrivs:\t1",
					     "Seccomp:\t2",
					     "CapInh:\t0000000000000000",
					     "CapPrm:\t0000000000000000",
					     "CapEff:\t0000000000000000",
					     "CapBnd:\t0000000000000000",
					     "CapAmb:\t0000000000000000",
					     "SigIgn:\t0000000000000000",
					     "SigBlk:\t0000000000000000" };
	static char text[16384] = "\n";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text + 1, sizeof(text) - 2);

	if (n <= 0)
		lacks("/proc/self/status");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			lacks(lines[i]);
}

static void check_namespaces(void)
{
	static const char *const names[] = { "user", "mnt", "pid", "net", "ipc", "uts" };
	const char *host = getenv("HOST_NS");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64], link[64] = "";

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (readlink(path, link, sizeof(link) - 1) <= 0 || !host || strstr(host, link))
			lacks(path);
	}
	if (getppid() != 1)
		lacks("a pid 1 of our own");
}

static void check_places(void)
{
	static const char *const fixed[] = { "/", "/usr", "/datasets", "/dev", "/proc/sys" };
	const char *host = getenv("HOST_DIR");
	struct statvfs v;

	if (!host || access(host, F_OK) == 0 || access("/sys/fs/cgroup", F_OK) == 0)
		lacks("a root of our own");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (statvfs(fixed[i], &v) < 0 || !(v.f_flag & ST_RDONLY))
			lacks(fixed[i]);
	if (statvfs("/workspace", &v) < 0 || !(v.f_flag & ST_NOSUID) || !(v.f_flag & ST_NODEV))
		lacks("nosuid and nodev on /workspace");
	if (open("/proc/kcore", O_RDONLY) >= 0 && lseek(3, 0, SEEK_END) > 0)
		lacks("a mask on /proc/kcore");
}

static void check_limits(void)
{
	struct rlimit core, files;

	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max > 1)
		lacks("a limit of core dumps");
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max > 1024)
		lacks("a limit of open files");
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			lacks("closed descriptors");
}

static void check_filter(void)
{
	if (unshare(CLONE_NEWUSER) == 0)
		lacks("no nested namespaces");
	if (socket(AF_PACKET, SOCK_RAW, 0) >= 0 || socket(38, SOCK_SEQPACKET, 0) >= 0)
		lacks("a list of socket families");
	if (syscall(SYS_keyctl, 1, NULL) >= 0)
		lacks("shut keyrings");
	if (chroot("/") == 0)
		lacks("no chroot");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	check_limits();
	check_status();
	check_namespaces();
	check_places();
	check_filter();
	if (!missing)
		puts("hardened");
	return missing != 0;
}
