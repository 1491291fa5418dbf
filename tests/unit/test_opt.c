#include "shell/opt.h"

#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "tests/check.h"

struct demo {
	bool quiet, json;
	const char *file, *mode;
	struct opt_u64 size, time, count, rate;
	struct opt_list envs;
};

static const char *const modes[] = { "private", "persist", NULL };

static const struct opt demo_opts[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct demo, quiet), .help = "say nothing" },
	{ "json", 0, OPT_FLAG, offsetof(struct demo, json), .help = "print JSON" },
	{ "result", 'o', OPT_STRING, offsetof(struct demo, file), "FILE", NULL,
	  "write the result there", .complete = COMPLETE_FILE },
	{ "home", 0, OPT_ENUM, offsetof(struct demo, mode), "MODE", "private",
	  "where the home directory is kept", .choices = modes },
	{ "memory", 0, OPT_SIZE, offsetof(struct demo, size), "SIZE", "half of the machine",
	  "memory and swap of all processes together, with everything that is kept in temporary "
	  "file systems",
	  .min = 1 << 20, .words = opt_words_half },
	{ "time", 0, OPT_TIME, offsetof(struct demo, time), "T", "1h", "wall clock",
	  .words = opt_words_none },
	{ "pids", 0, OPT_COUNT, offsetof(struct demo, count), "N", "512", "processes", .min = 1,
	  .max = 4096 },
	{ "cpus", 0, OPT_MILLI, offsetof(struct demo, rate), "N", "all", "CPU rate",
	  .words = opt_words_all },
	{ "env", 0, OPT_LIST, offsetof(struct demo, envs), "NAME[=VALUE]", NULL,
	  .help = "pass or set one variable" },
	{ .name = NULL },
};

static int demo_run(void *opts, int argc, char **argv)
{
	struct demo *d = opts;

	return 40 + argc + d->json + (argc > 0 && !strcmp(argv[0], "WS"));
}

static const struct opt_example demo_examples[] = {
	{ "demo --time 5s WS -- true", "run one command, for at most five seconds" },
	{ NULL, NULL },
};

static const struct opt_command demo = {
	.name = "demo",
	.args = "WS [-- CMD [ARG..]]",
	.summary = "A demonstration.",
	.opts = demo_opts,
	.examples = demo_examples,
	.min_args = 1,
	.max_args = 1,
	.rest_after_dashes = true,
	.run = demo_run,
	.opts_size = sizeof(struct demo),
};
static const struct opt_command verb_one = {
	.name = "dataset add",
	.args = "WS NAME",
	.summary = "Add it.",
	.opts = demo_opts,
	.min_args = 0,
	.max_args = -1,
	.run = demo_run,
	.opts_size = sizeof(struct demo),
};
static const struct opt_command verb_two = {
	.name = "status",
	.args = "[WS]",
	.summary = "Say it.",
	.opts = demo_opts,
	.min_args = 0,
	.max_args = 1,
	.run = demo_run,
	.opts_size = sizeof(struct demo),
};
static const struct opt_command *const verbs[] = { &verb_one, &verb_two, NULL };

static struct demo d;
static struct err e;
static int rest;
static char *args[32];

/* Parse a line of words separated by blanks. */
static int parse(const char *line)
{
	static char buf[512];
	int n = 0;

	memset(&d, 0, sizeof(d));
	memset(&e, 0, sizeof(e));
	snprintf(buf, sizeof(buf), "demo %s", line);
	for (char *s = strtok(buf, " "); s; s = strtok(NULL, " "))
		args[n++] = s;
	args[n] = NULL;
	return opt_parse("demo", &demo, n, args, &d, &rest, &e);
}

