#include "shell/result.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static void say(struct run_verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct run_verdict *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
}

static void say_more(struct run_verdict *v, const char *more)
{
	size_t n = strlen(v->reason);

	snprintf(v->reason + n, sizeof(v->reason) - n, "%s%s", n ? "; " : "", more);
}

static const char *signal_name(int sig)
{
	const char *name = sigabbrev_np(sig);

	return name ? name : "?";
}

/* 128+N, or the code that the command left with. */
static int own_code(const struct run_facts *f)
{
	if (!f->ended)
		return 128 + SIGKILL;
	return f->end.exited ? f->end.exit_code : 128 + f->end.signal;
}

static void judge_time(const struct run_facts *f, struct run_verdict *v)
{
	bool cpu = f->cause == CAUSE_CPU_TIME;
	char text[24];

	format_duration(cpu ? f->limits.cpu_time_ms : f->limits.time_ms, text);
	v->word = cpu ? "cpu_timeout" : "timeout";
	v->exit_code = EXIT_TIME;
	v->option = cpu ? "--cpu-time" : "--time";
	say(v, "%s limit of %s reached", cpu ? "CPU time" : "wall clock", text);
}

static void judge_idle(const struct run_facts *f, struct run_verdict *v)
{
	char text[24];

	format_duration(f->idle_ms, text);
	v->word = "timeout";
	v->exit_code = EXIT_TIME;
	v->option = "--idle";
	say(v, "idle limit of %s reached", text);
}

static void judge_memory(const struct run_facts *f, struct run_verdict *v)
{
	char text[24];

	format_size(f->limits.memory_bytes, text);
	v->word = "oom";
	v->exit_code = EXIT_MEMORY;
	v->option = "--memory";
	if (f->limits.memory_bytes)
		say(v, "memory limit of %s reached", text);
	else
		say(v, "the machine ran out of memory");
}

static void judge_output(const struct run_facts *f, struct run_verdict *v)
{
	char text[24];

	format_size(f->limits.output_bytes, text);
	v->word = "output_limit";
	v->exit_code = own_code(f);
	v->option = "--output";
	say(v, "output limit of %s reached", text);
}

#define RAISE_QUOTA "'sbxctl set WS quota.bytes=SIZE' or quota.files=N"

static void name_quota(const struct run_facts *f, char ret[static 96])
{
	char size[24], files[48];

	format_size(f->quota_bytes, size);
	snprintf(files, sizeof(files), "%llu files", (unsigned long long)f->quota_files);
	snprintf(ret, 96, "quota of %s%s%s", f->quota_bytes ? size : "",
		 f->quota_bytes && f->quota_files ? " and " : "", f->quota_files ? files : "");
}

static const char *times(uint64_t n, char ret[static 40])
{
	if (n == 1)
		return "once";
	snprintf(ret, 40, "%llu times", (unsigned long long)n);
	return ret;
}

size_t result_notes(const struct run_facts *f, const struct run_verdict *v,
		    char ret[RESULT_NOTES][ERR_TEXT_MAX])
{
	const struct sandbox_usage *u = &f->usage;
	char text[96], count[40];
	size_t n = 0;

	if (u->oom_kills && strcmp(v->word, "oom") != 0) {
		format_size(f->limits.memory_bytes, text);
		if (f->limits.memory_bytes)
			snprintf(ret[n++], ERR_TEXT_MAX,
				 "the memory limit of %s ended a process inside %s; raise it with "
				 "--memory",
				 text, times(u->oom_kills, count));
		else
			snprintf(ret[n++], ERR_TEXT_MAX,
				 "the machine ran out of memory and ended a process inside %s",
				 times(u->oom_kills, count));
	}
	if (u->pids_max_hits && strcmp(v->word, "pids") != 0)
		snprintf(ret[n++], ERR_TEXT_MAX,
			 "the limit of %llu processes refused a new one %s; raise it with --pids",
			 (unsigned long long)f->limits.pids, times(u->pids_max_hits, count));
	if (f->have_quota && f->quota_hits && strcmp(v->word, "quota") != 0) {
		name_quota(f, text);
		snprintf(ret[n++], ERR_TEXT_MAX, "the %s refused something %s; raise it with %s",
			 text, times(f->quota_hits, count), RAISE_QUOTA);
	}
	return n;
}

