/* How programs reach the daemon of a workspace, and how they start it.
 *
 * The name of the daemon's socket stands in WS/lock.  Two programs may start a daemon at the same
 * moment, and one may call just when the daemon leaves: both show as "nobody answers, but the lock
 * is held" and pass within milliseconds.  So opening is a loop: ask, start, ask again, until it
 * answers or a deadline passes.  A lock file left by a killed daemon names a socket that nobody
 * holds (the kernel frees both), so it is no obstacle. */
#include "fs/client_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "config.h"

#define LOCK_FILE_MAX 4096
#define OPEN_WAIT_MS  15000
#define TELL_AFTER_MS 3000
#define HELLO_WAIT_S  60 /* it may be syncing for another */

struct fsc {
	int fd;
	int pidfd;
	pid_t pid;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

int fsc_reply_check(const json_t *reply, struct err *err)
{
	const char *text = "the daemon answered with an error.";
	uint64_t code = EIO;
	bool ok = false;

	if (!json_is_object(reply) || json_get_bool(reply, "ok", &ok, NULL) < 0)
		return err_set(err, -EPROTO, "the daemon sent an answer that is not understood.");
	if (ok)
		return 0;
	(void)json_get_u64(reply, "code", &code, NULL);
	(void)json_get_str(reply, "error", &text, NULL);
	if (code == 0 || code > 4095)
		code = EIO;
	if (err) {
		err->code = -(int)code;
		snprintf(err->text, sizeof(err->text), "%s", text);
	}
	return -(int)code;
}

/* -- finding the daemon --------------------------------------------------- */

/* Who serves it, as far as the lock file knows. -ENOTCONN: nobody, or not readable as such. */
static int lock_read(int wsfd, char sock[static 64], pid_t *ret_pid)
{
	autofree char *text = NULL;
	autojson json_t *j = NULL;
	const char *name;
	uint64_t pid = 0;
	size_t len;

	if (fd_read_file(wsfd, "lock", LOCK_FILE_MAX, &text, &len, NULL) < 0)
		return -ENOTCONN;
	if (json_parse(text, len, "lock", &j, NULL) < 0 ||
	    json_get_str(j, "socket", &name, NULL) < 0 || json_get_u64(j, "pid", &pid, NULL) < 0)
		return -ENOTCONN;
	if (strlen(name) == 0 || strlen(name) >= 64)
		return -ENOTCONN;
	strcpy(sock, name);
	*ret_pid = (pid_t)pid;
	return 0;
}

static int socket_connect(const char *name, int *ret)
{
	/* One that is stopped accepts nobody: to connect to it must not take forever. */
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	if (fd < 0)
		return -errno;
	memcpy(sa.sun_path + 1, name, len);
	if (connect(fd, (struct sockaddr *)&sa,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0)
		return errno == ECONNREFUSED || errno == EAGAIN ? -ENOTCONN : -errno;
	if (fcntl(fd, F_SETFL, 0) < 0)
		return -errno;
	*ret = take_fd(&fd);
	return 0;
}

static int hello(struct fsc *c, const char *ws, struct err *err)
{
	struct timeval patience = { .tv_sec = HELLO_WAIT_S }, none = { 0 };
	autojson json_t *reply = NULL;
	int r;

	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r = fsc_call(c, json_pack("{s:s}", "op", "hello"), NULL, 0, &reply, NULL, NULL, err);
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	if (r == -EAGAIN)
		return err_set(err, -EBUSY,
			       "the daemon of '%s' (process %d) does not answer within %d s.", ws,
			       (int)c->pid, HELLO_WAIT_S);
	if (r == -EBUSY)
		return r;
	/* A daemon that was just leaving closes the connection: nobody serves then. */
	return r < 0 ? err_set(err, -ENOTCONN, "the daemon of '%s' does not answer.", ws) : 0;
}

/* One attempt. -ENOTCONN: nobody answers (yet). */
static int connect_named(const char *name, const char *ws, struct fsc **ret, struct err *err)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct fsc *c;
	int fd = -1;
	int r = socket_connect(name, &fd);

	if (r == -ENOTCONN)
		return err_set(err, r, "workspace '%s' is not served by a daemon.", ws);
	if (r < 0)
		return err_set(err, r, "connect to the daemon of '%s'", ws);
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return err_set(err, -ENOMEM, "connect to the daemon of '%s'", ws);
	}
	*c = (struct fsc){ .fd = fd, .pidfd = -1 };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		r = err_set(err, -errno, "ask who serves '%s'", ws);
	else if (cred.uid != geteuid())
		r = err_set(err, -EBUSY, "workspace '%s' is served for another user (uid %u).", ws,
			    cred.uid);
	if (r == 0) {
		c->pid = cred.pid;
		c->pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
		r = hello(c, ws, err);
	}
	if (r < 0) {
		fsc_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* The same, by the name in the lock file. */
static int try_connect(int wsfd, const char *ws, struct fsc **ret, struct err *err)
{
	char name[64];
	pid_t pid;
	int r = lock_read(wsfd, name, &pid);

	if (r < 0)
		return err_set(err, r, "workspace '%s' is not served by a daemon.", ws);
	return connect_named(name, ws, ret, err);
}

/* -- starting it ---------------------------------------------------------- */

int fsc_daemon_path(char *ret, size_t size)
{
	static const char beside[] = "/../fs/sbxfsd";
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - sizeof(beside));
	char *slash;

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash) {
			strcpy(slash, beside);
			if (access(exe, X_OK) == 0)
				return (size_t)snprintf(ret, size, "%s", exe) < size
					       ? 0
					       : -ENAMETOOLONG;
		}
	}
	if ((size_t)snprintf(ret, size, "%s/sbxfsd", SBX_LIBEXECDIR) >= size)
		return -ENAMETOOLONG;
	return access(ret, X_OK) < 0 ? -errno : 0;
}

