#include "shell/plan_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "shell/sbx_shell.h"
#include "tests/check.h"

static char *resolve_same(const char *path)
{
	if (strstr(path, "missing")) {
		errno = ENOENT;
		return NULL;
	}
	return path[0] == '/' ? strdup(path) : strdup("/cur/rel");
}

static const char *const environ_[] = { "TERM=xterm",  "LANG=de_DE.UTF-8", "LC_TIME=C",
					"TZ=UTC",      "SECRET=1",         "LD_PRELOAD=/x.so",
					"LANGUAGE=de", "TOKEN=abc",        "PATH=/host",
					NULL };
static struct plan_host host = { .memory_bytes = 8ull << 30,
				 .cpus = 4,
				 .has_bash = true,
				 .variables = environ_,
				 .resolve = resolve_same };
static struct sbx_shell_opts opts;
static struct err e;
static struct built_plan *built;
static struct sandbox_plan *plan;

/* Build from an sbx-shell command line and the JSON of a workspace (NULL = none). */
static int build(const char *line, const char *settings)
{
	static char buf[512], *args[40];
	autojson json_t *j = NULL;
	struct plan_request rq = {
		.opts = &opts, .host = &host, .workspace_name = "ws", .run_id = "run"
	};
	int n = 0, rest, r;

	built_plan_free(built);
	built = NULL;
	plan = NULL;
	memset(&opts, 0, sizeof(opts));
	memset(&e, 0, sizeof(e));
	snprintf(buf, sizeof(buf), "sbx-shell %s", line);
	for (char *s = strtok(buf, " "); s; s = strtok(NULL, " "))
		args[n++] = s;
	args[n] = NULL;
	r = opt_parse("sbx-shell", sbx_shell_commands[0], n, args, &opts, &rest, &e);
	if (r < 0)
		return r;
	rq.command = args[rest] ? args + rest : NULL;
	rq.interactive = rq.tty = !rq.command;
	if (settings && json_parse(settings, strlen(settings), "settings", &j, &e) < 0)
		return -EBADMSG;
	rq.settings = j;
	r = plan_build(&rq, &built, &e);
	if (r == 0)
		plan = built_plan_get(built);
	return r;
}

static const char *env(const char *name)
{
	size_t len = strlen(name);

	for (char *const *p = plan->envp; *p; p++)
		if (!strncmp(*p, name, len) && (*p)[len] == '=')
			return *p + len + 1;
	return NULL;
}

static void test_builtin(void)
{
	CHECK_EQ(build("WS -- true", NULL), 0);
	CHECK_EQ(plan->limits.time_ms, 3600000);
	CHECK_EQ(plan->limits.grace_ms, 2000);
	CHECK_EQ(plan->limits.cpu_time_ms, 0);
	CHECK_EQ(plan->limits.memory_bytes, 4ll << 30);
	CHECK_EQ(plan->limits.shm_bytes, 2ll << 30);
	CHECK_EQ(plan->limits.cpu_milli, 0);
	CHECK_EQ(plan->limits.pids, 512);
	CHECK_EQ(plan->limits.tmp_bytes, 100 << 20);
	CHECK_EQ(plan->limits.home_bytes, 100 << 20);
	CHECK_EQ(plan->limits.output_bytes, 64 << 20);
	CHECK_EQ(plan->limits.fsize_bytes, 0);
	CHECK_EQ(plan->limits.nofile, 1024);
	CHECK_EQ(plan->uid, 1000);
	CHECK_STR(plan->cwd, "/workspace");
	CHECK_STR(plan->hostname, "sandbox");
	CHECK(!plan->tty && !plan->home_persist && !plan->allow_degraded);
	CHECK_STR(plan->argv[0], "true");
	CHECK_EQ(build("WS", NULL), 0);
	CHECK_EQ(plan->limits.time_ms, 0);
	CHECK_EQ(plan->limits.output_bytes, 0);
	CHECK(plan->tty);
}