static void test_forms(void)
{
	CHECK_EQ(parse("WS"), 1);
	CHECK_STR(args[1], "WS");
	CHECK_EQ(rest, 2);
	CHECK_EQ(parse("--memory=2G --time 5s WS -- ls --time -q"), 1);
	CHECK_EQ(d.size.value, 2ll << 30);
	CHECK_EQ(d.time.value, 5000);
	CHECK(!d.quiet);
	CHECK_STR(args[1], "WS");
	CHECK_STR(args[rest], "ls");
	CHECK_STR(args[rest + 1], "--time");
	CHECK_EQ(parse("WS --quiet --env A=1 --env B"), 1);
	CHECK(d.quiet);
	CHECK_EQ(d.envs.n, 2);
	CHECK_STR(d.envs.v[0], "A=1");
	CHECK_STR(args[1], "WS");
	CHECK_EQ(parse("-qoout WS"), 1);
	CHECK(d.quiet);
	CHECK_STR(d.file, "out");
	CHECK_EQ(parse("-o out WS"), 1);
	CHECK_STR(d.file, "out");
	CHECK_EQ(parse("--env=A=B=C WS --"), 1);
	CHECK_STR(d.envs.v[0], "A=B=C");
	CHECK_EQ(rest, 4);
	CHECK(args[rest] == NULL);
	CHECK_EQ(parse("--time 1s --time 2s WS"), 1);
	CHECK_EQ(d.time.value, 2000);
	CHECK_EQ(parse("- "), 1);
}

static void test_words(void)
{
	CHECK_EQ(parse("--time none --memory half --cpus all WS"), 1);
	CHECK(d.time.set && d.time.none);
	CHECK(d.size.set && !d.size.none);
	CHECK_STR(d.size.word, "half");
	CHECK(d.rate.none);
	CHECK_EQ(parse("--pids none WS"), -EINVAL);
	CHECK_EQ(parse("--cpus 1.5 WS"), 1);
	CHECK_EQ(d.rate.value, 1500);
	CHECK(!d.rate.none && !d.rate.word);
	CHECK_EQ(parse("--home persist WS"), 1);
	CHECK_STR(d.mode, "persist");
}

static void test_asked(void)
{
	CHECK_EQ(parse("--help"), OPT_HELP);
	CHECK_EQ(parse("-h"), OPT_HELP);
	CHECK_EQ(parse("-qh"), OPT_HELP);
	CHECK_EQ(parse("--version"), OPT_VERSION);
	CHECK_EQ(parse("WS -- ls --help"), 1);
}