int fsc_daemon_must(char *ret, size_t size, struct err *err)
{
	int r = fsc_daemon_path(ret, size);

	if (r < 0)
		return err_set(err, r, "the program '%s' of this installation", ret);
	return 0;
}

/* What a daemon may know of its caller's environment, which can hold secrets and which it would
 * keep for as long as it lives.  Ending in '_': all that begin so. */
static bool env_passes(const char *var)
{
	static const char *const names[] = {
		"HOME=",
		"PATH=",
		"TERM=",
		"TZ=",
		"LANG=",
		"LC_",
		"XDG_CONFIG_HOME=",
		"XDG_STATE_HOME=",
		"XDG_RUNTIME_DIR=",
		"LD_",
		"SBX_",
		"ASAN_OPTIONS=",
		"LSAN_OPTIONS=",
		"TSAN_OPTIONS=",
		"UBSAN_OPTIONS=",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(var, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

_Noreturn void fsc_exec(const char *path, char *const *argv)
{
	const char *envp[64];
	size_t n = 0;
	sigset_t none;

	for (char **e = environ; *e && n < sizeof(envp) / sizeof(envp[0]) - 1; e++)
		if (env_passes(*e))
			envp[n++] = *e;
	envp[n] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, argv, (char *const *)envp);
	_exit(127);
}

/* The daemon is a grandchild: init reaps it, and it still has our terminal for the passphrase
 * until it calls setsid(). */
static int spawn_detached(const char *path, char *const *argv, int keep_fd)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child == 0) {
		pid_t grandchild = fork();

		if (grandchild != 0)
			_exit(grandchild < 0 ? 1 : 0);
		if (fcntl(keep_fd, F_SETFD, 0) < 0)
			_exit(127);
		fsc_exec(path, argv);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

static size_t serve_argv(const struct fsc_options *o, const char *path, const char *fd,
			 const char *argv[static 12])
{
	size_t n = 0;

	argv[n++] = path;
	argv[n++] = "serve";
	argv[n++] = "--ready-fd";
	argv[n++] = fd;
	if (o->passphrase_file) {
		argv[n++] = "--passphrase-file";
		argv[n++] = o->passphrase_file;
	}
	if (o->recovery_file) {
		argv[n++] = "--recovery-file";
		argv[n++] = o->recovery_file;
	}
	if (o->foreground)
		argv[n++] = "--foreground";
	argv[n++] = "--";
	argv[n++] = o->ws;
	argv[n] = NULL;
	return n;
}

static json_t *lock_text(int wsfd)
{
	autofree char *text = NULL;
	json_t *j;
	size_t len;

	if (fd_read_file(wsfd, "lock", LOCK_FILE_MAX, &text, &len, NULL) < 0 ||
	    json_parse(text, len, "lock", &j, NULL) < 0)
		return NULL;
	return j;
}

/* By sbxctl fsck: that may take hours, and waiting would be silent. */
static bool being_checked(int wsfd)
{
	autojson json_t *j = lock_text(wsfd);

	return json_is_true(json_object_get(j, "check"));
}

/* A lock file with a process and no socket: the store is being mended after a crash, which takes as
 * long as it takes. */
static bool being_opened(int wsfd, const char *ws, bool *told)
{
	autojson json_t *j = lock_text(wsfd);
	uint64_t pid = 0;

	if (!j || json_object_get(j, "socket") || json_get_u64(j, "pid", &pid, NULL) < 0 ||
	    kill((pid_t)pid, 0) < 0)
		return false;
	if (!*told)
		log_print(LOG_NOTE,
			  "workspace '%s' is being opened by process %llu, after a crash "
			  "mended: waiting for it.",
			  ws, (unsigned long long)pid);
	*told = true;
	return true;
}

/* Opening is a matter of milliseconds, but after a crash. Not said while a passphrase is asked: the
 * lock has no text yet then. */
static void wait_for_word(int line, int wsfd, const char *ws, bool *told)
{
	struct pollfd p = { .fd = line, .events = POLLIN };

	while (!*told && poll(&p, 1, TELL_AFTER_MS) == 0)
		(void)being_opened(wsfd, ws, told);
}

/* Start one and wait for its word: ready and where (a lock file on read-only media cannot say so),
 * or why not. It ends when '*ret_line' is closed before anybody connected. */
static int daemon_start(const struct fsc_options *o, int wsfd, bool *told, char sock[static 64],
			int *ret_line, struct err *err)
{
	char path[4096], fdtext[16], buf[8192];
	const char *argv[16];
	autojson json_t *reply = NULL;
	int sv[2], fds[FD_PASS_MAX], r;
	autoclose int line = -1;
	const char *name;
	size_t nfds;
	ssize_t n;

	r = fsc_daemon_must(path, sizeof(path), err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "start the daemon of '%s'", o->ws);
	line = sv[0];
	snprintf(fdtext, sizeof(fdtext), "%d", sv[1]);
	serve_argv(o, path, fdtext, argv);
	r = spawn_detached(path, (char *const *)argv, sv[1]);
	close(sv[1]);
	if (r < 0)
		return err_set(err, r, "start '%s'", path);
	wait_for_word(line, wsfd, o->ws, told);
	n = fd_recv(line, buf, sizeof(buf), fds, &nfds);
	if (n <= 0)
		return err_set(err, -EIO, "the daemon of '%s' ended before it was ready.", o->ws);
	r = json_parse(buf, (size_t)n, "the daemon's answer", &reply, err);
	if (r == 0)
		r = fsc_reply_check(reply, err);
	if (r == 0 && (json_get_str(reply, "socket", &name, NULL) < 0 || strlen(name) >= 64))
		r = err_set(err, -EPROTO, "the daemon sent an answer that is not understood.");
	if (r < 0)
		return r;
	strcpy(sock, name);
	*ret_line = take_fd(&line);
	return 0;
}

static int open_ws(const char *ws, int *ret, struct err *err)
{
	int fd = open(ws, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return err_set(err, -ENOENT,
			       "there is no workspace '%s'; make one: sbxctl init %s.", ws, ws);
	if (fd < 0)
		return err_set(err, -errno, "open workspace '%s'", ws);
	*ret = fd;
	return 0;
}

int fsc_open(const struct fsc_options *o, struct fsc **ret, struct err *err)
{
	uint64_t deadline = now_ms() + OPEN_WAIT_MS;
	autoclose int wsfd = -1;
	unsigned wait = 2;
	bool told = false;
	char sock[64];
	int r = open_ws(o->ws, &wsfd, err);

	if (r < 0)
		return r;
	for (;;) {
		autoclose int line = -1;

		r = try_connect(wsfd, o->ws, ret, err);
		if (r != -ENOTCONN || !o->start)
			return r;
		r = daemon_start(o, wsfd, &told, sock, &line, err);
		if (r == 0)
			r = connect_named(sock, o->ws, ret, err);
		if (r == 0 || (r != -EBUSY && r != -ENOTCONN))
			return r;
		if (r == -EBUSY && being_checked(wsfd))
			return r;
		/* Another holds the lock and is starting or leaving: ask again. */
		if (now_ms() >= deadline && !being_opened(wsfd, o->ws, &told))
			return r == -EBUSY ? r
					   : err_set(err, -EBUSY,
						     "the daemon of '%s' does not answer.", o->ws);
		sleep_ms(wait);
		wait = MIN(wait * 2, 200u);
	}
}

void fsc_close(struct fsc *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	if (c->pidfd >= 0)
		close(c->pidfd);
	free(c);
}

/* -- requests ------------------------------------------------------------- */

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static int call_receive(struct fsc *c, json_t **ret, int *fds, size_t *nfds, struct err *err)
{
	autofree char *buf = malloc(MESSAGE_MAX);
	autojson json_t *reply = NULL;
	ssize_t n;
	int r;

	if (!buf)
		return err_set(err, -ENOMEM, "read the daemon's answer");
	n = fd_recv(c->fd, buf, MESSAGE_MAX, fds, nfds);
	if (n < 0 && n != -ECONNRESET)
		return err_set(err, (int)n, "read the daemon's answer");
	if (n <= 0)
		return err_set(err, -ENOTCONN, "the daemon ended while it was asked.");
	r = json_parse(buf, (size_t)n, "the daemon's answer", &reply, err);
	if (r == 0)
		r = fsc_reply_check(reply, err);
	if (r < 0) {
		close_all(fds, *nfds);
		*nfds = 0;
		return r;
	}
	*ret = take_ptr(reply);
	return 0;
}

static int call_send(struct fsc *c, json_t *req, const int *send_fds, size_t nsend, struct err *err)
{
	autofree char *text = req ? json_canonical(req) : NULL;
	int r;

	json_decref(req);
	if (!text)
		return err_set(err, -ENOMEM, "make a request");
	if (strlen(text) > MESSAGE_MAX)
		return err_set(err, -EMSGSIZE, "the request is larger than %d bytes.", MESSAGE_MAX);
	r = fd_send(c->fd, text, strlen(text), send_fds, nsend);
	/* One that closed may have said why before. */
	return r < 0 && r != -EPIPE ? err_set(err, r, "the daemon does not answer.") : 0;
}

int fsc_call(struct fsc *c, json_t *req, const int *send_fds, size_t nsend, json_t **ret, int *fds,
	     size_t *ret_nfds, struct err *err)
{
	autojson json_t *reply = NULL;
	int got[FD_PASS_MAX], r = call_send(c, req, send_fds, nsend, err);
	size_t ngot = 0;

	if (r == 0)
		r = call_receive(c, &reply, got, &ngot, err);
	if (r < 0)
		return r;
	if (fds)
		memcpy(fds, got, sizeof(got));
	else
		close_all(got, ngot);
	if (ret_nfds)
		*ret_nfds = ngot;
	if (ret)
		*ret = take_ptr(reply);
	return 0;
}

int fsc_call_within(struct fsc *c, json_t *req, int ms, json_t **ret, struct err *err)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int got[FD_PASS_MAX], r = call_send(c, req, NULL, 0, err);
	size_t ngot = 0;

	if (r < 0)
		return r;
	if (poll(&p, 1, ms) != 1) {
		shutdown(c->fd, SHUT_RDWR);
		return err_set(err, -ETIMEDOUT, "the daemon does not answer.");
	}
	r = call_receive(c, ret, got, &ngot, err);
	if (r == 0)
		close_all(got, ngot);
	return r;
}

int fsc_fd(const struct fsc *c)
{
	return c->fd;
}

pid_t fsc_pid(const struct fsc *c)
{
	return c->pid;
}

bool fsc_stopped(const struct fsc *c)
{
	autofree char *text = NULL;
	char path[48];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)c->pid);
	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return false;
	/* behind a name that may hold anything */
	p = strrchr(text, ')');
	return p && (p[1] == ' ') && (p[2] == 'T' || p[2] == 't');
}

int fsc_kill(struct fsc *c)
{
	if (c->pidfd < 0)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}
