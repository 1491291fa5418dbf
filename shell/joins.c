#include "shell/joins.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "sandbox/launch.h"
#include "sandbox/report.h"
#include "shell/supervise.h"

#define JOINED_MAX 16
#define ENV_MAX    256
#define ARGS_MAX   4096
#define DOOR       UINT64_MAX /* the listening socket, in epoll's data */
#define TIMER      (UINT64_MAX - 1)
#define KILLED_S   1 /* the end of the sandbox kills all, and is known right after */

struct joined {
	int sock;   /* -1: nobody listens any more */
	int report; /* of its start; -1: that is over */
	pid_t helper, pid;
	int pty;     /* until it is passed on */
	bool killed; /* by SIGKILL: its end is told when the sandbox lives on */
};

struct joins {
	int door, epoll, timer;
	const char *run_id, *name;
	const struct sandbox_plan *plan;
	struct sandbox *sb;
	struct joined joined[JOINED_MAX];
	char message[JOINS_MESSAGE_MAX];
};

static bool is_free(const struct joined *j)
{
	return j->sock < 0 && j->report < 0 && !j->helper && !j->pid;
}

static int watch(struct joins *js, int fd, uint64_t data)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = data };

	return epoll_ctl(js->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int listen_on(const char *run_id, struct err *err)
{
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, JOINS_PREFIX "%s", run_id);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 8) < 0)
		return err_set(err, -errno, "listen for those who join the run");
	return take_fd(&fd);
}

int joins_open(const char *run_id, const char *name, const struct sandbox_plan *plan,
	       struct sandbox *sb, struct joins **ret, struct err *err)
{
	struct joins *js = malloc(sizeof(*js));
	int r;

	if (!js)
		return err_set(err, -ENOMEM, "listen for those who join the run");
	*js = (struct joins){ .door = -1,
			      .epoll = -1,
			      .timer = -1,
			      .run_id = run_id,
			      .name = name,
			      .plan = plan,
			      .sb = sb };
	for (size_t i = 0; i < JOINED_MAX; i++)
		js->joined[i] = (struct joined){ .sock = -1, .report = -1, .pty = -1 };
	js->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = js->epoll < 0 ? err_set(err, -errno, "make an epoll") : listen_on(run_id, err);
	if (r >= 0) {
		js->door = r;
		js->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		r = js->timer < 0 ? -errno : watch(js, js->timer, TIMER);
	}
	if (r >= 0)
		r = watch(js, js->door, DOOR);
	if (r < 0) {
		joins_free(js);
		return r;
	}
	*ret = js;
	return 0;
}

/* 'message' is taken. A joiner that does not read is none. */
static void say(const struct joined *j, json_t *message, const int *fds, size_t nfds)
{
	autojson json_t *m = message;
	autofree char *text = m ? json_pretty(m) : NULL;

	if (text && j->sock >= 0)
		fd_send(j->sock, text, strlen(text), fds, nfds);
}

static void tell_end(struct joined *j, int status)
{
	say(j, json_pack("{s:i}", "end", status), NULL, 0);
	cleanup_close(&j->sock);
	j->sock = -1;
	j->killed = false;
}

static void close_joiner(struct joined *j)
{
	cleanup_close(&j->sock);
	j->sock = -1;
	cleanup_close(&j->pty);
	j->pty = -1;
	j->killed = false;
	/* Its own end, or what is left of it: jobs that it put in the background live on until the
	 * sandbox ends, as after any terminal. */
	if (j->pid > 0) {
		kill(-j->pid, SIGHUP);
		kill(-j->pid, SIGCONT);
		kill(j->pid, SIGKILL);
	}
}

static void fail(struct joined *j, int code, const struct err *err, bool exec)
{
	say(j,
	    json_pack("{s:s, s:i, s:b}", "error", err->text[0] ? err->text : strerror(-code),
		      "errno", code < 0 ? -code : code, "exec", exec),
	    NULL, 0);
	close_joiner(j);
}