/* What a person reads for each kind of mistake. */
static void test_sentences(void)
{
	static const struct {
		const char *line, *text;
		int code;
	} rows[] = {
		{ "--memroy 2G WS",
		  "there is no option --memroy; did you mean --memory?  Try 'demo --help'.",
		  -EINVAL },
		{ "--frobnicate WS", "there is no option --frobnicate.  Try 'demo --help'.",
		  -EINVAL },
		{ "-x WS", "there is no option -x.  Try 'demo --help'.", -EINVAL },
		{ "--quiet=yes WS", "--quiet takes no value.  Try 'demo --help'.", -EINVAL },
		{ "WS --time", "--time needs a value (T).  Try 'demo --help'.", -EINVAL },
		{ "WS --time -- ls", "--time needs a value (T).  Try 'demo --help'.", -EINVAL },
		{ "WS -o", "-o needs a value (FILE).  Try 'demo --help'.", -EINVAL },
		{ "--time soon WS",
		  "--time: 'soon' is not a time such as 500ms, 30s, 5m or 1h, or none.", -EINVAL },
		{ "--time -5 WS",
		  "--time: '-5' is not a time such as 500ms, 30s, 5m or 1h, or none.", -EINVAL },
		{ "--memory 1e9 WS",
		  "--memory: '1e9' is not a size such as 512M or 2G, or half or none.", -EINVAL },
		{ "--memory 4K WS", "--memory: '4K' is too small (at least 1M, or half or none).",
		  -ERANGE },
		{ "--pids 0 WS", "--pids: '0' is out of range (1 to 4096).", -ERANGE },
		{ "--pids 99999999999999999999 WS", "--pids: '99999999999999999999' is too large.",
		  -ERANGE },
		{ "--pids 1.5 WS", "--pids: '1.5' is not a whole number.", -EINVAL },
		{ "--home away WS", "--home: 'away' is not known; it may be private or persist.",
		  -EINVAL },
		{ "--result= WS", "--result: FILE must not be empty.", -EINVAL },
		{ "", "an argument is missing; usage: demo [OPTIONS] WS [-- CMD [ARG..]].",
		  -EINVAL },
		{ "WS ls",
		  "'ls' is one argument too many; a command goes after '--' (demo WS -- ls)",
		  -EINVAL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_EQ(parse(rows[i].line), rows[i].code);
		CHECK_STR(e.text, rows[i].text);
	}
}

static void test_list_is_bounded(void)
{
	memset(&d, 0, sizeof(d));
	for (int i = 0; i < OPT_LIST_MAX; i++)
		CHECK_EQ(opt_parse_value(opt_find(demo_opts, "env", 3), "--env", "A", &d, &e), 0);
	CHECK_EQ(opt_parse_value(opt_find(demo_opts, "env", 3), "--env", "A", &d, &e), -E2BIG);
}

static void test_nearest(void)
{
	static const char *const names[] = { "dataset add", "status", "mount", "umount", "ps" };

	CHECK_STR(opt_nearest("staus", names, 5), "status");
	CHECK_STR(opt_nearest("stauts", names, 5), "status");
	CHECK_STR(opt_nearest("dataset ad", names, 5), "dataset add");
	CHECK_STR(opt_nearest("stat", names, 5), "status");
	CHECK(opt_nearest("zebra", names, 5) == NULL);
	CHECK(opt_nearest("", names, 5) == NULL);
}

static int run_verbs(const char *a, const char *b, const char *c)
{
	char *v[] = { (char *)"ctl", (char *)a, (char *)b, (char *)c, NULL };

	return opt_main("ctl", "A program.", verbs, 1 + !!a + !!b + !!c, v);
}

static void test_verbs(void)
{
	CHECK_EQ(run_verbs("status", NULL, NULL), 40);
	CHECK_EQ(run_verbs("status", "--json", "WS"), 43);
	CHECK_EQ(run_verbs("dataset", "add", "WS"), 42);
	CHECK_EQ(run_verbs("status", "a", "b"), 2);
	CHECK_EQ(run_verbs("statsu", NULL, NULL), 2);
	CHECK_EQ(run_verbs("dataset", NULL, NULL), 2);
	CHECK_EQ(run_verbs("dataset", "sub", NULL), 2);
	CHECK_EQ(run_verbs(NULL, NULL, NULL), 2);
	CHECK_EQ(run_verbs("--version", NULL, NULL), 0);
	CHECK_EQ(run_verbs("--help", NULL, NULL), 0);
	CHECK_EQ(run_verbs("help", "status", NULL), 0);
	CHECK_EQ(run_verbs("status", "--help", NULL), 0);
	CHECK_EQ(run_verbs("dataset", "--help", NULL), 0);
}

static void test_help_fits_80_columns(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	size_t longest = 0;

	opt_help(f, "demo", &demo);
	opt_help_program(f, "ctl", "A program.", verbs);
	fclose(f);
	for (char *s = text; *s;) {
		size_t n = strcspn(s, "\n");

		longest = n > longest ? n : longest;
		s += n + (s[n] != '\0');
	}
	CHECK(longest < 80);
	CHECK(strstr(text, "Usage: demo [OPTIONS] WS [-- CMD [ARG..]]\n") != NULL);
	CHECK(strstr(text, "  -q, --quiet") != NULL);
	CHECK(strstr(text, "(default: 1h)") != NULL);
	CHECK(strstr(text, "run one command") != NULL);
	free(text);
}

int main(void)
{
	test_forms();
	test_words();
	test_asked();
	test_sentences();
	test_list_is_bounded();
	test_nearest();
	test_verbs();
	test_help_fits_80_columns();
	return check_report();
}
