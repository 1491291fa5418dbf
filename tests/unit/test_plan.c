#include "sandbox/plan.h"

#include "base/err.h"
#include "tests/check.h"

static char *const argv[] = { "true", NULL };
static char *const envp[] = { "PATH=/usr/bin", NULL };

static struct sandbox_plan good(void)
{
	return (struct sandbox_plan){
		.workspace = { .userns_fd = 3, .mntns_fd = 4 },
		.uid = 1000,
		.hostname = "sandbox",
		.cwd = "/workspace",
		.argv = argv,
		.envp = envp,
		.limits = { .tmp_bytes = 1 << 20,
			    .shm_bytes = 1 << 20,
			    .home_bytes = 1 << 20,
			    .nofile = 1024 },
		.stdio = { 0, 1, 2 },
		.run_id = "20260101T000000Z-abcd",
	};
}

/* The plan is refused, and the sentence names 'word'. */
static bool refused(const struct sandbox_plan *p, const char *word)
{
	struct err err = { 0 };
	int r = plan_validate(p, &err);

	if (r < 0 && !strstr(err.text, word))
		fprintf(stderr, "sentence: %s\n", err.text);
	return r < 0 && strstr(err.text, word);
}

static void test_good(void)
{
	struct sandbox_plan p = good();
	struct err err = { 0 };

	CHECK_EQ(plan_validate(&p, &err), 0);
	p.cwd = "/";
	p.uid = 0;
	p.tty = true;
	p.stdio[0] = p.stdio[1] = p.stdio[2] = -1;
	CHECK_EQ(plan_validate(&p, &err), 0);
}

static void test_basics(void)
{
	char *const none[] = { NULL }, *const empty[] = { "", NULL };
	char *const bad_env[] = { "PATH", NULL }, *const nameless[] = { "=x", NULL };
	struct sandbox_plan p;

	p = good(), p.argv = none;
	CHECK(refused(&p, "command"));
	p = good(), p.argv = empty;
	CHECK(refused(&p, "command"));
	p = good(), p.envp = bad_env;
	CHECK(refused(&p, "NAME=VALUE"));
	p = good(), p.envp = nameless;
	CHECK(refused(&p, "NAME=VALUE"));
	p = good(), p.cwd = "workspace";
	CHECK(refused(&p, "--cwd"));
	p = good(), p.cwd = "/workspace/../etc";
	CHECK(refused(&p, "--cwd"));
	p = good(), p.uid = (uid_t)-1;
	CHECK(refused(&p, "--uid"));
	p = good(), p.uid = 65534;
	CHECK(refused(&p, "--uid"));
	p = good(), p.hostname = "a_b";
	CHECK(refused(&p, "host name"));
	p = good(), p.hostname = "";
	CHECK(refused(&p, "host name"));
	p = good(), p.run_id = "../x";
	CHECK(refused(&p, "run name"));
	p = good(), p.stdio[1] = -1;
	CHECK(refused(&p, "descriptor 1"));
	p = good(), p.workspace.mntns_fd = -1;
	CHECK(refused(&p, "workspace"));
	p = good(), p.workspace.host_dir = "mnt";
	CHECK(refused(&p, "absolute"));
}

static void test_limits(void)
{
	struct sandbox_plan p;

	p = good(), p.limits.tmp_bytes = 0;
	CHECK(refused(&p, "--tmp"));
	p = good(), p.limits.shm_bytes = 4095;
	CHECK(refused(&p, "--shm"));
	p = good(), p.limits.home_bytes = 0;
	CHECK(refused(&p, "--home-size"));
	p = good(), p.limits.nofile = 3;
	CHECK(refused(&p, "--nofile"));
	p = good(), p.limits.memory_bytes = 4096;
	CHECK(refused(&p, "--memory"));
	p = good(), p.limits.cpu_milli = 5;
	CHECK(refused(&p, "--cpus"));
	p = good(), p.limits.pids = UINT64_MAX;
	CHECK(refused(&p, "--pids"));
}

static bool bind_refused(const char *source, const char *dest, const char *word)
{
	struct plan_bind b = { source, dest };
	struct sandbox_plan p = good();

	p.binds = &b;
	p.nbinds = 1;
	return refused(&p, word);
}

static void test_binds(void)
{
	const struct plan_bind two[] = { { "/a", "/opt/x" }, { "/b", "/opt/x" } };
	const struct plan_bind fine[] = { { "/a", "/opt/x" },
					  { "/b", "/home/me/conda" },
					  { "/c", "/usr/local/y" },
					  { "/d", "/etc/jupyter" },
					  { "/e", "/datasets2" } };
	const struct plan_bind home = { "/a", "/home/sbx/models" };
	struct sandbox_plan p = good();
	struct err err = { 0 };

	CHECK(bind_refused("relative", "/opt/x", "absolute"));
	CHECK(bind_refused("/a", "opt/x", "clean"));
	CHECK(bind_refused("/a", "/opt/../workspace", "clean"));
	CHECK(bind_refused("/a", "/", "itself"));
	CHECK(bind_refused("/a", "/workspace", "itself"));
	CHECK(bind_refused("/a", "/workspace/x", "itself"));
	CHECK(bind_refused("/a", "/datasets/x", "itself"));
	CHECK(bind_refused("/a", "/proc/sys", "itself"));
	CHECK(bind_refused("/a", "/dev/fuse", "itself"));
	CHECK(bind_refused("/a", "/usr", "itself"));
	CHECK(bind_refused("/a", "/etc/passwd", "itself"));
	CHECK(bind_refused("/a", "/tmp", "itself"));
	p.binds = two, p.nbinds = 2;
	CHECK(refused(&p, "both"));
	p.binds = fine, p.nbinds = 5;
	CHECK_EQ(plan_validate(&p, &err), 0);
	p.binds = &home, p.nbinds = 1;
	CHECK_EQ(plan_validate(&p, &err), 0);
	p.home_persist = true;
	CHECK(refused(&p, "home directory"));
	p = good(), p.nbinds = PLAN_BINDS_MAX + 1;
	CHECK(refused(&p, "are the most"));
}

int main(void)
{
	test_good();
	test_basics();
	test_limits();
	test_binds();
	return check_report();
}