/* The command ended by a signal that nobody here sent. */
static void judge_signal(const struct run_facts *f, struct run_verdict *v)
{
	int sig = f->end.signal;
	char text[24];

	v->word = "signal";
	v->exit_code = 128 + sig;
	if (sig == SIGKILL && f->usage.oom_kills) {
		judge_memory(f, v);
	} else if (sig == SIGSYS) {
		v->word = "seccomp";
		say(v, "ended by a system call that the sandbox does not allow (SIGSYS)");
	} else if (sig == SIGXCPU && f->limits.cpu_time_ms) {
		struct run_facts cpu = *f;

		cpu.cause = CAUSE_CPU_TIME;
		judge_time(&cpu, v);
	} else if (sig == SIGXFSZ && f->limits.fsize_bytes) {
		v->word = "quota";
		v->option = "--fsize";
		format_size(f->limits.fsize_bytes, text);
		say(v, "file size limit of %s reached (SIGXFSZ)", text);
	} else if (f->usage.pids_max_hits) {
		v->word = "pids";
		v->option = "--pids";
		say(v, "limit of %llu processes reached, then ended by SIG%s",
		    (unsigned long long)f->limits.pids, signal_name(sig));
	} else if (f->have_quota && f->quota_hits) {
		/* A mapped page that found no room: SIGBUS. */
		char quota[96];

		name_quota(f, quota);
		v->word = "quota";
		v->option = RAISE_QUOTA;
		say(v, "%s reached, then ended by SIG%s", quota, signal_name(sig));
	} else {
		say(v, "ended by SIG%s", signal_name(sig));
	}
}

static void judge_own_end(const struct run_facts *f, struct run_verdict *v)
{
	if (!f->end.exited) {
		judge_signal(f, v);
		return;
	}
	v->exit_code = f->end.exit_code;
	v->word = v->exit_code == 0 ? "ok" : "exit";
}

void result_judge(const struct run_facts *f, struct run_verdict *ret)
{
	*ret = (struct run_verdict){ .word = "setup", .exit_code = EXIT_SETUP };
	switch (f->cause) {
	case CAUSE_NONE:
		judge_own_end(f, ret);
		break;
	case CAUSE_SETUP:
		say(ret, "%s", f->setup_error);
		break;
	case CAUSE_EXEC:
		ret->exit_code = f->exec_errno == ENOENT ? EXIT_NOENT : EXIT_NOEXEC;
		say(ret, "%s", f->setup_error);
		break;
	case CAUSE_TIME:
	case CAUSE_CPU_TIME:
		judge_time(f, ret);
		break;
	case CAUSE_MEMORY:
		judge_memory(f, ret);
		break;
	case CAUSE_OUTPUT:
		judge_output(f, ret);
		break;
	case CAUSE_FS_LOST:
		/* Not the command's doing: what it wrote last may be missing. */
		ret->word = "fs_lost";
		say(ret, "the filesystem daemon of the workspace ended");
		break;
	case CAUSE_SIGNAL:
		ret->word = "signal";
		ret->exit_code = 128 + f->cause_signal;
		say(ret, "sbx-shell was ended by SIG%s", signal_name(f->cause_signal));
		break;
	case CAUSE_IDLE:
		judge_idle(f, ret);
		break;
	case CAUSE_CLIENT:
		ret->word = "signal";
		ret->exit_code = 128 + SIGKILL;
		say(ret, "the program that started the kernel ended");
		break;
	case CAUSE_ESCAPE:
		ret->word = "signal";
		ret->exit_code = 128 + SIGKILL;
		say(ret, "ended from the keyboard");
		break;
	}
	if (f->daemon_ended)
		say_more(ret, "the workspace's daemon did not answer and was ended with it, so "
			      "what was not synced may be missing");
}

/* 0 means "no limit" in a plan and null in JSON. */
static json_t *limit_json(uint64_t value)
{
	return value ? json_integer((json_int_t)value) : json_null();
}

