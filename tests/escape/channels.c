/* Attack 52: a channel to another sandbox.  "offer" puts something into every place where somebody
 * else could find it, says "offered" and stays until its input ends; without an argument what is
 * there is sought.  NAME is the word both agree on, PORT the port, SHARED says that /workspace is
 * one.  The control is both on the host: "offer", then "control". */
#include "tests/escape/escape.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <mqueue.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SPEC_USER_KEYRING    (-4)
#define KEYCTL_SEARCH_NUMBER 10
#define KEYCTL_UNLINK_NUMBER 9

static const char *word = "sbx-nobody";

static key_t number(void)
{
	unsigned h = 5381;

	for (const char *p = word; *p; p++)
		h = h * 33 + (unsigned char)*p;
	return (key_t)(h & 0x7fffffff) | 1;
}

static const char *in(const char *dir)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, word);
	return path;
}

static struct sockaddr_un unix_name(const char *path, socklen_t *ret_len)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(path ? path : word);

	memcpy(sa.sun_path + !path, path ? path : word, len);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return sa;
}

static struct sockaddr_in tcp_name(void)
{
	const char *port = getenv("PORT");

	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)atoi(port ? port : "1")),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* ---- offering ---- */

static void offer_file(const char *dir)
{
	int fd = open(in(dir), O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, word, strlen(word)) < 0)
		printf("not offered: a file in %s: %s\n", dir, strerror(errno));
}

static void offer_listener(int fd, const void *sa, socklen_t len, const char *what)
{
	if (fd < 0 || bind(fd, sa, len) < 0 || listen(fd, 4) < 0)
		printf("not offered: %s: %s\n", what, strerror(errno));
}

static void offer_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int a = open("locked", O_RDWR | O_CREAT, 0666), b = open("locked2", O_RDWR | O_CREAT, 0666);

	/* Everybody's: see the words in doc/threat-model.md. */
	if (flock(open("/usr", O_RDONLY), LOCK_EX) < 0)
		printf("not offered: a lock on /usr: %s\n", strerror(errno));
	if (flock(a, LOCK_EX) < 0 || fcntl(b, F_SETLK, &lock) < 0)
		printf("not offered: locks: %s\n", strerror(errno));
}

static void offer_ipc(void)
{
	char *p = shmat(shmget(number(), 4096, IPC_CREAT | 0666), NULL, 0);
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 16 };
	char name[300];

	if (p != MAP_FAILED)
		strcpy(p, "x");
	semget(number(), 1, IPC_CREAT | 0666);
	msgget(number(), IPC_CREAT | 0666);
	snprintf(name, sizeof(name), "/%s", word);
	mq_open(name, O_RDWR | O_CREAT, 0666, &attr);
}

static int offer(void)
{
	struct sockaddr_in tcp = tcp_name();
	struct sockaddr_un sa;
	socklen_t len;
	char c;

	umask(0);
	prctl(PR_SET_NAME, "sbx-offer");
	offer_ipc();
	offer_file("/dev/shm");
	offer_file("/tmp");
	offer_file(getenv("HOME"));
	offer_file(".");
	offer_locks();
	sa = unix_name(NULL, &len);
	offer_listener(socket(AF_UNIX, SOCK_STREAM, 0), &sa, len, "an abstract socket");
	unlink("sock");
	sa = unix_name("sock", &len);
	offer_listener(socket(AF_UNIX, SOCK_STREAM, 0), &sa, len, "a socket in the workspace");
	offer_listener(socket(AF_INET, SOCK_STREAM, 0), &tcp, sizeof(tcp), "a port");
	syscall(SYS_add_key, "user", word, "x", (size_t)1, SPEC_USER_KEYRING);
	puts("offered");
	while (read(0, &c, 1) > 0)
		;
	/* What outlives a process. */
	shmctl(shmget(number(), 0, 0), IPC_RMID, NULL);
	semctl(semget(number(), 0, 0), 0, IPC_RMID);
	msgctl(msgget(number(), 0), IPC_RMID, NULL);
	mq_unlink(in(""));
	unlink(in("/dev/shm"));
	unlink(in("/tmp"));
	syscall(SYS_keyctl, KEYCTL_UNLINK_NUMBER,
		syscall(SYS_keyctl, KEYCTL_SEARCH_NUMBER, SPEC_USER_KEYRING, "user", word, 0),
		SPEC_USER_KEYRING);
	return 0;
}

