/* The supervisor with a sandbox that is only a fork: limits, causes, streams and the kill ladder.
 */
#include "shell/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fs/client.h"
#include "tests/check.h"

/* -- the doubles ----------------------------------------------------------------------------- */

struct sandbox {
	pid_t pid;
	int pidfd;
	int hang; /* sandbox_kill() fails so many times */
	unsigned kills, terms, severed;
	struct sandbox_usage usage;
};

struct fsc {
	int fd;
	unsigned kills;
	bool stopped;
};

int sandbox_pidfd(const struct sandbox *sb)
{
	return sb->pidfd;
}

int sandbox_signal(struct sandbox *sb, int sig)
{
	sb->terms += sig == SIGTERM;
	return kill(-sb->pid, sig);
}

uint64_t sandbox_memory_used(const struct sandbox *sb)
{
	return sb->usage.max_memory_bytes;
}

int sandbox_poll(struct sandbox *sb, struct sandbox_usage *ret)
{
	*ret = sb->usage;
	return 0;
}

int sandbox_kill(struct sandbox *sb, uint64_t wait_ms)
{
	sb->kills++;
	if (sb->hang > 0) {
		sb->hang--;
		return -ETIMEDOUT;
	}
	kill(-sb->pid, SIGKILL);
	return 0;
}

int sandbox_sever(struct sandbox *sb)
{
	sb->severed++;
	return 0;
}

int sandbox_explain_fd(const struct sandbox *sb)
{
	return -1;
}

void sandbox_explain(struct sandbox *sb)
{
	CHECK(false);
}

bool fsc_stopped(const struct fsc *c)
{
	return c->stopped;
}

int fsc_fd(const struct fsc *c)
{
	return c->fd;
}

int fsc_kill(struct fsc *c)
{
	c->kills++;
	return 0;
}

/* -- one run --------------------------------------------------------------------------------- */

