#include "shell/join.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "shell/host.h"
#include "shell/joins.h"
#include "shell/plan_build.h"
#include "shell/pty.h"
#include "shell/result.h"
#include "shell/sbx_shell.h"
#include "shell/screen.h"
#include "shell/supervise.h"

#define ANSWER_S  15 /* the supervisor has limits to keep, but never waits */
#define LISTENING 0x10000
#define KILLED    (128 + SIGKILL)
#define DRAIN_MS  2000

struct join {
	const struct join_request *rq;
	int sock;
	json_t *hello;
	struct built_plan *built;
	struct supervise sup;
	bool ended; /* 'code' is valid */
	int code;
	char message[JOINS_MESSAGE_MAX];
};

/* Connected, when it is our user's. */
static int connect_run(const char *name)
{
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval wait = { .tv_sec = ANSWER_S };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	size_t n = strlen(name);

	if (fd < 0 || n > sizeof(sa.sun_path) - 2)
		return -EINVAL;
	memcpy(sa.sun_path + 1, name, n);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
	    connect(fd, (struct sockaddr *)&sa,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid != geteuid())
		return -EPERM;
	return take_fd(&fd);
}

static bool means(const char *id, const char *name)
{
	size_t n = strlen(id), len = strlen(name);

	return len && len <= n && (!strncmp(id, name, len) || !strcmp(id + n - len, name));
}

/* Has it been, in this workspace? */
static bool has_ended(const struct join_request *rq)
{
	char path[4096];
	struct stat st;

	return rq->ws && !strchr(rq->run, '/') &&
	       (size_t)snprintf(path, sizeof(path), "%s/runs/%s.json", rq->ws, rq->run) <
		       sizeof(path) &&
	       lstat(path, &st) == 0;
}

/* The kernel lists abstract sockets; ours are named after the run. */
static int find_run(struct join *j, struct err *err)
{
	autofclose FILE *f = fopen("/proc/net/unix", "re");
	const char *run = j->rq->run;
	char line[512];
	unsigned found = 0;

	while (f && fgets(line, sizeof(line), f)) {
		const size_t skip = sizeof(JOINS_PREFIX); /* '@' and the prefix */
		unsigned flags;
		char path[128];
		int fd;

		if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s %127s", &flags, path) != 2 ||
		    !(flags & LISTENING) || path[0] != '@' ||
		    strncmp(path + 1, JOINS_PREFIX, skip - 1) != 0 || !means(path + skip, run))
			continue;
		fd = connect_run(path + 1);
		if (fd < 0)
			continue;
		cleanup_close(&j->sock);
		j->sock = fd;
		if (++found == 1 && !strcmp(path + skip, run))
			return 0;
	}
	if (found == 1)
		return 0;
	if (found > 1)
		return err_set(err, -EINVAL, "'%s' may be any of %u runs: give more of its id.",
			       run, found);
	if (has_ended(j->rq))
		return err_set(err, -ESRCH,
			       "run '%s' has ended; 'sbxctl ps' lists those that go on.", run);
	return err_set(err, -ESRCH, "there is no run '%s' going on; 'sbxctl ps' lists them.", run);
}

/* The next message; fds has FD_PASS_MAX slots. -ENOTCONN when the run has ended. */
static int hear(struct join *j, json_t **ret, int *fds, size_t *ret_nfds, struct err *err)
{
	ssize_t n = fd_recv(j->sock, j->message, sizeof(j->message), fds, ret_nfds);

	if (n == 0 || n == -ECONNRESET)
		return err_set(err, -ENOTCONN, "run '%s' has ended.", j->rq->run);
	if (n == -EAGAIN)
		return err_set(err, -ETIMEDOUT, "run '%s' does not answer.", j->rq->run);
	if (n < 0)
		return err_set(err, (int)n, "hear from run '%s'", j->rq->run);
	return json_parse(j->message, (size_t)n, "the run's answer", ret, err);
}