/* null when the plan was not made: then nobody knows them. */
static json_t *limits_json(const struct run_facts *f)
{
	const struct plan_limits *l = &f->limits;

	if (!f->have_limits)
		return json_null();
	return json_pack(
		"{s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:I}", "time_ms",
		limit_json(l->time_ms), "grace_ms", (json_int_t)l->grace_ms, "cpu_time_ms",
		limit_json(l->cpu_time_ms), "memory_bytes", limit_json(l->memory_bytes), "cpus",
		l->cpu_milli ? json_real((double)l->cpu_milli / 1000) : json_null(), "pids",
		limit_json(l->pids), "tmp_bytes", (json_int_t)l->tmp_bytes, "shm_bytes",
		(json_int_t)l->shm_bytes, "home_bytes", (json_int_t)l->home_bytes, "output_bytes",
		limit_json(l->output_bytes), "fsize_bytes", limit_json(l->fsize_bytes), "nofile",
		(json_int_t)l->nofile);
}

static json_t *isolation_json(const struct sandbox_isolation *i)
{
	return json_pack("{s:b, s:b, s:i, s:s, s:b, s:s}", "user_namespace", i->user_namespace,
			 "seccomp", i->seccomp, "landlock", i->landlock, "cgroup",
			 i->cgroup[0] ? i->cgroup : "none", "no_new_privs", i->no_new_privs,
			 "network", i->network[0] ? i->network : "none");
}

static json_t *degraded_json(const struct sandbox_isolation *i)
{
	json_t *list = json_array();

	for (unsigned n = 0; list && n < i->ndegraded && n < ARRAY_LEN(i->degraded); n++)
		json_array_append_new(list, json_string(i->degraded[n]));
	return list;
}

/* null when nobody asked. */
static json_t *denied_json(const struct run_facts *f)
{
	json_t *list;

	if (!f->explained)
		return json_null();
	list = json_array();
	for (size_t i = 0; list && i < f->denied.n; i++) {
		const struct sandbox_denied *d = &f->denied.rows[i];
		const char *error = strerrorname_np(d->error);

		json_array_append_new(
			list, json_pack("{s:s, s:o, s:s, s:I, s:s, s:i, s:s}", "call", d->call,
					"argument",
					d->has_argument ? json_integer((json_int_t)d->argument)
							: json_null(),
					"errno", error ? error : "?", "count", (json_int_t)d->count,
					"first_command", d->comm, "first_pid", (int)d->pid,
					"reason", d->reason));
	}
	if (list && f->denied.others)
		json_array_append_new(list,
				      json_pack("{s:n, s:n, s:n, s:I, s:n, s:n, s:s}", "call",
						"argument", "errno", "count",
						(json_int_t)f->denied.others, "first_command",
						"first_pid", "reason", "further kinds of calls"));
	return list;
}

/* A sentence can carry bytes of a file name that are not UTF-8: JSON cannot. */
static json_t *reason_json(const char *reason)
{
	char safe[2 * sizeof(((struct run_verdict *)0)->reason)];

	if (!reason[0])
		return json_null();
	str_printable(reason, safe, sizeof(safe));
	return json_string(safe);
}

json_t *result_json(const struct run_facts *f, const struct run_verdict *v)
{
	json_t *code = f->ended && f->end.exited ? json_integer(f->end.exit_code) : json_null();
	json_t *sig = f->ended && !f->end.exited ? json_integer(f->end.signal) : json_null();
	const struct sandbox_usage *u = &f->usage;

	return json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:o, "
		"s:o, s:o}",
		"run", f->run_id, "verdict", v->word, "exit_code", code, "signal", sig, "reason",
		reason_json(v->reason), "wall_ms", (json_int_t)f->wall_ms, "cpu_ms",
		(json_int_t)u->cpu_ms, "max_memory_bytes", (json_int_t)u->max_memory_bytes,
		"oom_kills", (json_int_t)u->oom_kills, "pids_max_hits",
		(json_int_t)u->pids_max_hits, "quota_hits",
		f->have_quota ? json_integer((json_int_t)f->quota_hits) : json_null(),
		"stdout_bytes", (json_int_t)f->stdout_bytes, "stderr_bytes",
		(json_int_t)f->stderr_bytes, "limits", limits_json(f), "isolation",
		isolation_json(&f->isolation), "degraded", degraded_json(&f->isolation), "denied",
		denied_json(f));
}
