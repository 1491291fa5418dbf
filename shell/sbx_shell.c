/* sbx-shell: a sandbox mounted onto a workspace, for a person (a shell) or a program (one command).
 *
 * This is S of doc/architecture.md.  It never sees a key: the daemon of the workspace opens the
 * store, and hands over namespaces that hold the two mounts.  Life of a run: options, daemon,
 * session, plan, launch, supervise, result. */
#include "shell/sbx_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "config.h"
#include "base/str.h"
#include "fs/client.h"
#include "sandbox/launch.h"
#include "sandbox/scope.h"
#include "shell/greet.h"
#include "shell/host.h"
#include "shell/join.h"
#include "shell/joins.h"
#include "shell/jup.h"
#include "shell/plan_build.h"
#include "shell/progress.h"
#include "shell/pty.h"
#include "shell/result.h"
#include "shell/screen.h"
#include "shell/supervise.h"
#include "shell/ws_check.h"

#define RECORD_WAIT_MS 1000
#define QUOTA_WAIT_MS  200

struct run {
	struct sbx_shell_opts opts;
	const char *ws;
	char **command; /* NULL = a shell */
	int nargs;
	bool interactive, tty;
	struct fsc *fsc;
	json_t *session; /* reply to "session" */
	int ns[2];       /* U1 and its mount namespace */
	struct built_plan *built;
	struct sandbox *sb;
	struct supervise sup;
	struct screen screen;
	struct progress progress;
	struct joins *joins;
	char *name;      /* of the workspace, owned */
	struct jup *jup; /* NULL without --jupyter */
	struct run_facts facts;
	struct run_verdict verdict;
};

/* A descriptor 0, 1 or 2 that is not open would be taken by the first thing we open. */
static int ensure_stdio(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			return -EBADF;
	return 0;
}

