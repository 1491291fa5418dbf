/* What a run can leave behind, as one program: "horrors MARK SEED COUNT MS" starts COUNT children,
 * each of a random kind that is hard to end ("files": ten that keep the daemon of the workspace
 * busy), and itself sleeps MS ms, then exits with 7 ("-1": it
 * never exits; "-2": it writes to standard output without end).  Every process keeps MARK in its
 * command line, by which tests/cases/life/horrors.py looks for survivors.  Runs inside only: its
 * kill(-1) hits whatever it can reach. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **own_argv;
static unsigned number; /* of this child, for names of files */

static void sleep_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static _Noreturn void forever(void)
{
	for (;;)
		pause();
}

static const char *name(const char *what)
{
	static char path[64];

	snprintf(path, sizeof(path), "/workspace/%s-%u", what, number);
	return path;
}

static void leave_parent(void)
{
	if (fork() > 0)
		_exit(0);
}

static void deaf(void)
{
	for (int sig = 1; sig < 65; sig++)
		signal(sig, SIG_IGN);
}

static void daemonized(void)
{
	leave_parent();
	setsid();
	leave_parent();
	for (int fd = 0; fd < 256; fd++)
		close(fd);
	deaf();
	forever();
}

static void holds_the_pipe(void)
{
	leave_parent();
	setsid();
	deaf();
	for (;;) {
		if (write(1, "x", 1) < 0)
			forever();
		sleep_ms(5);
	}
}

static void stopped_group(void)
{
	setpgid(0, 0);
	if (fork() == 0)
		forever();
	kill(0, SIGSTOP);
	forever();
}

static void stops_everybody(void)
{
	deaf();
	sleep_ms(30);
	for (;;) {
		kill(-1, SIGSTOP);
		sleep_ms(10);
	}
}

/* Never where one looks: each lives for an instant. */
static void moving_on(void)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		if (fork() > 0)
			_exit(0);
		setsid();
	}
}

static void *spin(void *arg)
{
	volatile unsigned long *n = arg;

	for (;;)
		++*n;
	return NULL;
}

static void busy_threads(void)
{
	static unsigned long n;
	pthread_t t;

	for (int i = 0; i < 4; i++)
		pthread_create(&t, NULL, spin, &n);
	forever();
}

static void writes_files(void)
{
	char a[64], b[64], block[4096] = { 1 };

	snprintf(a, sizeof(a), "%s", name("a"));
	snprintf(b, sizeof(b), "%s", name("b"));
	for (;;) {
		int fd = open(a, O_RDWR | O_CREAT, 0600);

		for (int i = 0; i < 16 && write(fd, block, sizeof(block)) > 0; i++)
			;
		if (number % 2)
			fsync(fd);
		close(fd);
		rename(a, b);
		if (number % 3 == 0)
			unlink(b);
	}
}

static void maps_files(void)
{
	int fd = open(name("map"), O_RDWR | O_CREAT, 0600);
	volatile char *p;

	if (ftruncate(fd, 1 << 20) < 0)
		_exit(1);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		_exit(1);
	for (unsigned i = 0;; i += 4096) {
		p[i % (1 << 20)]++;
		if (i % (1 << 19) == 0)
			msync((void *)p, 1 << 20, MS_SYNC);
	}
}

static void reads_names(void)
{
	struct stat st;

	for (;;) {
		int fd = open("/workspace", O_RDONLY | O_DIRECTORY);
		char nowhere[96];

		snprintf(nowhere, sizeof(nowhere), "/workspace/none-%u-%u", number, (unsigned)fd);
		stat(nowhere, &st);
		syncfs(fd);
		close(fd);
	}
}

static void waits_for_locks(void)
{
	int fd = open("/workspace/lock", O_RDWR | O_CREAT, 0600);
	struct flock l = { .l_type = F_WRLCK };

	if (number % 2)
		flock(fd, LOCK_EX);
	else
		fcntl(fd, F_SETLKW, &l);
	forever();
}

static void waits_for_fifo(void)
{
	mkfifo("/workspace/fifo", 0600);
	open("/workspace/fifo", O_WRONLY);
	forever();
}

static void zombies(void)
{
	for (int i = 0; i < 10; i++) {
		if (fork() == 0)
			_exit(0);
	}
	forever();
}

/* The parent waits in the kernel until the child has ended or executed something. */
static void vforked(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	if (vfork() == 0) {
#pragma GCC diagnostic pop
		for (;;)
			pause();
	}
	forever();
}

static void executes_itself(void)
{
	char *argv[] = { own_argv[0], own_argv[1], "exec", NULL };

	sleep_ms(1);
	execv(own_argv[0], argv);
	_exit(1);
}

/* Much to give back at the end. */
static void large(void)
{
	size_t size = 48 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		memset(p, 1, size);
	forever();
}

static void fills_tmp(void)
{
	int fd = open("/tmp/fill", O_RDWR | O_CREAT, 0600);
	static char block[1 << 16];

	while (write(fd, block, sizeof(block)) > 0)
		;
	forever();
}

static void stops_children(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		deaf();
		forever();
	}
	for (;;) {
		kill(pid, SIGSTOP);
		sleep_ms(1);
		kill(pid, SIGCONT);
	}
}

static void (*const kinds[])(void) = {
	writes_files,    maps_files,      reads_names, /* FILE_KINDS */
	daemonized,      holds_the_pipe,  stopped_group,  stops_everybody, moving_on,
	busy_threads,    waits_for_locks, waits_for_fifo, zombies,         vforked,
	executes_itself, large,           fills_tmp,      stops_children,
};

#define KINDS      (sizeof(kinds) / sizeof(kinds[0]))
#define FILE_KINDS 3

int main(int argc, char **argv)
{
	unsigned count, i, choice = KINDS;
	long ms;

	own_argv = argv;
	if (argc == 3)
		executes_itself();
	if (argc != 5 || getppid() != 1) {
		fprintf(stderr, "horrors: to be started by tests/cases/life/horrors.py, inside\n");
		return 2;
	}
	srandom((unsigned)strtoul(argv[2], NULL, 10));
	count = (unsigned)strtoul(argv[3], NULL, 10);
	if (strcmp(argv[3], "files") == 0) {
		choice = FILE_KINDS;
		count = 10;
	}
	ms = strtol(argv[4], NULL, 10);
	for (i = 0; i < count; i++) {
		unsigned kind = (unsigned)random() % choice;

		number = i;
		if (fork() == 0)
			kinds[kind]();
	}
	if (write(1, "up\n", 3) < 0)
		return 3;
	if (ms < 0)
		deaf();
	while (ms == -2) {
		if (write(1, "no end\n", 7) < 0)
			forever();
	}
	if (ms < 0)
		forever();
	sleep_ms((unsigned)ms);
	return 7;
}