/* ---- seeking ---- */

static int seek_shm(void)
{
	return errno_of(shmget(number(), 0, 0));
}

static int seek_sem(void)
{
	return errno_of(semget(number(), 0, 0));
}

static int seek_msg(void)
{
	return errno_of(msgget(number(), 0));
}

static int seek_mqueue(void)
{
	return errno_of(mq_open(in(""), O_RDWR));
}

/* ENOENT: no segment of anybody is listed. */
static int seek_ipc_list(void)
{
	FILE *f = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	return !f ? errno : lines > 1 ? 0 : ENOENT;
}

static int seek_file(const char *dir)
{
	return errno_of(open(in(dir), O_RDONLY | O_CLOEXEC));
}

static int seek_dev_shm(void)
{
	return seek_file("/dev/shm");
}

static int seek_tmp(void)
{
	return seek_file("/tmp");
}

static int seek_var_tmp(void)
{
	return in_control ? seek_file("/tmp") : seek_file("/var/tmp");
}

static int seek_home(void)
{
	return seek_file(getenv("HOME"));
}

static int seek_workspace(void)
{
	return seek_file(".");
}

static int seek_flock(void)
{
	int fd = open("locked", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno;
	/* 0 = we see that somebody holds it. */
	return flock(fd, LOCK_EX | LOCK_NB) == 0 ? ENOLCK : errno == EWOULDBLOCK ? 0 : errno;
}

/* What no file system of ours is in between of: the one channel that is left, said in
 * doc/threat-model.md. */
static int seek_lock_on_system(void)
{
	int fd = open("/usr", O_RDONLY | O_CLOEXEC);

	return flock(fd, LOCK_EX | LOCK_NB) == 0 ? ENOLCK : errno == EWOULDBLOCK ? 0 : errno;
}

static int seek_posix_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int fd = open("locked2", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno;
	return fcntl(fd, F_SETLK, &lock) == 0       ? ENOLCK
	       : errno == EAGAIN || errno == EACCES ? 0
						    : errno;
}

static int connect_to(int fd, const void *sa, socklen_t len)
{
	return fd < 0 ? 200 : errno_of(connect(fd, sa, len));
}

static int seek_abstract(void)
{
	socklen_t len;
	struct sockaddr_un sa = unix_name(NULL, &len);

	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), &sa, len);
}

static int seek_socket_file(void)
{
	socklen_t len;
	struct sockaddr_un sa = unix_name("sock", &len);

	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), &sa, len);
}

static int seek_port(void)
{
	struct sockaddr_in tcp = tcp_name();

	return connect_to(socket(AF_INET, SOCK_STREAM, 0), &tcp, sizeof(tcp));
}

/* A text of /proc that holds the word or the name of the process that offers. */
static int seek_text(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024];
	int r = ENOENT;

	if (!f)
		return errno;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, word))
			r = 0;
	fclose(f);
	return r;
}

static int seek_net_unix(void)
{
	return seek_text("/proc/net/unix");
}

/* The other's process, by its name. */
static pid_t other(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char path[300], name[32];

	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && strncmp(name, "sbx-offer", 9) == 0)
			return atoi(e->d_name);
		if (f)
			fclose(f);
	}
	return 0;
}

static int seek_process(void)
{
	return other() ? 0 : ESRCH;
}

/* Every number that there can be, with a signal that does nothing. */
static int seek_signal(void)
{
	if (in_control)
		return errno_of(kill(other(), 0));
	for (pid_t pid = 2; pid < 70000; pid++)
		if (pid != getpid() && pid != getppid() && kill(pid, 0) == 0)
			return 0;
	return ESRCH;
}