static void test_precedence(void)
{
	static const char ws[] = "{\"limits\":{\"time\":\"10m\",\"memory\":\"1G\",\"pids\":100,"
				 "\"cpus\":2.5,\"cpu_time\":\"5m\",\"home_size\":\"1M\","
				 "\"shm\":\"half\",\"grace\":\"0\"}}";

	CHECK_EQ(build("WS -- true", ws), 0);
	CHECK_EQ(plan->limits.time_ms, 600000);
	CHECK_EQ(plan->limits.memory_bytes, 1 << 30);
	CHECK_EQ(plan->limits.shm_bytes, 1 << 29);
	CHECK_EQ(plan->limits.pids, 100);
	CHECK_EQ(plan->limits.cpu_milli, 2500);
	CHECK_EQ(plan->limits.cpu_time_ms, 300000);
	CHECK_EQ(plan->limits.home_bytes, 1 << 20);
	CHECK_EQ(plan->limits.grace_ms, 0);
	CHECK_EQ(build("--profile strict WS -- true", ws), 0);
	CHECK_EQ(plan->limits.time_ms, 60000);
	CHECK_EQ(plan->limits.memory_bytes, 512 << 20);
	CHECK_EQ(plan->limits.shm_bytes, 256 << 20);
	CHECK_EQ(plan->limits.pids, 64);
	CHECK_EQ(plan->limits.cpu_milli, 1000);
	CHECK_EQ(plan->limits.cpu_time_ms, 300000);
	CHECK_EQ(build("--profile strict --time none --memory half --cpus all WS -- true", ws), 0);
	CHECK_EQ(plan->limits.time_ms, 0);
	CHECK_EQ(plan->limits.memory_bytes, 4ll << 30);
	CHECK_EQ(plan->limits.cpu_milli, 0);
	CHECK_EQ(plan->limits.pids, 64);
	/* A shell has no time limit because of the workspace, but of a profile or option. */
	CHECK_EQ(build("WS", ws), 0);
	CHECK_EQ(plan->limits.time_ms, 0);
	CHECK_EQ(plan->limits.pids, 100);
	CHECK_EQ(build("--time 5s WS", ws), 0);
	CHECK_EQ(plan->limits.time_ms, 5000);
	CHECK_EQ(build("--profile strict WS", ws), 0);
	CHECK_EQ(plan->limits.time_ms, 60000);
	CHECK_EQ(build("--memory none WS -- true", ws), 0);
	CHECK_EQ(plan->limits.memory_bytes, 0);
	CHECK_EQ(plan->limits.shm_bytes, 4ll << 30);
}

static void test_bad_settings(void)
{
	CHECK_EQ(build("WS -- true", "{\"limits\":{\"time\":\"soon\"}}"), -EINVAL);
	CHECK_STR(e.text, "workspace.json: limits.time: 'soon' is not a time such as 500ms, 30s, "
			  "5m or 1h, or none.");
	CHECK_EQ(build("WS -- true", "{\"limits\":{\"cpu_time\":[1]}}"), -EINVAL);
	CHECK_STR(e.text, "workspace.json: limits.cpu_time must be text or a number.");
	CHECK_EQ(build("WS -- true", "{\"limits\":{\"pids\":-1}}"), -EINVAL);
	CHECK_EQ(build("WS -- true", "{\"limits\":{\"tmp\":\"none\"}}"), -EINVAL);
}

