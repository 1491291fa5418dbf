#include "shell/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static struct {
	int fd; /* a duplicate of our own */
	struct termios saved;
	volatile sig_atomic_t known; /* 'saved' and 'fd' are valid */
	volatile sig_atomic_t raw;
	pid_t owner, guard;
	int farewell; /* a byte here tells the guard that all is well */
} term = { .fd = -1, .farewell = -1 };

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

static void on_crash(int sig)
{
	pty_restore();
	/* SA_RESETHAND: this time it ends us, with the core and code that it would have had. */
	raise(sig);
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
	if (dup2(tty, 0) < 0 || dup2(pipe_end, 1) < 0 || close_range(2, ~0u, 0) < 0)
		_exit(1);
	while (true) {
		ssize_t n = read(1, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		owner = tcgetpgrp(0);
		if (n == 0 && (owner == group || owner <= 0))
			tcsetattr(0, TCSANOW, &term.saved);
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
	term.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (term.fd < 0)
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
	if (tcsetattr(term.fd, TCSANOW, &t) == 0)
		term.raw = 1;
}

void pty_restore(void)
{
	if (!term.known || !term.raw)
		return;
	term.raw = 0;
	/* A fork that exits must not do it again for us; the background may not do it at all. */
	if (pty_foreground(term.fd))
		tcsetattr(term.fd, TCSANOW, &term.saved);
}

void pty_copy_size(int master)
{
	struct winsize size;

	if (term.known && ioctl(term.fd, TIOCGWINSZ, &size) == 0)
		ioctl(master, TIOCSWINSZ, &size);
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