static void admit(struct joins *js)
{
	autoclose int fd = accept4(js->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	size_t i = 0;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    cred.uid != geteuid())
		return;
	while (i < JOINED_MAX && !is_free(&js->joined[i]))
		i++;
	if (i == JOINED_MAX || watch(js, fd, i * 2) < 0)
		return;
	js->joined[i].sock = take_fd(&fd);
	say(&js->joined[i], json_pack("{s:s, s:s}", "run", js->run_id, "name", js->name), NULL, 0);
}

/* Strings borrowed from 'list', NULL-ended; -EINVAL when it is none. */
static int string_list(const json_t *list, char **out, size_t n, size_t max)
{
	const json_t *v;
	size_t i;

	if (!json_is_array(list) || n + json_array_size(list) >= max)
		return -EINVAL;
	json_array_foreach (list, i, v) {
		if (!json_is_string(v))
			return -EINVAL;
		out[n++] = (char *)json_string_value(v);
	}
	out[n] = NULL;
	return 0;
}

/* The sandbox's environment, in which 'given' replaces what it names; where $HOME is, it knows. */
static int merge_env(char *const *base, char **given, char **out)
{
	size_t n = 0;

	for (size_t i = 0; base[i] && n < ENV_MAX; i++) {
		size_t len = strcspn(base[i], "=") + 1;
		bool replaced = false;

		for (size_t k = 0; given[k]; k++)
			replaced |= !strncmp(given[k], base[i], len);
		if (!replaced)
			out[n++] = base[i];
	}
	for (size_t k = 0; given[k] && n < ENV_MAX; k++)
		out[n++] = given[k];
	out[n] = NULL;
	return n < ENV_MAX ? 0 : -E2BIG;
}

static void start(struct joins *js, size_t slot, const json_t *m, const int *fds, size_t nfds)
{
	static char *argv[ARGS_MAX], *given[ENV_MAX], *envp[ENV_MAX + 1];
	struct joined *j = &js->joined[slot];
	struct sandbox_plan plan = *js->plan;
	struct err err = { 0 };
	const char *cwd = NULL;
	uint64_t rows = 0, cols = 0;
	pid_t helper;

	if (j->pid || j->helper || string_list(json_object_get(m, "argv"), argv, 0, ARGS_MAX) < 0 ||
	    !argv[0] || string_list(json_object_get(m, "env"), given, 0, ENV_MAX) < 0 ||
	    merge_env(plan.envp, given, envp) < 0 || (nfds != 0 && nfds != 3)) {
		err_set(&err, -EINVAL, "the run was asked to start something that it cannot read.");
		fail(j, -EINVAL, &err, false);
		return;
	}
	(void)json_get_u64(m, "rows", &rows, NULL);
	(void)json_get_u64(m, "cols", &cols, NULL);
	if (json_get_str(m, "cwd", &cwd, NULL) == 0 && path_is_clean_absolute(cwd))
		plan.cwd = cwd;
	plan.argv = argv;
	plan.envp = envp;
	plan.tty = nfds == 0;
	plan.tty_rows = (unsigned short)rows;
	plan.tty_cols = (unsigned short)cols;
	for (size_t i = 0; i < 3; i++)
		plan.stdio[i] = nfds ? fds[i] : -1;
	plan.explain = false;
	plan.kernel = NULL;
	helper = sandbox_attach(js->sb, &plan, &j->report, &err);
	if (helper < 0) {
		fail(j, helper, &err, false);
		return;
	}
	j->helper = helper;
	if (watch(js, j->report, slot * 2 + 1) < 0)
		close_joiner(j);
}