static void test_environment(void)
{
	CHECK_EQ(build("--env TOKEN --env A=1 --env HOME=/tmp --env A=2 WS -- true", NULL), 0);
	CHECK_STR(env("TERM"), "xterm");
	CHECK_STR(env("LANG"), "de_DE.UTF-8");
	CHECK_STR(env("LC_TIME"), "C");
	CHECK_STR(env("TZ"), "UTC");
	CHECK_STR(env("TOKEN"), "abc");
	CHECK_STR(env("A"), "2");
	CHECK_STR(env("HOME"), "/tmp");
	CHECK_STR(env("USER"), "sbx");
	CHECK_STR(env("SHELL"), "/bin/bash");
	CHECK_STR(env("PWD"), "/workspace");
	CHECK_STR(env("PATH"), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
	CHECK(env("SECRET") == NULL);
	CHECK(env("LD_PRELOAD") == NULL);
	CHECK(env("LANGUAGE") == NULL);
	CHECK(env("OMP_NUM_THREADS") == NULL);
	CHECK_EQ(build("--cpus 1.5 --cwd /datasets WS -- true", NULL), 0);
	CHECK_STR(env("OMP_NUM_THREADS"), "2");
	CHECK_STR(env("LOKY_MAX_CPU_COUNT"), "2");
	CHECK_STR(env("PWD"), "/datasets");
	CHECK_STR(env("HOME"), "/home/sbx");
	CHECK_EQ(build("--cpus 8 --home persist WS -- true", NULL), 0);
	CHECK(env("OMP_NUM_THREADS") == NULL);
	CHECK_STR(env("HOME"), "/workspace/.home");
	CHECK(plan->home_persist);
	CHECK_EQ(build("--env NOT_SET WS -- true", NULL), -EINVAL);
	CHECK_STR(e.text, "--env: 'NOT_SET' is not set here; write NAME=VALUE to set it.");
	CHECK_EQ(build("--env 1A=x WS -- true", NULL), -EINVAL);
	CHECK_EQ(build("--env =x WS -- true", NULL), -EINVAL);
}

static void test_binds(void)
{
	CHECK_EQ(build("--ro /opt/conda --ro /a/b:/model --ro /c:d:/e --ro rel --ro /d/ WS -- x",
		       NULL),
		 0);
	CHECK_EQ(plan->nbinds, 5);
	CHECK_STR(plan->binds[0].source, "/opt/conda");
	CHECK_STR(plan->binds[0].dest, "/opt/conda");
	CHECK_STR(plan->binds[1].source, "/a/b");
	CHECK_STR(plan->binds[1].dest, "/model");
	CHECK_STR(plan->binds[2].source, "/c:d");
	CHECK_STR(plan->binds[2].dest, "/e");
	CHECK_STR(plan->binds[3].source, "/cur/rel");
	CHECK_STR(plan->binds[3].dest, "/cur/rel");
	CHECK_STR(plan->binds[4].dest, "/d");
	CHECK_EQ(build("--ro /missing WS -- x", NULL), -ENOENT);
	CHECK_STR(e.text, "--ro: '/missing': No such file or directory");
	CHECK_EQ(build("--ro /a:/b/../c WS -- x", NULL), -EINVAL);
	CHECK_EQ(build("--cwd relative WS -- x", NULL), -EINVAL);
}

static void test_shell(void)
{
	CHECK_EQ(build("WS", NULL), 0);
	CHECK_STR(plan->argv[0], "bash");
	CHECK(strstr(plan->argv[3], "sbx:ws") != NULL);
	CHECK(env("PS1") == NULL);
	host.has_bash = false;
	CHECK_EQ(build("WS", NULL), 0);
	CHECK_STR(plan->argv[0], "sh");
	CHECK_STR(env("PS1"), "sbx:ws $ ");
	CHECK_STR(env("SHELL"), "/bin/sh");
	host.has_bash = true;
}

static void test_help_fits_80_columns(void)
{
	char *text = NULL;
	size_t size = 0, longest = 0;
	FILE *f = open_memstream(&text, &size);

	opt_help(f, "sbx-shell", sbx_shell_commands[0]);
	fclose(f);
	for (char *p = text; *p; p += strcspn(p, "\n") + (strchr(p, '\n') != NULL))
		longest = strcspn(p, "\n") > longest ? strcspn(p, "\n") : longest;
	CHECK(longest < 80);
	free(text);
}

int main(void)
{
	test_help_fits_80_columns();
	test_builtin();
	test_precedence();
	test_bad_settings();
	test_environment();
	test_binds();
	test_shell();
	built_plan_free(built);
	return check_report();
}
