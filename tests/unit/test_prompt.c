/* Asking for a passphrase on a terminal: echo, confirmation, signals, and the terminal afterwards.
 */
#include "keys/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "tests/check.h"

#define WAIT_MS 5000

struct session {
	int master, result;
	pid_t pid;
	char seen[4096]; /* what the terminal showed */
	size_t len;
};

/* The child's answer: the code, then the passphrase. */
struct answer {
	int code;
	char pass[64];
};

static void child(const char *slave, int result, bool confirm)
{
	struct answer a = { 0 };
	struct secret *s = NULL;
	struct err err;

	setsid();
	if (slave && open(slave, O_RDWR) < 0) /* the first terminal opened becomes ours */
		_exit(99);
	a.code = prompt_passphrase("Passphrase: ", confirm, &s, &err);
	if (a.code == 0)
		snprintf(a.pass, sizeof(a.pass), "%s", (char *)s->bytes);
	if (write(result, &a, sizeof(a)) != sizeof(a))
		_exit(98);
	_exit(0);
}

static void start(struct session *s, bool terminal, bool confirm)
{
	int fd[2];

	*s = (struct session){ .master = -1 };
	if (terminal) {
		s->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		CHECK(s->master >= 0 && grantpt(s->master) == 0 && unlockpt(s->master) == 0);
	}
	CHECK_EQ(pipe(fd), 0);
	s->pid = fork();
	if (s->pid == 0)
		child(terminal ? ptsname(s->master) : NULL, fd[1], confirm);
	close(fd[1]);
	s->result = fd[0];
}

/* Read what the terminal shows until it has 'text' for the 'n'th time. */
static bool shows(struct session *s, const char *text, int n)
{
	for (;;) {
		struct pollfd p = { .fd = s->master, .events = POLLIN };
		const char *at = s->seen;
		ssize_t r;
		int k = 0;

		while ((at = strstr(at, text))) {
			k++;
			at++;
		}
		if (k >= n)
			return true;
		if (poll(&p, 1, WAIT_MS) <= 0)
			return false;
		r = read(s->master, s->seen + s->len, sizeof(s->seen) - 1 - s->len);
		if (r <= 0)
			return false;
		s->len += (size_t)r;
	}
}

static bool echo_is(const struct session *s, bool on)
{
	struct termios t;

	for (int i = 0; i < WAIT_MS / 5; i++) {
		if (tcgetattr(s->master, &t) == 0 && !!(t.c_lflag & ECHO) == on)
			return true;
		usleep(5000);
	}
	return false;
}

static void type(struct session *s, const char *keys)
{
	CHECK(echo_is(s, false));
	CHECK_EQ(write(s->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* The child's end: its answer, or the signal that ended it (as a positive code). */
static struct answer finish(struct session *s)
{
	struct answer a = { .code = -1 };
	int status;

	CHECK(read(s->result, &a, sizeof(a)) >= 0);
	waitpid(s->pid, &status, 0);
	if (WIFSIGNALED(status))
		a.code = WTERMSIG(status);
	if (s->master >= 0)
		CHECK(echo_is(s, true));
	close(s->result);
	if (s->master >= 0)
		close(s->master);
	return a;
}

static void plain(void)
{
	struct session s;
	struct answer a;

	start(&s, true, false);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "open sesame\n");
	a = finish(&s);
	CHECK_EQ(a.code, 0);
	CHECK_STR(a.pass, "open sesame");
	CHECK(strstr(s.seen, "sesame") == NULL);
}

static void confirmed(void)
{
	struct session s;
	struct answer a;

	start(&s, true, true);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "abc\n");
	CHECK(shows(&s, "Again: ", 1));
	type(&s, "abc\n");
	a = finish(&s);
	CHECK_EQ(a.code, 0);
	CHECK_STR(a.pass, "abc");

	start(&s, true, true);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "abc\n");
	CHECK(shows(&s, "Again: ", 1));
	type(&s, "abd\n");
	CHECK_EQ(finish(&s).code, -EINVAL);

	start(&s, true, true);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "\n");
	CHECK_EQ(finish(&s).code, -EINVAL);
}

/* Whatever ends it, the terminal echoes again (finish() looks). */
static void ended(void)
{
	struct session s;

	start(&s, true, false);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "\x04");
	CHECK_EQ(finish(&s).code, -ECANCELED);

	start(&s, true, false);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "half\x03");
	CHECK_EQ(finish(&s).code, SIGINT);

	start(&s, true, false);
	CHECK(shows(&s, "Passphrase: ", 1));
	CHECK(echo_is(&s, false));
	kill(s.pid, SIGTERM);
	CHECK_EQ(finish(&s).code, SIGTERM);
}

/* Stopped and continued, it asks anew.  (The child leads a session of its own, so the stop itself
 * is discarded by the kernel.) */
static void stopped(void)
{
	struct session s;
	struct answer a;

	start(&s, true, false);
	CHECK(shows(&s, "Passphrase: ", 1));
	type(&s, "half\x1a");
	CHECK(shows(&s, "Passphrase: ", 2));
	type(&s, "whole\n");
	a = finish(&s);
	CHECK_EQ(a.code, 0);
	CHECK_STR(a.pass, "whole");
}

static void without_terminal(void)
{
	struct session s;

	start(&s, false, false);
	CHECK_EQ(finish(&s).code, -ENOTTY);
}

int main(void)
{
	CHECK_EQ(secret_setup(NULL), 0);
	plain();
	confirmed();
	ended();
	stopped();
	without_terminal();
	return check_report();
}