static int greetings(struct join *j, struct err *err)
{
	int fds[FD_PASS_MAX], r;
	size_t n = 0;

	r = hear(j, &j->hello, fds, &n, err);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	return r;
}

/* What to run, as for a run of its own: the same shell, prompt and few variables. */
static int make_plan(struct join *j, struct err *err)
{
	const char *name = "run";
	struct plan_host host;
	struct plan_request rq = {
		.opts = j->rq->opts,
		.host = &host,
		.command = j->rq->command,
		.interactive = j->rq->interactive,
		.tty = j->rq->tty,
	};

	(void)json_get_str(j->hello, "name", &name, NULL);
	(void)json_get_str(j->hello, "run", &rq.run_id, NULL);
	rq.workspace_name = name;
	host_facts((const char *const *)environ, &host);
	return plan_build(&rq, &j->built, err);
}

static json_t *list_of(char *const *v, bool is_env)
{
	json_t *list = json_array();

	for (; *v; v++)
		if (!is_env || (strncmp(*v, "HOME=", 5) != 0 && strncmp(*v, "PWD=", 4) != 0))
			json_array_append_new(list, json_string(*v));
	return list;
}

static int ask(struct join *j, const int *stdio, struct err *err)
{
	const struct sandbox_plan *p = built_plan_get(j->built);
	unsigned short rows = 0, cols = 0;
	autojson json_t *m = NULL;
	autofree char *text = NULL;
	int r;

	if (j->rq->tty)
		pty_size(&rows, &cols);
	m = json_pack("{s:s, s:o, s:o, s:i, s:i}", "op", "join", "argv", list_of(p->argv, false),
		      "env", list_of(p->envp, true), "rows", rows, "cols", cols);
	if (m && j->rq->opts->cwd)
		json_object_set_new(m, "cwd", json_string(p->cwd));
	text = m ? json_pretty(m) : NULL;
	if (!text)
		return err_set(err, -EINVAL, "the command is not text in UTF-8.");
	if (strlen(text) >= JOINS_MESSAGE_MAX)
		return err_set(err, -E2BIG, "the command is longer than %d bytes.",
			       JOINS_MESSAGE_MAX);
	r = fd_send(j->sock, text, strlen(text), stdio, stdio ? 3 : 0);
	return r < 0 ? err_set(err, r, "ask run '%s'", j->rq->run) : 0;
}

/* Running, with a pty or without; or why not, *ret_code then being what sbx-shell exits with. */
static int await_start(struct join *j, int *ret_pty, int *ret_code, struct err *err)
{
	autojson json_t *m = NULL;
	int fds[FD_PASS_MAX], r;
	const char *why = NULL;
	bool exec = false;
	uint64_t code = 0;
	size_t n = 0;

	r = hear(j, &m, fds, &n, err);
	for (size_t i = 1; i < n; i++)
		close(fds[i]);
	if (n)
		*ret_pty = fds[0];
	if (r < 0)
		return r;
	if (json_get_str(m, "error", &why, NULL) < 0)
		return 0;
	(void)json_get_bool(m, "exec", &exec, NULL);
	(void)json_get_u64(m, "errno", &code, NULL);
	*ret_code = !exec ? EXIT_SETUP : code == ENOENT ? EXIT_NOENT : EXIT_NOEXEC;
	return err_set(err, -ECHILD, "%.900s.", why);
}

