#include "shell/result.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "tests/check.h"

static struct run_facts facts(void)
{
	return (struct run_facts){
		.run_id = "20261120T101500Z-7f3a0001",
		.started = "2026-11-20T10:15:00Z",
		.ended = true,
		.have_limits = true,
		.end = { .exited = true },
		.limits = { .time_ms = 60000,
			    .memory_bytes = 512 << 20,
			    .cpu_milli = 1000,
			    .pids = 64,
			    .tmp_bytes = 100 << 20,
			    .output_bytes = 64 << 20,
			    .cpu_time_ms = 5000,
			    .fsize_bytes = 4096 },
		.isolation = { .user_namespace = true,
			       .seccomp = true,
			       .no_new_privs = true,
			       .landlock = 7,
			       .cgroup = "v2",
			       .network = "none" },
	};
}

static void judge(const struct run_facts *f, const char *word, int code, const char *reason,
		  const char *option)
{
	struct run_verdict v;

	result_judge(f, &v);
	CHECK_STR(v.word, word);
	CHECK_EQ(v.exit_code, code);
	CHECK_STR(v.reason, reason);
	if (option)
		CHECK_STR(v.option, option);
	else
		CHECK(v.option == NULL);
}

static void test_own_ends(void)
{
	struct run_facts f = facts();

	judge(&f, "ok", 0, "", NULL);
	f.end.exit_code = 3;
	judge(&f, "exit", 3, "", NULL);
	/* A limit was touched, but the program chose its own end. */
	f.usage.oom_kills = 1;
	f.usage.pids_max_hits = 9;
	judge(&f, "exit", 3, "", NULL);
	f.end.exit_code = 124;
	judge(&f, "exit", 124, "", NULL);
}

static void test_signals(void)
{
	struct run_facts f = facts();

	f.end = (struct sandbox_end){ .signal = SIGSEGV };
	judge(&f, "signal", 139, "ended by SIGSEGV", NULL);
	f.usage.pids_max_hits = 1;
	judge(&f, "pids", 139, "limit of 64 processes reached, then ended by SIGSEGV", "--pids");
	f.end.signal = SIGKILL;
	f.usage.oom_kills = 1;
	judge(&f, "oom", 137, "memory limit of 512M reached", "--memory");
	f.usage = (struct sandbox_usage){ 0 };
	judge(&f, "signal", 137, "ended by SIGKILL", NULL);
	f.end.signal = SIGSYS;
	judge(&f, "seccomp", 128 + SIGSYS,
	      "ended by a system call that the sandbox does not allow (SIGSYS)", NULL);
	f.end.signal = SIGXFSZ;
	judge(&f, "quota", 128 + SIGXFSZ, "file size limit of 4K reached (SIGXFSZ)", "--fsize");
	f.end.signal = SIGXCPU;
	judge(&f, "cpu_timeout", 124, "CPU time limit of 5 s reached", "--cpu-time");
}

static void test_causes(void)
{
	struct run_facts f = facts();

	f.end = (struct sandbox_end){ .signal = SIGKILL };
	f.cause = CAUSE_TIME;
	judge(&f, "timeout", 124, "wall clock limit of 60 s reached", "--time");
	/* The reason was recorded first: what the command made of TERM does not change it. */
	f.end = (struct sandbox_end){ .exited = true };
	judge(&f, "timeout", 124, "wall clock limit of 60 s reached", "--time");
	f.cause = CAUSE_CPU_TIME;
	judge(&f, "cpu_timeout", 124, "CPU time limit of 5 s reached", "--cpu-time");
	f.end = (struct sandbox_end){ .signal = SIGKILL };
	f.cause = CAUSE_MEMORY;
	judge(&f, "oom", 137, "memory limit of 512M reached", "--memory");
	f.cause = CAUSE_OUTPUT;
	judge(&f, "output_limit", 137, "output limit of 64M reached", "--output");
	f.cause = CAUSE_FS_LOST;
	judge(&f, "fs_lost", 125, "the filesystem daemon of the workspace ended", NULL);
	f.cause = CAUSE_SIGNAL;
	f.cause_signal = SIGTERM;
	judge(&f, "signal", 143, "sbx-shell was ended by SIGTERM", NULL);
	f.ended = false;
	f.cause = CAUSE_SETUP;
	snprintf(f.setup_error, sizeof(f.setup_error), "no user namespaces");
	judge(&f, "setup", 125, "no user namespaces", NULL);
	f.cause = CAUSE_EXEC;
	f.exec_errno = ENOENT;
	judge(&f, "setup", 127, "no user namespaces", NULL);
	f.exec_errno = EACCES;
	judge(&f, "setup", 126, "no user namespaces", NULL);
}

