#include "shell/jup.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "sandbox/launch.h"
#include "sandbox/plan.h"
#include "shell/jup_conn.h"
#include "shell/jup_farewell.h"
#include "shell/jup_folder.h"
#include "shell/jup_listen.h"
#include "shell/jup_relay.h"
#include "shell/jup_requests.h"
#include "shell/jup_warn.h"
#include "shell/sbx_shell.h"

#define FOLDER     "/notebook"    /* where the notebook's folder is, inside */
#define PRIVATE    "/tmp/jupyter" /* files that are no outputs */
#define LOOK_MS    200
#define STRINGS    40
#define FIRST_PORT 9001 /* inside, for a client that has no ports itself */

struct jup {
	struct jup_conn conn;
	int listen[JUP_CHANNELS];
	struct jup_requests requests;
	struct jup_relay *relay;
	struct plan_kernel plan;
	char *inner;            /* text of the kernel's connection file */
	char file[256];         /* and its name inside */
	char *strings[STRINGS]; /* other owned strings */
	size_t nstrings;
	char folder[PATH_MAX]; /* that is shown, or "" */
	const char *hidden;    /* why none is shown */
	int parent;            /* pidfd of who started us, -1 = cannot be watched */
	int epoll;             /* the relay and the parent */
	bool orphaned;
	struct supervise_side side;
	struct sandbox *sb;
	struct plan_limits limits;
	uint64_t idle_ms, start;
	bool warned_memory, warned_time;
};

/* -- before ------------------------------------------------------------------------------------ */

int jup_open(const struct sbx_shell_opts *o, struct jup **ret, struct err *err)
{
	struct jup *j = calloc(1, sizeof(*j));
	pid_t parent = getppid();
	int r;

	if (!j)
		return err_set(err, -ENOMEM, "start a kernel");
	j->epoll = -1;
	for (int i = 0; i < JUP_CHANNELS; i++)
		j->listen[i] = -1;
	j->parent = parent > 0 ? pidfd_open(parent, 0) : -1;
	j->idle_ms = o->idle.value;
	r = jup_conn_read(o->jupyter, &j->conn, err);
	if (r == 0)
		r = jup_listen(&j->conn, j->listen, err);
	if (r == 0)
		r = jup_relay_new(j->listen, &j->requests, &j->relay, err);
	if (r < 0) {
		jup_free(j);
		return r;
	}
	*ret = j;
	return 0;
}

/* Takes 's'. */
static const char *keep(struct jup *j, char *s)
{
	if (s && j->nstrings < STRINGS)
		return j->strings[j->nstrings++] = s;
	free(s);
	return NULL;
}

/* At the front: what the user says comes later and stands. */
static int add_first(struct jup *j, struct opt_list *l, char *text, struct err *err)
{
	const char *kept = keep(j, text);

	if (!kept)
		return err_set(err, -ENOMEM, "start a kernel");
	if (l->n == OPT_LIST_MAX)
		return err_set(err, -E2BIG, "too many --env or --ro for a kernel.");
	memmove(&l->v[1], &l->v[0], l->n * sizeof(l->v[0]));
	l->v[0] = kept;
	l->n++;
	return 0;
}

/* The server's variables hold its tokens: only what is known to be about the notebook passes. */
static int add_env(struct jup *j, struct sbx_shell_opts *o, struct err *err)
{
	/* A kernel that is told its parent's number ends when that is not its parent's; 1 is what
	 * it sees, and means that nobody need be watched. */
	static const char *const fixed[] = {
		"JPY_PARENT_PID=1",
		"PYTHONDONTWRITEBYTECODE=1",
		"IPYTHONDIR=" PRIVATE "/ipython",
	};
	static const char *const passed[] = { "JPY_SESSION_NAME=", "MPLBACKEND=",
					      "OMP_NUM_THREADS=",
					      "PYDEVD_DISABLE_FILE_VALIDATION=" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(fixed) && r == 0; i++)
		r = add_first(j, &o->env, strdup(fixed[i]), err);
	for (char **e = environ; *e && r == 0; e++)
		for (size_t i = 0; i < ARRAY_LEN(passed) && r == 0; i++)
			if (!strncmp(*e, passed[i], strlen(passed[i])))
				r = add_first(j, &o->env, strdup(*e), err);
	/* A home that is kept would keep the font cache, too, among the outputs. */
	if (r == 0 && o->home && !strcmp(o->home, "persist"))
		r = add_first(j, &o->env, strdup("MPLCONFIGDIR=" PRIVATE "/matplotlib"), err);
	return r;
}