static int begin(struct join *j, int *ret_code, struct err *err)
{
	struct supervise *s = &j->sup;
	int inner[3] = { -1, -1, -1 }, pty = -1, r;

	s->limits = &built_plan_get(j->built)->limits;
	s->interactive = j->rq->interactive;
	s->screen = j->rq->screen;
	r = j->rq->tty ? pty_save(STDIN_FILENO, err) : supervise_pipes(s, inner, err);
	if (r == 0)
		r = ask(j, j->rq->tty ? NULL : inner, err);
	for (int i = 0; i < 3; i++)
		cleanup_close(&inner[i]);
	if (r == 0)
		r = await_start(j, &pty, ret_code, err);
	if (r == 0)
		s->sigfd = supervise_signals(err);
	if (r == 0 && s->sigfd < 0)
		r = s->sigfd;
	if (r == 0 && j->rq->tty)
		r = pty >= 0 ? supervise_pty(s, pty, err)
			     : err_set(err, -EPROTO, "run '%s' gave no terminal.", j->rq->run);
	else if (pty >= 0)
		close(pty);
	return r;
}

static void leave(struct join *j, int code)
{
	if (!j->ended)
		j->code = code;
	j->ended = true;
}

static void pass_signal(struct join *j, int sig)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"op\":\"signal\",\"signal\":%d}", sig);

	fd_send(j->sock, text, (size_t)n, NULL, 0);
}

static void on_signal(struct join *j, int sig)
{
	int master = j->sup.master;

	switch (sig) {
	case SIGTERM:
	case SIGHUP:
		/* A shell at its prompt ignores TERM. */
		pass_signal(j, j->rq->interactive ? SIGHUP : sig);
		if (j->rq->interactive)
			leave(j, 128 + sig);
		break;
	case SIGTSTP:
		pty_suspend();
		if (master >= 0)
			pty_redraw(master);
		break;
	case SIGCONT:
		if (master >= 0)
			pty_raw();
		/* fall through */
	case SIGWINCH:
		if (master >= 0)
			pty_copy_size(master);
		else if (sig == SIGWINCH)
			pass_signal(j, sig);
		break;
	case SIGCHLD:
		break;
	default:
		pass_signal(j, sig);
		break;
	}
}