static void pass_signal(const struct joined *j, const json_t *m)
{
	static const int passed[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH
	};
	uint64_t sig = 0;

	if (j->pid <= 0 || json_get_u64(m, "signal", &sig, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(passed); i++)
		if (passed[i] == (int)sig) {
			kill(-j->pid, (int)sig);
			kill(-j->pid, SIGCONT);
		}
}

static void hear(struct joins *js, size_t slot)
{
	struct joined *j = &js->joined[slot];
	int fds[FD_PASS_MAX];
	size_t nfds = 0;
	ssize_t n;
	autojson json_t *m = NULL;
	const char *op = "";

	if (j->sock < 0)
		return;
	n = fd_recv(j->sock, js->message, sizeof(js->message), fds, &nfds);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		close_joiner(j);
		return;
	}
	if (json_parse(js->message, (size_t)n, "the request", &m, NULL) == 0)
		(void)json_get_str(m, "op", &op, NULL);
	if (!strcmp(op, "join"))
		start(js, slot, m, fds, nfds);
	else if (!strcmp(op, "signal"))
		pass_signal(j, m);
	else
		close_joiner(j);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

/* How the start goes on. */
static void follow(struct joins *js, size_t slot)
{
	struct joined *j = &js->joined[slot];
	struct report rep;
	int fds[FD_PASS_MAX], r;
	size_t n = 0;

	if (j->report < 0)
		return;
	r = report_recv(j->report, &rep, fds, &n);
	if (r == -ENOTCONN) {
		/* Replaced by the program. */
		close(j->report);
		j->report = -1;
		say(j, json_pack("{s:b}", "running", true), &j->pty, j->pty >= 0 ? 1 : 0);
		cleanup_close(&j->pty);
		j->pty = -1;
		/* The joiner left while it started. */
		if (j->sock < 0)
			close_joiner(j);
		return;
	}
	if (r == 0 && rep.kind == REPORT_JOINED) {
		j->pid = rep.value;
	} else if (r == 0 && rep.kind == REPORT_RUNNING) {
		j->pty = n > 0 ? fds[0] : -1;
		n = 0;
	} else {
		fail(j, r < 0 ? r : rep.value, &rep.err, r == 0 && rep.kind == REPORT_EXEC);
		close(j->report);
		j->report = -1;
	}
	for (size_t i = r == 0 && rep.kind == REPORT_RUNNING; i < n; i++)
		close(fds[i]);
}

static void reap(void *self)
{
	const struct itimerspec soon = { .it_value.tv_sec = KILLED_S };
	struct joins *js = self;

	for (size_t i = 0; i < JOINED_MAX; i++) {
		struct joined *j = &js->joined[i];
		int status;

		if (j->helper > 0 && waitpid(j->helper, NULL, WNOHANG) == j->helper)
			j->helper = 0;
		/* What it reported on its way is read first. */
		if (j->pid <= 0 || j->report >= 0 || waitpid(j->pid, &status, WNOHANG) != j->pid)
			continue;
		j->pid = 0;
		j->killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (j->killed)
			timerfd_settime(js->timer, 0, &soon, NULL);
		else
			tell_end(j, status);
	}
}

/* Time is up, and the sandbox is still there. */
static void tell_killed(struct joins *js)
{
	uint64_t count;

	if (read(js->timer, &count, sizeof(count)) < 0)
		return;
	for (size_t i = 0; i < JOINED_MAX; i++)
		if (js->joined[i].killed)
			tell_end(&js->joined[i], SIGKILL); /* a wait status: that signal */
}

static void ready(void *self)
{
	struct joins *js = self;
	struct epoll_event events[8];
	int n = epoll_wait(js->epoll, events, ARRAY_LEN(events), 0);

	for (int i = 0; i < n; i++) {
		uint64_t what = events[i].data.u64;

		if (what == DOOR)
			admit(js);
		else if (what == TIMER)
			tell_killed(js);
		else if (what % 2)
			follow(js, what / 2);
		else
			hear(js, what / 2);
	}
	reap(js);
}

void joins_offer(struct joins *js, struct supervise_more *ret)
{
	*ret = (struct supervise_more){ .self = js, .fd = js->epoll, .ready = ready, .reap = reap };
}

void joins_free(struct joins *js)
{
	if (!js)
		return;
	for (size_t i = 0; i < JOINED_MAX; i++) {
		cleanup_close(&js->joined[i].sock);
		cleanup_close(&js->joined[i].report);
		cleanup_close(&js->joined[i].pty);
	}
	cleanup_close(&js->timer);
	cleanup_close(&js->door);
	cleanup_close(&js->epoll);
	free(js);
}
