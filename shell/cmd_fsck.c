/* sbxctl fsck: checks a workspace that nobody uses; sbxfsd does it, which has the keys. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

/* Exit codes of this verb, beside those of enum ctl_exit (doc/control.md). */
#define FSCK_EXIT_FOUND    1
#define FSCK_EXIT_REPAIRED 2
#define FSCK_EXIT_FAILED   8

/* A daemon that is just leaving keeps the lock for a moment. */
#define BUSY_WAIT_MS 15000

struct fsck_opts {
	struct ctl_common common;
	bool repair, quick;
};

static const struct opt fsck_table[] = {
	{ "repair", 0, OPT_FLAG, offsetof(struct fsck_opts, repair), NULL, NULL,
	  .help = "Recover a store that was not closed, cut off what was provably never synced, "
		  "and "
		  "remove orphans; each is told. Nothing else is touched." },
	{ "quick", 'q', OPT_FLAG, offsetof(struct fsck_opts, quick), NULL, NULL,
	  .help = "Headers, names and attributes only: no block is read." },
	CTL_OPT_JSON,
	CTL_OPT_KEYS,
	CTL_OPT_END,
};

struct shown {
	bool json, progress;
	bool drawn; /* a progress line stands on the terminal */
	json_t *findings;
	uint64_t started_ms;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* -- progress -------------------------------------------------------------- */

static void clear_line(struct shown *s)
{
	if (s->drawn)
		fputs("\r\033[K", stderr);
	s->drawn = false;
}

static unsigned terminal_columns(void)
{
	struct winsize w;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

/* By what was done so far; "" while that says nothing. */
static void eta_text(const struct shown *s, uint64_t done, uint64_t total, char out[static 40])
{
	uint64_t ms = now_ms() - s->started_ms, left;
	char text[24];

	out[0] = '\0';
	if (ms < 1000 || done == 0 || done >= total)
		return;
	left = (uint64_t)((__uint128_t)ms * (total - done) / done);
	format_duration((left / 1000 + 1) * 1000, text);
	snprintf(out, 40, ", %s left", text);
}

static void draw(struct shown *s, const json_t *p)
{
	uint64_t bytes = ctl_u64(p, "bytes"), all_bytes = ctl_u64(p, "total_bytes");
	uint64_t files = ctl_u64(p, "files"), all_files = ctl_u64(p, "total_files");
	/* A file costs some time, however small. */
	uint64_t done = bytes + files * 65536, total = all_bytes + all_files * 65536;
	unsigned percent = total ? (unsigned)((__uint128_t)done * 100 / total) : 100;
	char a[24], b[24], eta[40], bar[21], line[200];

	format_size(bytes, a);
	format_size(all_bytes, b);
	eta_text(s, done, total, eta);
	for (unsigned i = 0; i < 20; i++)
		bar[i] = i < percent / 5 ? '#' : '.';
	bar[20] = '\0';
	snprintf(line, sizeof(line), "[%s] %3u%%  %s of %s, %llu of %llu files%s", bar, percent, a,
		 b, (unsigned long long)files, (unsigned long long)all_files, eta);
	line[terminal_columns() - 1 < sizeof(line) ? terminal_columns() - 1 : sizeof(line) - 1] =
		'\0';
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	s->drawn = true;
}

/* -- findings -------------------------------------------------------------- */

static void print_finding(const json_t *f)
{
	const char *kind = ctl_str(f, "kind"), *path = ctl_str(f, "path");
	const char *place = ctl_str(f, "place"), *state = ctl_str(f, "state");
	const char *consequence = ctl_str(f, "consequence"), *remedy = ctl_str(f, "remedy");
	bool repaired = strcmp(state, "repaired") == 0;
	bool named = json_is_string(json_object_get(f, "path"));

	printf("%s%s%s: ", out_on(repaired ? OUT_GREEN : OUT_YELLOW), repaired ? "repaired" : kind,
	       out_off());
	if (named && *path)
		printf("%s (%s): ", path, place);
	else
		printf("%s: ", place);
	printf("%s", ctl_str(f, "what"));
	if (*consequence)
		printf("; %s", consequence);
	if (*remedy)
		printf("; %s", remedy);
	putchar('\n');
	fflush(stdout);
}

static void on_message(void *ctx, const json_t *m)
{
	const json_t *f = json_object_get(m, "finding"), *p = json_object_get(m, "progress");
	struct shown *s = ctx;

	if (f) {
		clear_line(s);
		if (s->json)
			json_array_append(s->findings, (json_t *)f);
		else
			print_finding(f);
	} else if (p) {
		draw(s, p);
	}
}

/* -- the end --------------------------------------------------------------- */

static int exit_of(const json_t *summary)
{
	if (ctl_u64(summary, "remaining") + ctl_u64(summary, "recoverable") > 0)
		return FSCK_EXIT_FOUND;
	return ctl_u64(summary, "repaired") > 0 ? FSCK_EXIT_REPAIRED : CTL_OK;
}

static void print_summary(const char *ws, const struct fsck_opts *o, const struct shown *s,
			  const json_t *sum)
{
	uint64_t left = ctl_u64(sum, "remaining") + ctl_u64(sum, "recoverable");
	uint64_t repaired = ctl_u64(sum, "repaired");
	char bytes[24], took[24];

	format_size(ctl_u64(sum, "checked.bytes"), bytes);
	format_duration((now_ms() - s->started_ms + 999) / 1000 * 1000, took);
	printf("%s%s%s: %llu files (%s%s) and %llu directories checked in %s: ", out_on(OUT_BOLD),
	       ws, out_off(), (unsigned long long)ctl_u64(sum, "checked.files"), bytes,
	       o->quick ? ", headers only" : "",
	       (unsigned long long)ctl_u64(sum, "checked.directories"), took);
	if (left == 0 && repaired == 0)
		printf("%sclean%s\n", out_on(OUT_GREEN), out_off());
	else if (left == 0)
		printf("%llu repaired, clean now\n", (unsigned long long)repaired);
	else
		printf("%s%llu to mend%s, %llu repaired\n", out_on(OUT_RED),
		       (unsigned long long)left, out_off(), (unsigned long long)repaired);
}

static void print_json(const char *ws, const struct fsck_opts *o, const struct shown *s,
		       json_t *sum)
{
	json_object_set_new(sum, "path", json_string(ws));
	json_object_set_new(sum, "repair", json_boolean(o->repair));
	json_object_set_new(sum, "quick", json_boolean(o->quick));
	json_object_set(sum, "findings", s->findings);
	out_json(sum);
}

/* -- who holds it ---------------------------------------------------------- */

static void append(char *text, size_t size, const char *what, const char *name, const char *remedy)
{
	size_t at = strlen(text);

	snprintf(text + at, size - at, "%s%s %s (%s %s)", at ? ", " : "", what, name, remedy, name);
}

/* Served: by whom, and how to end it. 0: by nobody who stays, ask again. */
static int refuse_served(struct fsc *c, const char *ws, struct err *err)
{
	autojson json_t *reply = NULL;
	char who[600] = "";
	json_t *v;
	size_t i;

	if (ctl_call(c, json_pack("{s:s}", "op", "status"), &reply, NULL) < 0)
		return 0;
	json_array_foreach (json_object_get(reply, "mounts"), i, v)
		append(who, sizeof(who), "mounted on",
		       json_is_string(v) ? json_string_value(v) : "?", "sbxctl umount");
	json_array_foreach (json_object_get(reply, "sessions"), i, v)
		append(who, sizeof(who), "used by run", ctl_str(v, "run"), "sbxctl kill");
	if (!*who)
		return 0;
	return err_set(err, -EBUSY, "workspace '%s' is %s: it is checked when nobody uses it.", ws,
		       who);
}

/* The check, when nobody serves the workspace, or has left it within some seconds. */
static int check(const struct fsc_check *o, json_t **ret, struct err *err)
{
	struct timespec pause = { .tv_nsec = 20 * 1000000L };
	struct fsc_options quiet = { .ws = o->ws };
	uint64_t deadline = now_ms() + BUSY_WAIT_MS;
	int r;

	for (;;) {
		struct fsc *c = NULL;

		r = fsc_open(&quiet, &c, NULL);
		if (r == 0)
			r = refuse_served(c, o->ws, err);
		fsc_close(c);
		if (r == -EBUSY)
			return r;
		r = fsc_check(o, ret, err);
		if (r != -EBUSY || now_ms() >= deadline)
			return r;
		if (interrupted)
			return err_set(err, -EINTR, "check workspace '%s'", o->ws);
		nanosleep(&pause, NULL);
		pause.tv_nsec = pause.tv_nsec < 300000000L ? pause.tv_nsec * 2 : pause.tv_nsec;
	}
}

/* Without SA_RESTART: the read of the report ends at once. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static int failed(int r, const struct err *err)
{
	int code = ctl_fail(r, err);

	return code == CTL_FAILED ? FSCK_EXIT_FAILED : code;
}

static int fsck_run(void *opts, int argc, char **argv)
{
	const struct fsck_opts *o = opts;
	autojson json_t *summary = NULL, *findings = json_array();
	struct shown s = { .json = o->common.json,
			   .progress = isatty(STDERR_FILENO),
			   .findings = findings,
			   .started_ms = now_ms() };
	struct fsc_check c = { .ws = argv[0],
			       .passphrase_file = o->common.passphrase_file,
			       .recovery_file = o->common.recovery_file,
			       .repair = o->repair,
			       .quick = o->quick,
			       .progress = s.progress,
			       .message = on_message,
			       .ctx = &s };
	struct err err = { 0 };
	int r = ctl_check_workspace(argv[0], &err);

	(void)argc;
	if (r < 0)
		return failed(r, &err);
	catch_signals();
	r = check(&c, &summary, &err);
	clear_line(&s);
	if (interrupted) {
		log_print(LOG_NOTE, "interrupted: the check is not complete%s",
			  o->repair ? ", what was repaired stays so" : ", nothing was changed");
		return 128 + interrupted;
	}
	if (r < 0)
		return failed(r, &err);
	if (s.json)
		print_json(argv[0], o, &s, summary);
	else
		print_summary(argv[0], o, &s, summary);
	return exit_of(summary);
}

static const struct opt_example fsck_examples[] = {
	{ "sbxctl fsck ws", "Reads and verifies everything that the workspace holds." },
	{ "sbxctl fsck --quick ws", "The same without the contents of files." },
	{ NULL, NULL },
};

const struct opt_command cmd_fsck = {
	.name = "fsck",
	.args = "WS",
	.summary = "check everything that a workspace stores, and mend what can be",
	.description =
		"Reads the whole store with its key: that headers, blocks, names, directory ids, "
		"attributes, symlinks, the state and the sums of the quota verify and agree. The "
		"workspace must not be in use. Each finding is one line: its kind, the path in the "
		"outputs and the place in the workspace directory, what it is, what follows from "
		"it, and what helps. On a terminal a bar shows how far it is; Ctrl-C ends the "
		"check at any moment.\n\n"
		"Kinds: damage (it does not verify), unreadable (the disk or its filesystem "
		"refuses), orphan (a left-over that nobody needs), unsynced (what a crash took, "
		"and recovery will cut off or make zeros), unclean (the store was not closed), "
		"quota (the sums are wrong), foreign (not a part of the store).\n\n"
		"Without --repair nothing is written. With it a store that was not closed is "
		"recovered, as the next mount would, and orphans are removed. Damage is never "
		"mended by guessing: take the file from a copy.\n\n"
		"Exit code: 0 nothing was found; 1 something was found and is still there; 2 all "
		"that was found is repaired (or wrong usage, then without a summary); 8 the check "
		"could not be done or not be finished; 3, 4, 5 and 6 as of every command.",
	.opts = fsck_table,
	.examples = fsck_examples,
	.min_args = 1,
	.max_args = 1,
	.run = fsck_run,
	.opts_size = sizeof(struct fsck_opts),
};