static void on_message(struct join *j)
{
	autojson json_t *m = NULL;
	int fds[FD_PASS_MAX];
	uint64_t status = 0;
	size_t n = 0;

	if (hear(j, &m, fds, &n, NULL) < 0) {
		log_print(LOG_ERROR, "run '%s' has ended, and this with it", j->rq->run);
		leave(j, KILLED);
	} else if (json_get_u64(m, "end", &status, NULL) == 0) {
		if (WIFSIGNALED((int)status) && WTERMSIG((int)status) == SIGKILL)
			log_print(LOG_ERROR, "ended by SIGKILL, as by the run's memory limit");
		leave(j, WIFEXITED((int)status) ? WEXITSTATUS((int)status)
						: 128 + WTERMSIG((int)status));
	}
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void obey_escape(struct join *j)
{
	struct escape *e = &j->rq->screen->escape;
	enum escape_order order = e->order;
	char text[512];

	e->order = ESCAPE_PASS;
	if (order == ESCAPE_END) {
		leave(j, KILLED);
	} else if (order == ESCAPE_SUSPEND) {
		on_signal(j, SIGTSTP);
	} else if (order == ESCAPE_HELP) {
		escape_help(e, text, sizeof(text));
		stream_say(&j->sup.out, text);
	}
}

static void move(struct join *j, const struct pollfd *set)
{
	struct supervise *s = &j->sup;

	stream_move(&s->in, set, NULL);
	if (s->master >= 0)
		obey_escape(j);
	stream_move(&s->out, set, NULL);
	stream_move(&s->errs, set, NULL);
	if (s->out.over || s->errs.over) {
		log_print(LOG_ERROR, "output limit reached; raise it with --output");
		leave(j, KILLED);
	}
	if (s->master >= 0 && ((s->in.eof && !s->in.error) || s->out.error))
		leave(j, 128 + SIGHUP);
}

static void turn(struct join *j)
{
	struct supervise *s = &j->sup;
	struct signalfd_siginfo si;
	struct pollfd set[8];
	size_t n = 2;

	set[0] = (struct pollfd){ .fd = j->sock, .events = POLLIN };
	set[1] = (struct pollfd){ .fd = s->sigfd, .events = POLLIN };
	stream_poll(&s->in, set, &n);
	stream_poll(&s->out, set, &n);
	stream_poll(&s->errs, set, &n);
	/* In the background the terminal is not polled: look again whether we are in front. */
	if (poll(set, n, s->in.src_tty && s->in.src_slot < 0 ? 200 : -1) < 0)
		return;
	if (set[1].revents)
		while (read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
			on_signal(j, (int)si.ssi_signo);
	move(j, set);
	if (!j->ended && set[0].revents)
		on_message(j);
}

/* What it wrote last; we wait for our reader, but not for ever. */
static void drain(struct join *j)
{
	struct stream *outs[] = { &j->sup.out, &j->sup.errs };

	for (int waited = 0; waited < DRAIN_MS; waited += 10) {
		bool pending = false;

		for (int i = 0; i < 2; i++) {
			stream_drain(outs[i]);
			pending |= stream_pending(outs[i]);
		}
		if (!pending)
			return;
		poll(NULL, 0, 10);
	}
}

static void greet(const struct join *j)
{
	const char *workspace = "";
	char name[256], escape[4];

	if (!j->rq->interactive || j->rq->opts->quiet || !isatty(STDERR_FILENO))
		return;
	(void)json_get_str(j->hello, "name", &workspace, NULL);
	str_printable(workspace, name, sizeof(name));
	escape_name(&j->rq->screen->escape, escape);
	fprintf(stderr, "sbx:%s: a second terminal into a run that goes on; 'exit' leaves it",
		name);
	if (*escape)
		fprintf(stderr, ", %s. at once", escape);
	fputc('\n', stderr);
}

/* Up to the moment at which it runs. */
static int set_up(struct join *j, int *ret_code, struct err *err)
{
	int r = stream_init(&j->sup.in, err);

	if (r == 0)
		r = stream_init(&j->sup.out, err);
	if (r == 0)
		r = stream_init(&j->sup.errs, err);
	if (r == 0)
		r = find_run(j, err);
	if (r == 0)
		r = greetings(j, err);
	if (r == 0)
		r = make_plan(j, err);
	return r == 0 ? begin(j, ret_code, err) : r;
}

static int relay(struct join *j)
{
	greet(j);
	if (j->rq->tty) {
		pty_raw();
		pty_copy_size(j->sup.master);
	}
	while (!j->ended)
		turn(j);
	drain(j);
	screen_finish(j->rq->screen);
	pty_restore();
	return j->code;
}

int join_run(const struct join_request *rq, struct err *err)
{
	struct join *j = calloc(1, sizeof(*j));
	int code = EXIT_SETUP, r;

	if (!j)
		return err_set(err, -ENOMEM, "join the run");
	j->rq = rq;
	j->sock = j->sup.sigfd = j->sup.master = -1;
	r = set_up(j, &code, err);
	if (r == 0)
		code = relay(j);
	else
		log_err(r, err);
	cleanup_close(&j->sock);
	supervise_free(&j->sup);
	built_plan_free(j->built);
	json_decref(j->hello);
	free(j);
	return code;
}

/* What belongs to a run cannot be chosen by who joins it. */
int join_check(const struct sbx_shell_opts *o, struct err *err)
{
	struct limit_opts limits = o->limits;

	limits.output = (struct opt_u64){ 0 };
	for (size_t i = 0; i < sizeof(limits) / sizeof(struct opt_u64); i++)
		if (((const struct opt_u64 *)&limits)[i].set)
			return err_set(err, -EINVAL,
				       "--join: the limits are those of the run; leave them out.");
	if (o->ro.n || o->home || o->uid.set || o->profile || o->result || o->jupyter)
		return err_set(err, -EINVAL,
			       "--join: paths, home, user, profile and result are those of the "
			       "run; leave them out.");
	return 0;
}