static int name_run(struct run_facts *f, struct err *err)
{
	time_t now = time(NULL);
	struct tm tm;
	uint32_t random;
	char stamp[24];

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_set(err, -EIO, "get random bytes");
	gmtime_r(&now, &tm);
	strftime(f->started, sizeof(f->started), "%Y-%m-%dT%H:%M:%SZ", &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(f->run_id, sizeof(f->run_id), "%s-%08x", stamp, random);
	return 0;
}

/* A shell gets a pty when a person sits before it; a command only when all three are the terminal,
 * so that "2>log" and "| less" keep their meaning. */
static void choose_tty(struct run *run)
{
	bool in = isatty(STDIN_FILENO), out = isatty(STDOUT_FILENO);

	if (run->opts.jupyter)
		return;
	run->interactive = !run->command && in && out;
	run->tty = run->interactive || (in && out && isatty(STDERR_FILENO));
}

static int open_session(struct run *run, struct err *err)
{
	struct fsc_options o = {
		.ws = run->ws,
		.passphrase_file = run->opts.passphrase_file,
		.recovery_file = run->opts.recovery_file,
		.start = true,
	};
	int fds[FD_PASS_MAX];
	const char *kind = NULL;
	size_t nfds = 0;
	int r = ws_check(run->ws, err);

	if (r == 0)
		r = fsc_open(&o, &run->fsc, err);

	if (r < 0)
		return r;
	r = fsc_call(run->fsc,
		     json_pack("{s:s, s:s, s:i}", "op", "session", "run", run->facts.run_id, "pid",
			       (int)getpid()),
		     NULL, 0, &run->session, fds, &nfds, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < nfds; i++) {
		if (i < 2)
			run->ns[i] = fds[i];
		else
			close(fds[i]);
	}
	if (json_get_str(run->session, "kind", &kind, err) < 0 ||
	    (!strcmp(kind, "private") && nfds != 2))
		return err_set(err, -EPROTO, "the daemon of '%s' gave no usable session.", run->ws);
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int make_plan(struct run *run, struct err *err)
{
	autofree char *real = realpath(run->ws, NULL);
	struct plan_host host;
	struct plan_request rq = {
		.opts = &run->opts,
		.settings = json_at(run->session, "settings"),
		.host = &host,
		.workspace_name = base_name(real ? real : run->ws),
		/* Root's kernel reads them by itself (FUSE passthrough). */
		.direct = geteuid() != 0 ? real : NULL,
		.run_id = run->facts.run_id,
		.command = run->command,
		.interactive = run->interactive,
		.tty = run->tty,
		.kernel = run->jup != NULL,
	};
	struct plan_workspace *w;
	uint64_t uid = 0, gid = 0, volume_uid = 0, volume_gid = 0;
	int r;

	host_facts((const char *const *)environ, &host);
	r = run->jup ? jup_prepare(run->jup, &run->opts, run->command, err) : 0;
	if (r == 0)
		r = plan_build(&rq, &run->built, err);
	if (r < 0)
		return r;
	run->facts.limits = built_plan_get(run->built)->limits;
	run->facts.have_limits = true;
	w = &built_plan_get(run->built)->workspace;
	r = json_get_str(run->session, "host_dir", &w->host_dir, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_u64(run->session, "outer_uid", &uid, err);
	if (r == 0)
		r = json_get_u64(run->session, "outer_gid", &gid, err);
	if (r < 0)
		return err_set(err, -EPROTO, "the daemon of '%s' gave no usable session.", run->ws);
	w->mapped = json_get_u64(run->session, "volume_uid", &volume_uid, NULL) == 0 &&
		    json_get_u64(run->session, "volume_gid", &volume_gid, NULL) == 0;
	w->volume_uid = (uid_t)volume_uid;
	w->volume_gid = (gid_t)volume_gid;
	w->userns_fd = run->ns[0];
	w->mntns_fd = run->ns[1];
	w->outer_uid = (uid_t)uid;
	w->outer_gid = (gid_t)gid;
	if (run->jup)
		jup_fill(run->jup, built_plan_get(run->built));
	return 0;
}

/* A run that nobody can join is still a run. */
static void offer_joins(struct run *run)
{
	autofree char *real = realpath(run->ws, NULL);

	run->name = strdup(base_name(real ? real : run->ws));
	if (run->name && joins_open(run->facts.run_id, run->name, built_plan_get(run->built),
				    run->sb, &run->joins, NULL) == 0)
		joins_offer(run->joins, &run->sup.more);
}

/* A comfort: without it the run is the same. */
static void offer_progress(struct run *run)
{
	if (!run->opts.progress || run->interactive || !isatty(STDERR_FILENO))
		return;
	run->progress.fd = STDERR_FILENO;
	if (progress_watch(&run->progress, run->fsc, run->ws, NULL) == 0)
		run->sup.progress = &run->progress;
}

static int launch(struct run *run, struct err *err)
{
	struct sandbox_plan *plan = built_plan_get(run->built);
	struct supervise *s = &run->sup;
	int inner[3] = { -1, -1, -1 };
	int r = 0;

	s->limits = &plan->limits;
	s->interactive = run->interactive;
	s->fsc = run->fsc;
	s->screen = &run->screen;
	if (run->tty)
		r = pty_save(STDIN_FILENO, err);
	else
		r = supervise_pipes(s, inner, err);
	s->sigfd = r < 0 ? r : supervise_signals(err);
	if (s->sigfd < 0)
		r = s->sigfd;
	if (run->tty)
		pty_size(&plan->tty_rows, &plan->tty_cols);
	memcpy(plan->stdio, inner, sizeof(inner));
	offer_progress(run);
	if (r == 0)
		r = sandbox_launch(plan, &run->sb, &run->facts.exec_errno, err);
	for (int i = 0; i < 3; i++)
		cleanup_close(&inner[i]);
	if (r < 0)
		return r;
	s->sb = run->sb;
	run->facts.isolation = *sandbox_get_isolation(run->sb);
	if (run->jup) {
		run->facts.idle_ms = run->opts.idle.value;
		r = jup_start(run->jup, s, &plan->limits, run->ws, err);
		if (r < 0)
			return r;
	}
	offer_joins(run);
	return run->tty ? supervise_pty(s, sandbox_take_pty(run->sb), err) : 0;
}

static void greet(const struct run *run)
{
	const struct sandbox_isolation *i = &run->facts.isolation;

	/* A program reads it in the result; a person, here. */
	for (unsigned n = 0; n < i->ndegraded && n < ARRAY_LEN(i->degraded); n++)
		if (run->interactive || !run->opts.result)
			log_print(LOG_WARN, "%s", i->degraded[n]);
	if (run->interactive && !run->opts.quiet && isatty(STDERR_FILENO))
		greet_person(run->fsc, run->name ? run->name : "", built_plan_get(run->built),
			     &run->screen.escape);
}

static uint64_t quota_number(const json_t *reply, const char *path)
{
	uint64_t n = 0;

	return json_get_u64(reply, path, &n, NULL) < 0 ? 0 : n;
}

/* How often something did not fit meanwhile. A daemon that is slow to say so is not waited for. */
static void count_refusals(struct run *run)
{
	struct run_facts *f = &run->facts;
	autojson json_t *reply = NULL;
	uint64_t now = 0;

	f->quota_bytes = quota_number(run->session, "quota.limit_bytes");
	f->quota_files = quota_number(run->session, "quota.limit_files");
	if (!f->quota_bytes && !f->quota_files) {
		f->have_quota = true;
		return;
	}
	if (f->daemon_ended || f->cause == CAUSE_FS_LOST ||
	    fsc_call_within(run->fsc, json_pack("{s:s}", "op", "quota"), QUOTA_WAIT_MS, &reply,
			    NULL) < 0 ||
	    json_get_u64(reply, "quota.refused", &now, NULL) < 0)
		return;
	f->have_quota = true;
	f->quota_hits = now - MIN(now, quota_number(run->session, "quota.refused"));
}

/* A program that could not be executed: what a person mostly meant. */
static void explain_exec(const struct run *run, struct err *err)
{
	const char *name = run->command ? run->command[0] : "";
	bool path = strchr(name, '/') != NULL;

	/* The program is there and has said itself what it needs: sandbox/lookup.h. */
	if (run->facts.exec_errno == ENOENT && err->code == -ENOEXEC)
		return;
	if (run->facts.exec_errno == ENOENT && path && access(name, F_OK) == 0)
		err_set(err, -ENOENT,
			"'%s' is on this host and not in the sandbox; show it there: --ro "
			"%s:/opt/%s "
			"-- /opt/%s (or copy it into the workspace).",
			name, name, base_name(name), base_name(name));
	else if (run->facts.exec_errno == ENOENT && !path)
		err_set(err, -ENOENT,
			"run '%s': there is no such program in the sandbox, which has those of the "
			"host's /usr; --ro shows more.",
			name);
}

/* Everything up to the end of the run. A failure is a matter of setting up, except for -ECHILD. */
static int carry_out(struct run *run, struct err *err)
{
	int r = result_check_path(run->opts.result ? run->opts.result : "result", err);

	if (!run->opts.result)
		r = 0;
	if (r == 0 && run->tty)
		pty_wait_foreground(STDIN_FILENO);
	/* Before the sandbox is built: clients already try to connect. */
	if (r == 0 && run->opts.jupyter)
		r = jup_open(&run->opts, &run->jup, err);
	if (r == 0)
		r = open_session(run, err);
	if (r == 0)
		r = make_plan(run, err);
	if (r == 0)
		r = launch(run, err);
	if (r < 0) {
		run->facts.cause = r == -ECHILD && run->facts.exec_errno ? CAUSE_EXEC : CAUSE_SETUP;
		if (run->facts.cause == CAUSE_EXEC)
			explain_exec(run, err);
		return r;
	}
	greet(run);
	r = supervise_run(&run->sup, &run->facts, err);
	pty_restore();
	if (r == 0)
		r = sandbox_finish(run->sb, &run->facts.end, &run->facts.usage, err);
	run->facts.ended = r == 0;
	count_refusals(run);
	run->facts.explained = run->opts.explain;
	run->facts.denied = *sandbox_get_denials(run->sb);
	if (r < 0)
		run->facts.cause = CAUSE_SETUP;
	return r;
}

/* Which words a person wants to read: why it did not run, and which limit ended it. That ^C ended
 * it is no news. */
static void explain(const struct run *run)
{
	const struct run_verdict *v = &run->verdict;
	const struct sandbox_end *end = &run->facts.end;
	bool asked = run->facts.ended && !end->exited &&
		     (end->signal == SIGINT || end->signal == SIGPIPE || end->signal == SIGTERM ||
		      end->signal == SIGHUP);

	if (!v->reason[0] || (!strcmp(v->word, "signal") && asked))
		return;
	if (run->facts.isolation.user_namespace && run->tty && !run->opts.quiet)
		fputc('\n', stderr); /* the cursor stands where the command was cut off */
	if (v->option)
		log_print(LOG_ERROR, "%s: everything inside was ended; raise it with %s", v->reason,
			  v->option);
	else
		log_print(LOG_ERROR, "%s", v->reason);
}

/* What --explain was asked for. */
static void name_denied(const struct run_facts *f)
{
	if (f->denied.n == 0)
		log_print(LOG_NOTE, "explain: the sandbox refused no system call");
	for (size_t i = 0; i < f->denied.n; i++) {
		const struct sandbox_denied *d = &f->denied.rows[i];
		const char *error = strerrorname_np(d->error);
		char argument[24] = "", times[48] = "once, by";

		if (d->has_argument)
			snprintf(argument, sizeof(argument), "(0x%x)", d->argument);
		if (d->count > 1)
			snprintf(times, sizeof(times), "%llu times, first by",
				 (unsigned long long)d->count);
		log_print(LOG_NOTE, "explain: %s%s denied: %s%s%s%s; %s %s (process %d inside)",
			  d->call, argument, error ? error : "an error", d->reason[0] ? " (" : "",
			  d->reason, d->reason[0] ? ")" : "", times, d->comm[0] ? d->comm : "?",
			  (int)d->pid);
	}
	if (f->denied.others)
		log_print(LOG_NOTE, "explain: and %llu of further kinds",
			  (unsigned long long)f->denied.others);
}

static int keep_record(const struct run *run, const json_t *result, struct err *err)
{
	return record_write(run->ws, &run->facts, result, run->command ? run->command[0] : NULL,
			    run->nargs, err);
}

/* The disk on which the daemon hung may hang us: let a child try. */
static int keep_record_elsewhere(const struct run *run, const json_t *result, struct err *err)
{
	autoclose int pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	pid_t pid = fork();

	if (pid < 0)
		return err_set(err, -errno, "start a process");
	if (pid == 0)
		_exit(keep_record(run, result, NULL) < 0);
	p.fd = pidfd = pidfd_open(pid, 0);
	if (pidfd >= 0 && poll(&p, 1, RECORD_WAIT_MS) == 1) {
		int status = 0;

		waitpid(pid, &status, 0);
		return status ? err_set(err, -EIO, "write into '%s/runs'", run->ws) : 0;
	}
	kill(pid, SIGKILL);
	return err_set(err, -ETIMEDOUT, "write into '%s/runs'", run->ws);
}

static void tell(struct run *run)
{
	char notes[RESULT_NOTES][ERR_TEXT_MAX];
	autojson json_t *result = NULL;
	struct err err = { 0 };

	result_judge(&run->facts, &run->verdict);
	explain(run);
	for (size_t i = 0, n = result_notes(&run->facts, &run->verdict, notes); i < n; i++)
		log_print(LOG_WARN, "%s", notes[i]);
	if (run->facts.explained)
		name_denied(&run->facts);
	if (run->jup && run->facts.ended)
		jup_end(run->jup, &run->facts, &run->verdict);
	jup_free(run->jup);
	result = result_json(&run->facts, &run->verdict);
	if (!result) {
		log_err(-ENOMEM, NULL);
		return;
	}
	if (run->ws && (run->facts.daemon_ended ? keep_record_elsewhere(run, result, &err)
						: keep_record(run, result, &err)) < 0)
		log_print(LOG_WARN, "the record of this run is not kept: %s", err.text);
	if (run->opts.result && result_write(run->opts.result, result, &err) < 0)
		log_print(LOG_WARN, "the result is not written: %s", err.text);
}

static int join(struct run *run)
{
	struct err err = { 0 };
	const struct join_request rq = {
		.opts = &run->opts,
		.run = run->opts.join,
		.ws = run->ws,
		.command = run->command,
		.interactive = run->interactive,
		.tty = run->tty,
		.screen = &run->screen,
	};

	return join_run(&rq, &err);
}

static int parse(struct run *run, int argc, char **argv, struct err *err)
{
	const struct opt_command *c = sbx_shell_commands[0];
	int rest, n = opt_parse("sbx-shell", c, argc, argv, &run->opts, &rest, err);

	if (n < 0)
		return n;
	run->ws = n > 0 ? argv[1] : NULL;
	n = escape_init(&run->screen.escape, run->opts.escape, err);
	if (n < 0)
		return n;
	run->screen.raw = run->opts.raw_terminal;
	if (rest < argc) {
		run->command = argv + rest;
		run->nargs = argc - rest - 1;
	} else if (!strcmp(argv[argc - 1], "--")) {
		return err_set(err, -EINVAL,
			       "a command must follow '--'.  Try 'sbx-shell --help'.");
	}
	if (run->opts.join)
		return join_check(&run->opts, err);
	if (!run->ws)
		return err_set(err, -EINVAL,
			       "an argument is missing; usage: sbx-shell [OPTIONS] WS [-- CMD].");
	if (run->opts.jupyter && !run->command)
		return err_set(err, -EINVAL,
			       "--jupyter needs the kernel's command after '--'.  Try 'sbxctl "
			       "kernel install --help'.");
	return 0;
}

static void clean(struct run *run)
{
	progress_end(&run->progress);
	joins_free(run->joins);
	free(run->name);
	sandbox_free(run->sb);
	supervise_free(&run->sup);
	if (run->fsc)
		fsc_close(run->fsc);
	built_plan_free(run->built);
	json_decref(run->session);
	cleanup_close(&run->ns[0]);
	cleanup_close(&run->ns[1]);
}

int main(int argc, char **argv)
{
	struct run run = { .ns = { -1, -1 }, .sup = { .sigfd = -1, .master = -1 } };
	struct err err = { 0 };
	int r, named;

	/* Before anything is open, and while argv is as it came: this may start us anew. */
	scope_enter(argv);
	log_setup("sbx-shell", LOG_NOTE);
	if (ensure_stdio() < 0)
		return EXIT_SETUP;
	r = parse(&run, argc, argv, &err);
	if (r == OPT_HELP) {
		opt_help(stdout, "sbx-shell", sbx_shell_commands[0]);
		return 0;
	}
	if (r == OPT_VERSION) {
		printf("sbx-shell %s\n", SBX_VERSION);
		return 0;
	}
	if (run.opts.quiet)
		log_to_fd(-1); /* every line fails, and nobody minds */
	choose_tty(&run);
	if (r == 0 && run.opts.join)
		return join(&run);
	named = name_run(&run.facts, r < 0 ? NULL : &err);
	if (r == 0)
		r = named;
	if (r == 0)
		r = stream_init(&run.sup.in, &err);
	if (r == 0)
		r = stream_init(&run.sup.out, &err);
	if (r == 0)
		r = stream_init(&run.sup.errs, &err);
	if (r < 0)
		run.facts.cause = CAUSE_SETUP;
	else
		r = carry_out(&run, &err);
	snprintf(run.facts.setup_error, sizeof(run.facts.setup_error), "%s",
		 err.text[0] ? err.text : strerror(r < 0 ? -r : 0));
	clean(&run);
	tell(&run);
	return run.verdict.exit_code;
}
