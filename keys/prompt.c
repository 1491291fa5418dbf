#include "keys/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

/* While echo is off, a signal must not leave the terminal so: each is caught and noted, the
 * terminal restored, and only then is it sent again under its old disposition.  They are blocked
 * but while we wait in ppoll(): one that came just before a plain read() would be noted, and the
 * read would wait on. */
static const int caught[] = { SIGALRM, SIGHUP,  SIGINT,  SIGPIPE, SIGQUIT,
			      SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU };

static volatile sig_atomic_t noted[NSIG];

static void note(int sig)
{
	noted[sig] = 1;
}

struct signals {
	struct sigaction old[ARRAY_LEN(caught)];
	sigset_t mask; /* as it was: in force while waiting */
};

static void signals_take(struct signals *s)
{
	struct sigaction sa = { .sa_handler = note };
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		sigaddset(&block, caught[i]);
	/* Blocked, these two would let a background process change the terminal. */
	sigdelset(&block, SIGTTIN);
	sigdelset(&block, SIGTTOU);
	sigprocmask(SIG_BLOCK, &block, &s->mask);
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++) {
		noted[caught[i]] = 0;
		sigaction(caught[i], &sa, &s->old[i]);
	}
}

/* Restore, then deliver what was noted. True if one of them stopped us, so that the user, back
 * again, must be asked anew. */
static bool signals_give_back(const struct signals *s)
{
	bool again = false;

	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		sigaction(caught[i], &s->old[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++) {
		int sig = caught[i];

		if (!noted[sig])
			continue;
		kill(getpid(), sig);
		again = again || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
	}
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
	return again;
}

static bool signal_noted(void)
{
	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		if (noted[caught[i]])
			return true;
	return false;
}

/* One byte; 'mask' is that of the wait, NULL when no signal matters. -EINTR: a signal was noted. */
static ssize_t read_byte(int fd, const sigset_t *mask, uint8_t *c)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (mask && ppoll(&p, 1, NULL, mask) < 0 && errno != EINTR)
			return -errno;
		if (mask && signal_noted())
			return -EINTR;
		if (mask && !p.revents)
			continue;
		n = read(fd, c, 1);
		if (n >= 0 || errno != EINTR)
			return n < 0 ? -errno : n;
	}
}

/* One byte at a time, so that nothing past the line is taken from a terminal or a pipe. */
static int read_line(int fd, const sigset_t *mask, struct secret *s)
{
	for (;;) {
		uint8_t c;
		ssize_t n = read_byte(fd, mask, &c);

		if (n < 0)
			return (int)n;
		if (n == 0 && s->len == 0)
			return -ENODATA;
		if (n == 0 || c == '\n')
			break;
		if (s->len == PROMPT_MAX)
			return -E2BIG;
		s->bytes[s->len++] = c;
	}
	if (s->len > 0 && s->bytes[s->len - 1] == '\r')
		s->len--;
	s->bytes[s->len] = '\0';
	return 0;
}

/* -EINTR: ended by a signal that was delivered; -EAGAIN: ask again. */
static int ask_once(int tty, const char *question, struct secret *s)
{
	struct termios before, quiet;
	struct signals old;
	int r;

	signals_take(&old);
	if (tcgetattr(tty, &before) < 0) {
		signals_give_back(&old);
		return -ENOTTY;
	}
	quiet = before;
	quiet.c_lflag &= (tcflag_t) ~(ECHO | ECHONL);
	/* FLUSH: what was typed ahead, echoed, is not taken for the passphrase. */
	r = tcsetattr(tty, TCSAFLUSH, &quiet) < 0 ? -errno : 0;
	if (r == 0)
		r = fd_write_full(tty, question, strlen(question));
	s->len = 0;
	if (r == 0)
		r = read_line(tty, &old.mask, s);
	fd_write_full(tty, "\n", 1);
	while (tcsetattr(tty, TCSAFLUSH, &before) < 0 && errno == EINTR && !noted[SIGTTOU])
		;
	if (signals_give_back(&old) && r < 0)
		return -EAGAIN;
	return r;
}

static int ask(int tty, const char *question, struct secret **ret, struct err *err)
{
	autosecret struct secret *s = NULL;
	int r = secret_new(PROMPT_MAX, &s);

	if (r < 0)
		return err_set(err, r, "ask for the passphrase");
	do
		r = ask_once(tty, question, s);
	while (r == -EAGAIN);
	if (r == -EINTR || r == -ENODATA)
		return err_set(err, -ECANCELED, "no passphrase was given.");
	if (r == -E2BIG)
		return err_set(err, -EINVAL, "the passphrase is longer than %d bytes.", PROMPT_MAX);
	if (r < 0)
		return err_set(err, r, "ask for the passphrase on the terminal");
	*ret = take_ptr(s);
	return 0;
}

int prompt_passphrase(const char *question, bool confirm, struct secret **ret, struct err *err)
{
	autoclose int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	autosecret struct secret *first = NULL, *second = NULL;
	int r;

	if (tty < 0)
		return err_set(err, -ENOTTY, "there is no terminal to ask for the passphrase.");
	r = ask(tty, question, &first, err);
	if (r < 0)
		return r;
	if (confirm && first->len == 0)
		return err_set(err, -EINVAL, "an empty passphrase protects nothing.");
	if (confirm) {
		r = ask(tty, "Again: ", &second, err);
		if (r < 0)
			return r;
		if (!secret_equal(first, second))
			return err_set(err, -EINVAL, "the two passphrases differ.");
	}
	*ret = take_ptr(first);
	return 0;
}

int prompt_read_fd(int fd, struct secret **ret, struct err *err)
{
	autosecret struct secret *s = NULL;
	int r = secret_new(PROMPT_MAX, &s);

	if (r == 0)
		r = read_line(fd, NULL, s);
	if (r == -ENODATA || (r == 0 && s->len == 0))
		return err_set(err, -EINVAL, "the passphrase is empty.");
	if (r == -E2BIG)
		return err_set(err, -EINVAL, "the passphrase is longer than %d bytes.", PROMPT_MAX);
	if (r < 0)
		return err_set(err, r, "read the passphrase");
	*ret = take_ptr(s);
	return 0;
}

int prompt_read_file(const char *path, struct secret **ret, struct err *err)
{
	autoclose int fd = -1;
	struct stat st;

	if (strcmp(path, "-") == 0)
		return prompt_read_fd(STDIN_FILENO, ret, err);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_set(err, -errno, "open the passphrase file '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "stat the passphrase file '%s'", path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "read the passphrase file '%s'", path);
	/* A pipe, /dev/fd/N of a shell or a socket has no readers but those who hold it. */
	if (S_ISREG(st.st_mode) && (st.st_mode & 077))
		return err_set(err, -EPERM,
			       "the passphrase file '%s' may be read or changed by others (mode "
			       "%04o): run: chmod 600 '%s'.",
			       path, st.st_mode & 07777, path);
	return prompt_read_fd(fd, ret, err);
}