/* The example of interface.md, key by key. */
static void test_json(void)
{
	static const char *const keys[] = {
		"run",
		"verdict",
		"exit_code",
		"signal",
		"reason",
		"wall_ms",
		"cpu_ms",
		"max_memory_bytes",
		"oom_kills",
		"pids_max_hits",
		"stdout_bytes",
		"stderr_bytes",
		"degraded",
		"limits.time_ms",
		"limits.cpus",
		"limits.cpu_time_ms",
		"limits.pids",
		"limits.memory_bytes",
		"limits.tmp_bytes",
		"limits.output_bytes",
		"isolation.user_namespace",
		"isolation.seccomp",
		"isolation.landlock",
		"isolation.cgroup",
		"isolation.no_new_privs",
		"isolation.network",
	};
	struct run_facts f = facts(), none = { .cause = CAUSE_SETUP, .setup_error = "bad \xff" };
	struct run_verdict v;
	autojson json_t *j = NULL, *empty = NULL;

	f.cause = CAUSE_TIME;
	f.end = (struct sandbox_end){ .signal = SIGKILL };
	f.isolation.ndegraded = 1;
	strcpy(f.isolation.degraded[0], "memory is polled");
	result_judge(&f, &v);
	j = result_json(&f, &v);
	result_judge(&none, &v);
	empty = result_json(&none, &v);
	CHECK(j != NULL && empty != NULL);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		CHECK(json_at(j, keys[i]) != NULL);
		CHECK(!strncmp(keys[i], "limits.", 7) || json_at(empty, keys[i]) != NULL);
	}
	CHECK(json_is_null(json_at(j, "exit_code")));
	CHECK_EQ(json_integer_value(json_at(j, "signal")), 9);
	CHECK(json_real_value(json_at(j, "limits.cpus")) == 1.0);
	CHECK_EQ(json_array_size(json_at(j, "degraded")), 1);
	CHECK(json_is_null(json_at(empty, "limits")));
	CHECK(json_is_false(json_at(empty, "isolation.seccomp")));
	CHECK_STR(json_string_value(json_at(empty, "isolation.cgroup")), "none");
	CHECK_STR(json_string_value(json_at(empty, "reason")), "bad \\xff");
	f.limits.cpu_time_ms = 0;
	json_decref(j);
	j = result_json(&f, &v);
	CHECK(json_is_null(json_at(j, "limits.cpu_time_ms")));
}