static int seek_locks_list(void)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256];
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	return !f ? errno : lines ? 0 : ENOENT;
}

static int seek_key(void)
{
	return errno_of(
		syscall(SYS_keyctl, KEYCTL_SEARCH_NUMBER, SPEC_USER_KEYRING, "user", word, 0));
}

static int seek_key_list(void)
{
	return seek_text("/proc/keys");
}

#define REST                                                                                       \
	{ "System V memory", seek_shm, { ENOENT }, CONTROL_PLAIN, { 0 } },                         \
		{ "System V semaphores", seek_sem, { ENOENT }, CONTROL_PLAIN, { 0 } },             \
		{ "System V messages", seek_msg, { ENOENT }, CONTROL_PLAIN, { 0 } },               \
		{ "the list of System V", seek_ipc_list, { ENOENT }, CONTROL_PLAIN, { 0 } },       \
		{ "POSIX message queue", seek_mqueue, { ENOENT }, CONTROL_PLAIN, { 0 } },          \
		{ "/dev/shm", seek_dev_shm, { ENOENT }, CONTROL_PLAIN, { 0 } },                    \
		{ "/tmp", seek_tmp, { ENOENT }, CONTROL_PLAIN, { 0 } },                            \
		{ "/var/tmp", seek_var_tmp, { ENOENT }, CONTROL_PLAIN, { 0 } },                    \
		{ "the home", seek_home, { ENOENT }, CONTROL_PLAIN, { 0 } },                       \
		{ "abstract socket",                                                               \
		  seek_abstract,                                                                   \
		  { ECONNREFUSED, EPERM },                                                         \
		  CONTROL_PLAIN,                                                                   \
		  { 0 } },                                                                         \
		{ "a port of the loopback", seek_port, { ECONNREFUSED }, CONTROL_PLAIN, { 0 } },   \
		{ "/proc/net/unix", seek_net_unix, { ENOENT }, CONTROL_PLAIN, { 0 } },             \
		{ "a process in /proc", seek_process, { ESRCH }, CONTROL_PLAIN, { 0 } },           \
		{ "signals to all numbers", seek_signal, { ESRCH }, CONTROL_PLAIN, { 0 } },        \
		{ "/proc/locks", seek_locks_list, { ENOENT, EACCES }, CONTROL_PLAIN, { 0 } },      \
		{ "a lock on a directory of the system (known)",                                   \
		  seek_lock_on_system,                                                             \
		  { WORKS },                                                                       \
		  CONTROL_PLAIN,                                                                   \
		  { 0 } },                                                                         \
		{ "a key of the user", seek_key, { EPERM }, CONTROL_PLAIN, { 0 } },                \
	{                                                                                          \
		"/proc/keys", seek_key_list, { ENOENT, EACCES }, CONTROL_PLAIN,                    \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/* Two sandboxes of one workspace: its files, with all that files can do, and nothing else. */
static const struct act one_workspace[] = {
	{ "a file of the workspace", seek_workspace, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "its flock", seek_flock, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "its POSIX lock", seek_posix_lock, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "a socket made in it", seek_socket_file, { WORKS }, CONTROL_PLAIN, { 0 } },
	REST,
};

static const struct act two_workspaces[] = {
	{ "a file of the workspace", seek_workspace, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "its flock", seek_flock, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "its POSIX lock", seek_posix_lock, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "a socket made in it", seek_socket_file, { ENOENT }, CONTROL_PLAIN, { 0 } },
	REST,
};

int main(int argc, char **argv)
{
	if (getenv("NAME"))
		word = getenv("NAME");
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1 && strcmp(argv[1], "offer") == 0)
		return offer();
	if (getenv("SHARED"))
		return escape_main(argc, argv, one_workspace,
				   sizeof(one_workspace) / sizeof(one_workspace[0]));
	return escape_main(argc, argv, two_workspaces,
			   sizeof(two_workspaces) / sizeof(two_workspaces[0]));
}