/* The folder of the notebook, unless it is one that must not be shown by accident. */
static int add_folder(struct jup *j, struct sbx_shell_opts *o, struct err *err)
{
	const char *home = getenv("HOME"), *named = o->notebook_dir;
	autofree char *real = realpath(named && strcmp(named, "none") != 0 ? named : ".", NULL);
	autofree char *real_home = home ? realpath(home, NULL) : NULL;
	struct stat st;

	if (named && !strcmp(named, "none"))
		return 0;
	if (!real && named)
		return err_set(err, -errno, "--notebook-dir: '%s'", named);
	j->hidden = real ? jup_folder_refuse(real, real_home) : "it cannot be reached";
	/* Inside nobody is root. */
	if (!j->hidden && geteuid() == 0 && stat(real, &st) == 0 && (st.st_mode & 05) != 05)
		j->hidden = "only its owner may read it";
	if (named && j->hidden && !strcmp(real, "/"))
		return err_set(err, -EINVAL,
			       "--notebook-dir: '/' holds all files; name the "
			       "notebook's folder.");
	snprintf(j->folder, sizeof(j->folder), "%s", real ? real : "");
	if (j->hidden && !named)
		return 0;
	j->hidden = NULL;
	j->plan.links = FOLDER;
	return add_first(j, &o->ro, str_printf("%s:%s", j->folder, FOLDER), err);
}

/* Inside it has the same name: a kernel may read its id from it. */
static void name_file(struct jup *j, const char *outer)
{
	const char *slash = strrchr(outer, '/'), *name = slash ? slash + 1 : outer;

	snprintf(j->file, sizeof(j->file), "%s/%s", PRIVATE,
		 name_is_plain(name) ? name : "kernel.json");
	j->plan.file = j->file;
}

static int fill_placeholder(struct jup *j, char **command, struct err *err)
{
	bool found = false;

	for (char **a = command; *a; a++) {
		char *at = strstr(*a, JUP_PLACEHOLDER);
		const char *made;

		if (!at)
			continue;
		made = keep(j, str_printf("%.*s%s%s", (int)(at - *a), *a, j->file,
					  at + strlen(JUP_PLACEHOLDER)));
		if (!made)
			return err_set(err, -ENOMEM, "start a kernel");
		*a = (char *)made;
		found = true;
	}
	return found ? 0
		     : err_set(err, -EINVAL,
			       "--jupyter: the command does not say where it takes the connection "
			       "file: write '%s' there.",
			       JUP_PLACEHOLDER);
}

int jup_prepare(struct jup *j, struct sbx_shell_opts *o, char **command, struct err *err)
{
	bool files = o->jupyter_transport && !strcmp(o->jupyter_transport, "ipc");
	int r;

	for (int i = 0; i < JUP_CHANNELS; i++)
		j->plan.ports[i] = j->conn.ipc ? (uint16_t)(FIRST_PORT + i) : j->conn.ports[i];
	if (files)
		j->plan.sockets = PRIVATE "/k";
	name_file(j, o->jupyter);
	j->inner = jup_conn_inner(&j->conn, j->plan.ports, j->plan.sockets);
	if (!j->inner)
		return err_set(err, -ENOMEM, "start a kernel");
	j->plan.text = j->inner;
	r = fill_placeholder(j, command, err);
	if (r == 0)
		r = add_env(j, o, err);
	if (r == 0)
		r = add_folder(j, o, err);
	return r;
}

void jup_fill(struct jup *j, struct sandbox_plan *plan)
{
	plan->kernel = &j->plan;
	j->limits = plan->limits;
}

/* -- while it runs ----------------------------------------------------------------------------- */

static void on_ready(void *self)
{
	struct jup *j = self;
	struct pollfd p = { .fd = j->parent, .events = POLLIN };

	jup_relay_turn(j->relay);
	if (j->parent >= 0 && poll(&p, 1, 0) == 1) {
		j->orphaned = true;
		epoll_ctl(j->epoll, EPOLL_CTL_DEL, j->parent, NULL);
	}
}

static void warn(struct jup *j, const char *what, const char *limit, const char *option)
{
	autofree char *line = str_printf(
		"sbx: 90 %% of the %s limit of %s is used; at the limit the kernel is ended. %s "
		"raises it.\n",
		what, limit, option);

	if (line && !jup_warn(sandbox_worker(j->sb), line))
		log_print(LOG_WARN, "%.*s", (int)strlen(line) - 1, line);
}

static void look_at_memory(struct jup *j)
{
	uint64_t limit = j->limits.memory_bytes, used = limit ? sandbox_memory_used(j->sb) : 0;
	char text[24];

	/* Again only after it was clearly less. */
	if (used < limit / 4 * 3)
		j->warned_memory = false;
	if (!limit || j->warned_memory || used < limit / 10 * 9)
		return;
	j->warned_memory = true;
	format_size(limit, text);
	warn(j, "memory", text, "--memory");
}