static char dir[] = "/tmp/test_result-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void test_files(void)
{
	struct run_facts f = facts();
	struct run_verdict v;
	autojson json_t *j = NULL, *back = NULL;
	autofree char *text = NULL;
	struct err e = { 0 };
	struct stat st;
	size_t len;

	CHECK(mkdtemp(dir) != NULL);
	result_judge(&f, &v);
	j = result_json(&f, &v);
	CHECK_EQ(result_check_path(in_dir("out.json"), &e), 0);
	CHECK_EQ(result_write(in_dir("out.json"), j, &e), 0);
	CHECK_EQ(result_write(in_dir("out.json"), j, &e), 0);
	CHECK_EQ(fd_read_file(AT_FDCWD, in_dir("out.json"), 1 << 16, &text, &len, &e), 0);
	CHECK_EQ(json_parse(text, len, "it", &back, &e), 0);
	CHECK(json_equal(j, back));
	/* Nothing that is not a file is replaced, and nothing hangs. */
	CHECK_EQ(symlink("/etc/passwd", in_dir("link")), 0);
	CHECK_EQ(result_check_path(in_dir("link"), &e), -EINVAL);
	CHECK_EQ(result_write(in_dir("link"), j, &e), -EINVAL);
	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	CHECK_EQ(result_check_path(in_dir("fifo"), &e), -EINVAL);
	CHECK_EQ(result_check_path("/dev/null", &e), -EINVAL);
	CHECK_EQ(result_check_path(in_dir("no/such"), &e), -ENOENT);
	CHECK_EQ(result_check_path(in_dir(""), &e), -EINVAL);
	CHECK_EQ(result_check_path(dir, &e), -EINVAL);
	/* A record goes into runs/ only. */
	CHECK_EQ(record_write(dir, &f, j, "ls", 3, &e), 0);
	CHECK_EQ(mkdir(in_dir("runs"), 0700), 0);
	CHECK_EQ(record_write(dir, &f, j, "ls\xff", 3, &e), 0);
	CHECK_EQ(stat(in_dir("runs/20261120T101500Z-7f3a0001.json"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(unlink(in_dir("runs/20261120T101500Z-7f3a0001.json")), 0);
	CHECK_EQ(rmdir(in_dir("runs")), 0);
	CHECK_EQ(symlink("/tmp", in_dir("runs")), 0);
	CHECK(record_write(dir, &f, j, "ls", 3, &e) < 0);
	CHECK(stat("/tmp/20261120T101500Z-7f3a0001.json", &st) < 0);
	unlink(in_dir("runs"));
	unlink(in_dir("link"));
	unlink(in_dir("fifo"));
	unlink(in_dir("out.json"));
	CHECK_EQ(rmdir(dir), 0);
}

static void test_notes(void)
{
	char notes[RESULT_NOTES][ERR_TEXT_MAX];
	struct run_facts f = facts();
	struct run_verdict v;

	result_judge(&f, &v);
	CHECK_EQ(result_notes(&f, &v, notes), 0);
	f.usage.oom_kills = 1;
	f.usage.pids_max_hits = 3;
	f.have_quota = true;
	f.quota_hits = 2;
	f.quota_bytes = 10 << 20;
	f.quota_files = 100;
	result_judge(&f, &v);
	CHECK_STR(v.word, "ok");
	CHECK_EQ(result_notes(&f, &v, notes), 3);
	CHECK_STR(notes[0], "the memory limit of 512M ended a process inside once; raise it with "
			    "--memory");
	CHECK_STR(notes[1], "the limit of 64 processes refused a new one 3 times; raise it with "
			    "--pids");
	CHECK_STR(notes[2], "the quota of 10M and 100 files refused something 2 times; raise it "
			    "with 'sbxctl set WS quota.bytes=SIZE' or quota.files=N");
	/* what decided is said once */
	f.cause = CAUSE_MEMORY;
	result_judge(&f, &v);
	CHECK_EQ(result_notes(&f, &v, notes), 2);
	f.limits.memory_bytes = 0;
	f.cause = CAUSE_NONE;
	f.usage.pids_max_hits = 0;
	f.quota_files = 0;
	result_judge(&f, &v);
	CHECK_EQ(result_notes(&f, &v, notes), 2);
	CHECK_STR(notes[0], "the machine ran out of memory and ended a process inside once");
	CHECK(strstr(notes[1], "quota of 10M refused") != NULL);
	/* a signal after it */
	f.usage.oom_kills = 0;
	f.end = (struct sandbox_end){ .signal = SIGBUS };
	judge(&f, "quota", 128 + SIGBUS, "quota of 10M reached, then ended by SIGBUS",
	      "'sbxctl set WS quota.bytes=SIZE' or quota.files=N");
	f.have_quota = false;
	judge(&f, "signal", 128 + SIGBUS, "ended by SIGBUS", NULL);
	/* the daemon that hung is named beside the cause */
	f.cause = CAUSE_TIME;
	f.daemon_ended = true;
	result_judge(&f, &v);
	CHECK(strncmp(v.reason, "wall clock limit of 60 s reached; the workspace's daemon", 50) ==
	      0);
}

int main(void)
{
	test_own_ends();
	test_signals();
	test_causes();
	test_json();
	test_files();
	test_notes();
	return check_report();
}
