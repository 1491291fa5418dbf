#include "shell/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "shell/term_modes.h"

static struct {
	int fd;  /* a duplicate of our own */
	int out; /* the same terminal, to write to */
	struct termios saved;
	volatile sig_atomic_t known; /* 'saved' and 'fd' are valid */
	volatile sig_atomic_t raw;
	pid_t owner, guard;
	int farewell;             /* a byte here tells the guard that all is well */
	struct term_modes *modes; /* shared with the guard */
} term = { .fd = -1, .out = -1, .farewell = -1 };

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

static void on_crash(int sig)
{
	pty_restore();
	/* SA_RESETHAND: this time it ends us, with the core and code that it would have had. */
	raise(sig);
}

/* Without waiting for a terminal that takes nothing. */
static void write_modes(int fd, size_t (*text)(const struct term_modes *, char *))
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	char out[TERM_MODES_TEXT];
	size_t n = term.modes ? text(term.modes, out) : 0;

	if (n && poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) && write(fd, out, n) < 0)
		return;
}

/* The guard outlives a supervisor that SIGKILL took in raw mode.  It acts only while the terminal
 * still belongs to the dead one's process group, or to nobody: a shell with job control takes it
 * back, and knows its own settings. */
static void guard_run(int tty, int pipe_end, pid_t group)
{
	sigset_t all;
	pid_t owner;
	char c;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setpgid(0, 0);
	if (dup2(tty, 0) < 0 || dup2(pipe_end, 1) < 0 || dup2(term.out, 2) < 0 ||
	    close_range(3, ~0u, 0) < 0)
		_exit(1);
	while (true) {
		ssize_t n = read(1, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		owner = tcgetpgrp(0);
		if (n == 0 && (owner == group || owner <= 0)) {
			/* What was still to be written to it ends in the middle of anything. */
			write_modes(2, term_modes_undo);
			tcsetattr(0, TCSANOW, &term.saved);
		}
		_exit(0);
	}
}

static int guard_start(struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	term.guard = fork();
	if (term.guard == 0)
		guard_run(term.fd, p[0], getpgid(getppid()));
	close(p[0]);
	if (term.guard < 0) {
		close(p[1]);
		return err_set(err, -errno, "start the guard of the terminal");
	}
	term.farewell = p[1];
	return 0;
}

/* At exit, in the supervisor only: a fork of it that leaves has other things to do. */
static void guard_dismiss(void)
{
	if (term.owner != getpid())
		return;
	pty_restore();
	if (write(term.farewell, "", 1) == 1)
		waitpid(term.guard, NULL, 0);
}

int pty_save(int fd, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER };

	if (tcgetattr(fd, &term.saved) < 0)
		return err_set(err, -errno, "read the settings of the terminal");
	term.modes = mmap(NULL, sizeof(*term.modes), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (term.modes == MAP_FAILED) {
		term.modes = NULL;
		return err_set(err, -ENOMEM, "keep account of the terminal");
	}
	term.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	term.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (term.fd < 0 || term.out < 0)
		return err_set(err, -errno, "duplicate the terminal");
	term.known = 1;
	for (size_t i = 0; i < ARRAY_LEN(crash_signals); i++)
		sigaction(crash_signals[i], &sa, NULL);
	term.owner = getpid();
	atexit(guard_dismiss);
	return guard_start(err);
}

void pty_raw(void)
{
	struct termios t = term.saved;

	if (!term.known || !pty_foreground(term.fd))
		return;
	cfmakeraw(&t);
	/* Reads come through poll: at least one byte, no timer. */
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	/* TCSANOW: draining could wait for ever on a terminal that was stopped with ^S. */
	if (tcsetattr(term.fd, TCSANOW, &t) < 0)
		return;
	if (!term.raw)
		write_modes(term.out, term_modes_again);
	term.raw = 1;
}

struct term_modes *pty_modes(void)
{
	return term.modes;
}

void pty_restore(void)
{
	if (!term.known || !term.raw)
		return;
	term.raw = 0;
	/* A fork that exits must not do it again for us; the background may not do it at all. */
	if (!pty_foreground(term.fd))
		return;
	write_modes(term.out, term_modes_undo);
	tcsetattr(term.fd, TCSANOW, &term.saved);
}

void pty_copy_size(int master)
{
	struct winsize size;

	if (term.known && ioctl(term.fd, TIOCGWINSZ, &size) == 0)
		ioctl(master, TIOCSWINSZ, &size);
}

/* The kernel tells those inside of a size only when it is another, and they look only when it still
 * is another when they do. */
void pty_redraw(int master)
{
	struct winsize size;

	if (!term.known || ioctl(term.fd, TIOCGWINSZ, &size) < 0)
		return;
	size.ws_row--;
	ioctl(master, TIOCSWINSZ, &size);
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	size.ws_row++;
	ioctl(master, TIOCSWINSZ, &size);
}

bool pty_is_utf8(int fd)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	struct termios t;

	if (tcgetattr(fd, &t) == 0 && (t.c_iflag & IUTF8))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]), *set = value ? strchr(value, '.') : NULL;

		if (value && *value)
			return set &&
			       (!strncasecmp(set, ".utf-8", 6) || !strncasecmp(set, ".utf8", 5));
	}
	return false;
}

void pty_size(unsigned short *ret_rows, unsigned short *ret_cols)
{
	struct winsize size = { 0 };

	if (term.known)
		ioctl(term.fd, TIOCGWINSZ, &size);
	*ret_rows = size.ws_row;
	*ret_cols = size.ws_col;
}

bool pty_foreground(int fd)
{
	return tcgetpgrp(fd) == getpgrp();
}

void pty_wait_foreground(int fd)
{
	while (isatty(fd) && tcgetpgrp(fd) > 0 && !pty_foreground(fd)) {
		if (kill(0, SIGTTIN) < 0)
			return;
	}
}

void pty_suspend(void)
{
	bool was_raw = term.raw;

	pty_restore();
	kill(getpid(), SIGSTOP);
	if (was_raw)
		pty_raw();
}