static uint64_t look_at_time(struct jup *j, uint64_t now)
{
	uint64_t limit = j->limits.time_ms, at = j->start + limit / 10 * 9;
	char text[24];

	if (!limit || j->warned_time)
		return UINT64_MAX;
	if (now < at)
		return at;
	j->warned_time = true;
	format_duration(limit, text);
	warn(j, "time", text, "--time");
	return UINT64_MAX;
}

static uint64_t on_tick(void *self, uint64_t now, enum run_cause *ret_cause)
{
	struct jup *j = self;
	uint64_t next = jup_relay_tick(j->relay, now), idle;

	if (!j->start)
		j->start = now;
	next = MIN(next, look_at_time(j, now));
	if (j->limits.memory_bytes) {
		look_at_memory(j);
		next = MIN(next, now + LOOK_MS);
	}
	idle = jup_relay_last_use(j->relay) + j->idle_ms;
	/* A cell that computes is no idle kernel, however silent it is. */
	if (j->idle_ms && j->requests.n > 0)
		next = MIN(next, now + LOOK_MS);
	else if (j->idle_ms && now >= idle)
		*ret_cause = CAUSE_IDLE;
	else if (j->idle_ms)
		next = MIN(next, idle);
	if (j->orphaned)
		*ret_cause = CAUSE_CLIENT;
	return next;
}

static int watch(struct jup *j, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return fd < 0 || epoll_ctl(j->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

/* For the log of the server. */
static void introduce(const struct jup *j, const struct plan_limits *l, const char *ws)
{
	char memory[24] = "no limit", time[24] = "no limit", idle[24] = "no limit";
	autofree char *folder = NULL;

	if (l->memory_bytes)
		format_size(l->memory_bytes, memory);
	if (l->time_ms)
		format_duration(l->time_ms, time);
	if (j->idle_ms)
		format_duration(j->idle_ms, idle);
	if (j->plan.links)
		folder = str_printf("'%s' is read-only at %s, with links in /workspace", j->folder,
				    FOLDER);
	else if (j->hidden)
		folder = str_printf("the notebook's folder '%s' is not shown (%s; --notebook-dir "
				    "names another)",
				    j->folder, j->hidden);
	log_print(LOG_NOTE,
		  "a kernel on '%s': memory %s, time %s, idle %s, no network; %s; what it writes "
		  "goes to /workspace",
		  ws, memory, time, idle, folder ? folder : "no notebook folder");
}

int jup_start(struct jup *j, struct supervise *s, const struct plan_limits *limits, const char *ws,
	      struct err *err)
{
	int r;

	j->sb = s->sb;
	j->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = j->epoll < 0 ? -errno : watch(j, jup_relay_fd(j->relay));
	if (r == 0)
		r = watch(j, j->parent);
	if (r < 0)
		return err_set(err, r, "relay to the kernel");
	r = jup_relay_start(j->relay, s->sb, err);
	if (r < 0)
		return r;
	j->side = (struct supervise_side){ j, j->epoll, on_ready, on_tick };
	s->side = &j->side;
	introduce(j, limits, ws);
	return 0;
}

/* -- the end ----------------------------------------------------------------------------------- */

/* Has a limit ended it, or a fault of its own, that the client would not know of? */
static const char *killer(const struct run_facts *f, const struct run_verdict *v)
{
	int sig = f->ended && !f->end.exited ? f->end.signal : 0;

	if (f->cause == CAUSE_CLIENT || f->cause == CAUSE_SIGNAL)
		return NULL;
	if (v->option || f->cause == CAUSE_FS_LOST || !strcmp(v->word, "seccomp"))
		return "SandboxKilled";
	return sig && sig != SIGTERM && sig != SIGINT && sig != SIGHUP ? "KernelDied" : NULL;
}

void jup_end(struct jup *j, const struct run_facts *f, const struct run_verdict *v)
{
	const char *name = killer(f, v);
	struct jup_farewell farewell = {
		.conn = &j->conn,
		.listen = j->listen,
		.requests = &j->requests,
		.name = name,
	};
	autofree char *text = v->option ? str_printf("%s (raise with %s)", v->reason, v->option)
					: strdup(v->reason);

	farewell.text = text;
	for (int i = 0; i < JUP_CHANNELS; i++)
		farewell.expected[i] = jup_relay_count(j->relay, i);
	/* Listeners stay: the clients come back to them. */
	jup_relay_free(j->relay);
	j->relay = NULL;
	if (name && text && text[0])
		jup_farewell(&farewell);
	jup_unlisten(&j->conn, j->listen);
}

void jup_free(struct jup *j)
{
	if (!j)
		return;
	jup_unlisten(&j->conn, j->listen);
	jup_relay_free(j->relay);
	jup_requests_free(&j->requests);
	jup_conn_free(&j->conn);
	for (size_t i = 0; i < j->nstrings; i++)
		free(j->strings[i]);
	free(j->inner);
	cleanup_close(&j->parent);
	cleanup_close(&j->epoll);
	free(j);
}