static struct supervise s;
static struct plan_limits limits;
static struct run_facts f;
static struct sandbox sb;
static struct fsc fsc = { .fd = -1 };
static struct err e;
static int inner[3];
static int caught[2]; /* our standard output, as a caller's pipe */
static char text[4096];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void start(const char *script)
{
	sb = (struct sandbox){ .hang = sb.hang, .usage = sb.usage };
	memset(&f, 0, sizeof(f));
	memset(&s, 0, sizeof(s));
	s.master = -1;
	s.limits = &limits;
	s.fsc = fsc.fd >= 0 || sb.hang ? &fsc : NULL;
	stream_init(&s.in, &e);
	stream_init(&s.out, &e);
	stream_init(&s.errs, &e);
	CHECK_EQ(supervise_pipes(&s, inner, &e), 0);
	s.sigfd = supervise_signals(&e);
	CHECK(s.sigfd >= 0);
	sb.pid = fork();
	if (sb.pid == 0) {
		sigset_t none;

		setpgid(0, 0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		for (int i = 0; i < 3; i++)
			dup2(inner[i], i);
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	setpgid(sb.pid, sb.pid);
	sb.pidfd = (int)syscall(SYS_pidfd_open, sb.pid, 0);
	for (int i = 0; i < 3; i++)
		close(inner[i]);
	s.sb = &sb;
}

static int finish(void)
{
	int r = supervise_run(&s, &f, &e), status = 0;

	kill(-sb.pid, SIGKILL);
	waitpid(sb.pid, &status, 0);
	close(sb.pidfd);
	close(s.sigfd);
	supervise_free(&s);
	sb = (struct sandbox){ .kills = sb.kills, .terms = sb.terms, .severed = sb.severed };
	return r < 0 ? r : status;
}

static int run(const char *script)
{
	start(script);
	return finish();
}

static size_t caught_text(void)
{
	ssize_t n = read(caught[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void reset(void)
{
	limits = (struct plan_limits){ .grace_ms = 300 };
	sb = (struct sandbox){ 0 };
	fsc = (struct fsc){ .fd = -1 };
	while (caught_text() > 0)
		;
}

static void test_ends_by_itself(void)
{
	reset();
	CHECK_EQ(run("echo out; echo err >&2; exit 3"), 3 << 8);
	CHECK_EQ(f.cause, CAUSE_NONE);
	CHECK_EQ(f.stdout_bytes, 4);
	CHECK_EQ(f.stderr_bytes, 4);
	CHECK(caught_text() > 0);
	CHECK(strstr(text, "out\n") != NULL);
}

static void test_orphan_holds_stdout(void)
{
	uint64_t start_ms = now_ms();

	reset();
	CHECK_EQ(run("setsid sleep 3 & echo x"), 0);
	CHECK(now_ms() - start_ms < 1500);
	caught_text();
	CHECK_STR(text, "x\n");
}

static void test_time(void)
{
	reset();
	limits.time_ms = 200;
	CHECK_EQ(run("exec sleep 30"), SIGTERM);
	CHECK_EQ(f.cause, CAUSE_TIME);
	CHECK(f.wall_ms >= 200 && f.wall_ms < 280);
	CHECK_EQ(sb.kills, 0);
	/* deaf to TERM: killed when the grace is over */
	reset();
	limits.time_ms = 200;
	CHECK_EQ(run("trap '' TERM; while :; do sleep 0.05; done"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_TIME);
	CHECK(f.wall_ms >= 500 && f.wall_ms < 600);
	CHECK_EQ(sb.terms, 1);
	/* stopped: it could not even see TERM */
	reset();
	limits.time_ms = 200;
	CHECK_EQ(run("kill -STOP 0; sleep 30"), SIGTERM);
	CHECK(f.wall_ms < 280);
	/* no grace */
	reset();
	limits.time_ms = 200;
	limits.grace_ms = 0;
	CHECK_EQ(run("exec sleep 30"), SIGKILL);
	CHECK_EQ(sb.terms, 0);
}

static void test_output_limit(void)
{
	reset();
	limits.output_bytes = 100;
	CHECK_EQ(run("yes; sleep 30"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_OUTPUT);
	CHECK_EQ(f.stdout_bytes, 100);
	CHECK_EQ(caught_text(), 100);
	/* both streams together, and it was over before we looked */
	reset();
	limits.output_bytes = 10;
	run("printf 12345678; printf 12345678 >&2");
	CHECK_EQ(f.cause, CAUSE_OUTPUT);
	CHECK_EQ(f.stdout_bytes + f.stderr_bytes, 10);
	/* exactly at the limit is within it */
	reset();
	limits.output_bytes = 8;
	CHECK_EQ(run("printf 12345678"), 0);
	CHECK_EQ(f.cause, CAUSE_NONE);
}

static void test_usage_limits(void)
{
	reset();
	limits.cpu_time_ms = 1000;
	sb.usage.cpu_ms = 1000;
	CHECK_EQ(run("exec sleep 30"), SIGTERM);
	CHECK_EQ(f.cause, CAUSE_CPU_TIME);
	reset();
	limits.memory_bytes = 1000;
	sb.usage = (struct sandbox_usage){ .memory_is_polled = true, .max_memory_bytes = 1001 };
	CHECK_EQ(run("exec sleep 30"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_MEMORY);
	reset();
	limits.memory_bytes = 1000;
	sb.usage = (struct sandbox_usage){ .oom_kills = 1 };
	CHECK_EQ(run("exec sleep 30"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_MEMORY);
}

static void test_daemon_dies(void)
{
	int pair[2];

	reset();
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fsc.fd = pair[0];
	close(pair[1]);
	CHECK_EQ(run("exec sleep 30"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_FS_LOST);
	CHECK(f.wall_ms < 100);
	close(pair[0]);
}

/* A run at its time limit of which something cannot be killed so many times. */
static int hang(int times, bool stopped)
{
	int r;

	reset();
	limits.time_ms = 100;
	limits.grace_ms = 0;
	fsc.stopped = stopped;
	sb.hang = times;
	r = run("exec sleep 30");
	CHECK_EQ(f.cause, CAUSE_TIME);
	return r;
}

static void test_hanging_request(void)
{
	/* slow only */
	CHECK_EQ(hang(1, false), SIGKILL);
	CHECK_EQ(fsc.kills, 0);
	CHECK(!f.daemon_ended);
	/* slow without end; stopped, for which nobody waits */
	for (int stopped = 0; stopped < 2; stopped++) {
		CHECK_EQ(hang(2 - stopped, stopped), SIGKILL);
		CHECK_EQ(fsc.kills, 1);
		CHECK_EQ(sb.kills, 3 - (unsigned)stopped);
		CHECK_EQ(sb.severed, 0);
		CHECK(f.daemon_ended);
	}
	/* the daemon cannot die either */
	CHECK_EQ(hang(3, false), SIGKILL);
	CHECK_EQ(sb.severed, 1);
	/* nothing helps, and that is said */
	CHECK_EQ(hang(4, false), -ETIMEDOUT);
}

/* Send a signal to ourselves a little later, as a batch system would. */
static void later(int sig, int times, unsigned ms)
{
	pid_t me = getpid();

	if (fork() == 0) {
		for (int i = 0; i < times; i++) {
			usleep(ms * 1000);
			kill(me, sig);
		}
		_exit(0);
	}
}

static void test_signals(void)
{
	/* The command's own answer to TERM is the run's end. */
	reset();
	later(SIGTERM, 1, 150);
	CHECK_EQ(run("trap 'exit 7' TERM; while :; do sleep 0.02; done"), 7 << 8);
	CHECK_EQ(f.cause, CAUSE_NONE);
	reset();
	later(SIGTERM, 1, 150);
	CHECK_EQ(run("trap '' TERM; while :; do sleep 0.02; done"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_SIGNAL);
	CHECK_EQ(f.cause_signal, SIGTERM);
	/* INT is passed on, and the third within a second insists. */
	reset();
	later(SIGINT, 1, 150);
	CHECK_EQ(run("exec sleep 30"), SIGINT);
	CHECK_EQ(f.cause, CAUSE_NONE);
	reset();
	later(SIGINT, 3, 100);
	CHECK_EQ(run("trap '' INT; while :; do sleep 0.02; done"), SIGKILL);
	CHECK_EQ(f.cause, CAUSE_SIGNAL);
	while (wait(NULL) > 0)
		;
}

static void test_reader_leaves(void)
{
	int keep = dup(1), p[2];

	reset();
	CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
	dup2(p[1], 1);
	close(p[1]);
	start("exec yes");
	close(p[0]);
	CHECK_EQ(finish(), SIGPIPE);
	CHECK_EQ(f.cause, CAUSE_NONE);
	dup2(keep, 1);
	close(keep);
}

int main(void)
{
	int report = dup(1), null = open("/dev/null", O_RDWR);

	CHECK_EQ(pipe2(caught, O_CLOEXEC), 0);
	fcntl(caught[0], F_SETFL, O_NONBLOCK);
	dup2(null, 0);
	dup2(caught[1], 1);
	test_ends_by_itself();
	test_orphan_holds_stdout();
	test_time();
	test_output_limit();
	test_usage_limits();
	test_daemon_dies();
	test_hanging_request();
	test_signals();
	test_reader_leaves();
	dup2(report, 1);
	return check_report();
}
