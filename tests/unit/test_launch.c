/* The launch sequence as a whole, on a workspace without its daemon; as root and as a user. */
#include "sandbox/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "tests/check.h"
#include "tests/lib/fake_workspace.h"

static struct plan_workspace ws;
static char run_id[64];

struct outcome {
	int launched; /* result of sandbox_launch() */
	int exec_errno;
	struct sandbox_end end;
	struct sandbox_usage usage;
	char out[65536];
};

#define SH(script) ((char *const[]){ "sh", "-c", script, NULL })

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool ended(struct sandbox *sb, int ms)
{
	struct pollfd p = { .fd = sandbox_pidfd(sb), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Launch, wait (at most 20 s), collect stdout and stderr together. */
static void run_plan(struct sandbox_plan *p, struct outcome *o)
{
	int out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct sandbox *sb = NULL;
	struct err err = { 0 };

	memset(o, 0, sizeof(*o));
	p->run_id = run_id;
	if (!p->tty)
		p->stdio[0] = in, p->stdio[1] = p->stdio[2] = out;
	o->launched = sandbox_launch(p, &sb, &o->exec_errno, &err);
	if (o->launched < 0)
		snprintf(o->out, sizeof(o->out), "%s", err.text);
	if (o->launched == 0) {
		if (!ended(sb, 20000))
			CHECK_EQ(sandbox_kill(sb, 2000), 0);
		CHECK_EQ(sandbox_finish(sb, &o->end, &o->usage, &err), 0);
		fd_pread_full(out, o->out, sizeof(o->out) - 1, 0);
	}
	sandbox_free(sb);
	close(out);
	close(in);
}

static void run(char *const *argv, struct outcome *o)
{
	struct sandbox_plan p = fake_plan(&ws, argv);

	run_plan(&p, o);
}

/* The script exits 0 inside. */
static bool holds(const char *script)
{
	static struct outcome o;

	run(SH((char *)script), &o);
	if (o.launched < 0 || !o.end.exited || o.end.exit_code != 0)
		fprintf(stderr, "script: %s\n%s\n", script, o.out);
	return o.launched == 0 && o.end.exited && o.end.exit_code == 0;
}

static void test_ends(void)
{
	static struct outcome o;

	run((char *const[]){ "true", NULL }, &o);
	CHECK(o.launched == 0 && o.end.exited && o.end.exit_code == 0);
	run(SH("exit 42"), &o);
	CHECK(o.end.exited && o.end.exit_code == 42);
	run(SH("kill -USR1 $$"), &o);
	CHECK(!o.end.exited && o.end.signal == SIGUSR1);
	run(SH("echo out; echo err >&2"), &o);
	CHECK_STR(o.out, "out\nerr\n");
	run((char *const[]){ "no-such-program", NULL }, &o);
	CHECK_EQ(o.launched, -ECHILD);
	CHECK_EQ(o.exec_errno, ENOENT);
	CHECK(strstr(o.out, "no-such-program"));
	run((char *const[]){ "/etc/passwd", NULL }, &o);
	CHECK_EQ(o.launched, -ECHILD);
	CHECK_EQ(o.exec_errno, EACCES);
	/* what the shell calls a script, the kernel calls no program */
	CHECK(holds("cp /etc/passwd /home/sbx/x && chmod 755 /home/sbx/x"));
}

static void test_inside(void)
{
	CHECK(holds("test $(id -u) = 1000 && test $(id -un) = sbx && test $(hostname) = sandbox"));
	CHECK(holds("test \"$(pwd)\" = /workspace && echo x > f && test -s f && rm f"));
	CHECK(holds("test \"$(cat /datasets/hello.txt)\" = hello"));
	CHECK(holds("! (echo x > /datasets/hello.txt) 2>/dev/null"));
	CHECK(holds("for d in / /usr /etc /run /dev /proc /sys /home /var; do"
		    " ! touch $d/x 2>/dev/null || exit 1; done"));
	CHECK(holds("echo y > /tmp/a && echo y > /dev/shm/b && echo y > $HOME/c"));
	CHECK(holds("cp /bin/true /tmp/t; ! /tmp/t 2>/dev/null"));
	/* nothing of the host: only the names that we made */
	CHECK(holds("test \"$(ls / | grep -vxE 'bin|datasets|dev|etc|home|lib|lib32|lib64|libx32|"
		    "proc|run|sbin|sys|tmp|usr|var|workspace')\" = ''"));
	CHECK(holds("test \"$(ls /home)\" = sbx && test -z \"$(ls -A /run)\""));
	CHECK(holds("grep -q '^CapBnd:.0000000000000000$' /proc/self/status"));
	CHECK(holds("grep -q '^CapEff:.0000000000000000$' /proc/self/status"));
	CHECK(holds("grep -q '^NoNewPrivs:.1$' /proc/self/status"));
	CHECK(holds("grep -q '^Seccomp:.2$' /proc/self/status"));
	CHECK(holds("test $(cat /proc/self/coredump_filter) = 00000000"));
	CHECK(holds("! grep -qv '/$' /proc/self/cgroup"));
	CHECK(holds("test -z \"$(cat /proc/config.gz /proc/keys /proc/slabinfo 2>/dev/null)\""));
	CHECK(holds("test \"$(ls /sys /sys/devices/system)\" != '' && ! test -e /sys/fs"));
	CHECK(holds(
		"ls /proc/self/fd | grep -qxE '0|1|2|3' && test $(ls /proc/self/fd | wc -l) = 4"));
	CHECK(holds("! unshare -U true 2>/dev/null"));
	CHECK(holds("test \"$(cut -d' ' -f1 /proc/sys/kernel/hostname)\" = sandbox &&"
		    " ! (echo x > /proc/sys/kernel/hostname) 2>/dev/null"));
}

static void test_uid(void)
{
	static struct outcome o;
	struct sandbox_plan p = fake_plan(&ws, SH("id -u; id -un; grep CapEff /proc/self/status"));

	p.uid = 0;
	run_plan(&p, &o);
	CHECK_STR(o.out, "0\nsbx\nCapEff:\t0000000000000000\n");
}

static void test_bind(void)
{
	char dir[] = "/tmp/sbx-bind-XXXXXX", file[64], link[64], below[80];
	struct plan_bind b[] = { { dir, "/home/me/models" },
				 { file, "/opt/one.txt" },
				 { "/nonexistent", "/opt/x" } };
	static struct outcome o;
	struct sandbox_plan p =
		fake_plan(&ws, SH("cat /home/me/models/f /opt/one.txt; ! touch /home/me/models/g "
				  "2>/dev/null && ! (echo x > /opt/one.txt) 2>/dev/null"));
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	chmod(dir, 0755);
	snprintf(file, sizeof(file), "%s/f", dir);
	fd = open(file, O_CREAT | O_WRONLY, 0644);
	CHECK_EQ(fd_write_full(fd, "shown\n", 6), 0);
	close(fd);
	p.binds = b;
	p.nbinds = 2;
	run_plan(&p, &o);
	CHECK_STR(o.out, "shown\nshown\n");
	CHECK(o.end.exited && o.end.exit_code == 0);
	p.nbinds = 3;
	run_plan(&p, &o);
	CHECK_EQ(o.launched, -ENOENT);
	CHECK(strstr(o.out, "/nonexistent"));
	/* A symlink in the path, at its end or before: put there after it was resolved. */
	snprintf(link, sizeof(link), "%s.link", dir);
	snprintf(below, sizeof(below), "%s/f", link);
	CHECK_EQ(symlink(dir, link), 0);
	b[2].source = link;
	run_plan(&p, &o);
	CHECK_EQ(o.launched, -ELOOP);
	b[2].source = below;
	run_plan(&p, &o);
	CHECK_EQ(o.launched, -ELOOP);
	unlink(link);
	unlink(file);
	rmdir(dir);
}

static void test_bad_cwd(void)
{
	static struct outcome o;
	struct sandbox_plan p = fake_plan(&ws, SH("true"));

	p.cwd = "/not/there";
	run_plan(&p, &o);
	CHECK_EQ(o.launched, -ENOENT);
	CHECK(strstr(o.out, "/not/there"));
}

static void test_home_persist(void)
{
	static struct outcome o;
	struct sandbox_plan p = fake_plan(&ws, SH("echo kept > $HOME/note"));

	p.home_persist = true;
	run_plan(&p, &o);
	CHECK(o.launched == 0 && o.end.exited && o.end.exit_code == 0);
	CHECK(holds("test \"$(cat /workspace/.home/note)\" = kept && rm -r /workspace/.home"));
	/* what a payload put there instead */
	CHECK(holds("ln -s /etc /workspace/.home"));
	run_plan(&p, &o);
	CHECK(o.launched < 0);
	CHECK(strstr(o.out, ".home"));
	CHECK(holds("rm /workspace/.home"));
}

static void test_tty(void)
{
	struct sandbox_plan p = fake_plan(&ws, SH("tty; test -t 0 && exit 7"));
	struct sandbox *sb = NULL;
	struct sandbox_end end;
	struct sandbox_usage usage;
	struct err err = { 0 };
	int e = 0, pty;
	char buf[256] = { 0 };

	p.tty = true;
	CHECK_EQ(sandbox_launch(&p, &sb, &e, &err), 0);
	if (!sb)
		return;
	pty = sandbox_take_pty(sb);
	CHECK(pty >= 0);
	CHECK_EQ(sandbox_take_pty(sb), -1);
	CHECK(ended(sb, 5000));
	CHECK(read(pty, buf, sizeof(buf) - 1) > 0);
	CHECK_STR(buf, "/dev/pts/0\r\n");
	CHECK_EQ(sandbox_finish(sb, &end, &usage, &err), 0);
	CHECK(end.exited && end.exit_code == 7);
	sandbox_free(sb);
	close(pty);
}

/* A sandbox that runs 'script' until told otherwise; it has come so far as to say something. */
static struct sandbox *hold(const char *script)
{
	struct sandbox_plan p = fake_plan(&ws, SH((char *)script));
	struct sandbox *sb = NULL;
	struct err err = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out[2], e;
	char c;

	CHECK_EQ(pipe2(out, O_CLOEXEC), 0);
	p.stdio[0] = p.stdio[2] = null;
	p.stdio[1] = out[1];
	CHECK_EQ(sandbox_launch(&p, &sb, &e, &err), 0);
	close(null);
	close(out[1]);
	CHECK_EQ(read(out[0], &c, 1), 1);
	close(out[0]);
	return sb;
}

static void test_signal(void)
{
	struct sandbox *sb = hold("trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done");
	struct sandbox_end end;
	struct sandbox_usage usage;

	CHECK_EQ(sandbox_signal(sb, SIGTERM), 0);
	CHECK(ended(sb, 5000));
	CHECK_EQ(sandbox_finish(sb, &end, &usage, NULL), 0);
	CHECK(end.exited && end.exit_code == 5);
	sandbox_free(sb);
}

static void test_kill_stubborn(void)
{
	struct sandbox *sb =
		hold("trap '' TERM HUP INT QUIT; setsid sh -c 'trap \"\" TERM; sleep 88' &"
		     "echo up; kill -STOP 0; sleep 88");
	struct sandbox_end end;
	struct sandbox_usage usage;
	uint64_t start;

	usleep(50000);
	CHECK(!ended(sb, 0));
	CHECK_EQ(sandbox_finish(sb, &end, &usage, NULL), -EBUSY);
	start = now_ms();
	CHECK_EQ(sandbox_kill(sb, 2000), 0);
	CHECK(now_ms() - start < 500);
	CHECK_EQ(sandbox_finish(sb, &end, &usage, NULL), 0);
	CHECK(!end.exited && end.signal == SIGKILL);
	sandbox_free(sb);
}

static void test_orphans(void)
{
	static struct outcome o;
	uint64_t start = now_ms();

	/* an orphan that holds stdout open does not keep the run alive */
	run(SH("setsid sleep 88 & exit 3"), &o);
	CHECK(o.end.exited && o.end.exit_code == 3);
	CHECK(now_ms() - start < 2000);
}

static void test_pids(void)
{
	static struct outcome o;
	struct sandbox_plan p =
		fake_plan(&ws, SH("for i in $(seq 30); do sleep 5 & done 2>/dev/null; exit 9"));

	p.limits.pids = 10;
	run_plan(&p, &o);
	/* dash ends with 2 when it cannot fork */
	CHECK(o.launched == 0 && o.end.exited && o.end.exit_code == 2);
}

static void test_memory(void)
{
	static struct outcome o;
	struct sandbox_plan p = fake_plan(
		&ws, SH("head -c 100000000 /dev/zero > /dev/shm/x; echo survived; sleep 1"));

	p.limits.memory_bytes = 32 << 20;
	p.limits.shm_bytes = 512 << 20;
	run_plan(&p, &o);
	if (o.launched == -EOPNOTSUPP) {
		CHECK(strstr(o.out, "--allow-degraded"));
		return;
	}
	CHECK_EQ(o.launched, 0);
	CHECK(o.usage.oom_kills >= 1);
	CHECK(o.usage.max_memory_bytes > 16 << 20 && o.usage.max_memory_bytes <= 33 << 20);
}

static void test_cpu_time(void)
{
	static struct outcome o;

	run(SH("i=0; while test $i -lt 40000; do i=$((i+1)); done"), &o);
	CHECK(o.usage.cpu_ms >= 4 && o.usage.cpu_ms < 20000);
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_leaves_nothing(void)
{
	static struct outcome o;
	unsigned before = count_fds();

	for (int i = 0; i < 20; i++) {
		run((char *const[]){ i % 2 ? "true" : "no-such-program", NULL }, &o);
		CHECK_EQ(o.launched, i % 2 ? 0 : -ECHILD);
	}
	CHECK_EQ(count_fds(), before);
	/* no child either */
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
}

/* Is any process left that is a child of ours, now or by inheritance (we are a subreaper)?  Reaps
 * the dead. */
static bool all_gone(int ms)
{
	for (uint64_t end = now_ms() + (uint64_t)ms; now_ms() < end; usleep(1000)) {
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return true;
	}
	return false;
}

/* S is killed by SIGKILL at a random moment of launch, run or end; everything else must follow. */
static void test_supervisor_killed(void)
{
	unsigned seed = (unsigned)time(NULL);
	unsigned bad = 0;
	char find[160];

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (int i = 0; i < 100; i++) {
		static struct outcome o;
		pid_t s = fork();

		if (s == 0) {
			run(SH("setsid sleep 88 & (trap '' TERM HUP; sleep 88) & wait"), &o);
			_exit(0);
		}
		usleep((useconds_t)rand_r(&seed) % (i % 4 ? 20000 : 60000));
		kill(s, SIGKILL);
		if (!all_gone(1000))
			bad++;
	}
	CHECK_EQ(bad, 0);
	/* others may run this test, too: ours have our pid in the name of the run */
	snprintf(find, sizeof(find), "! find /sys/fs/cgroup -name 'sbx-%s-*' 2>/dev/null | grep .",
		 run_id);
	CHECK_EQ(system(find), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

int main(void)
{
	int r = fake_workspace_open(&ws);

	snprintf(run_id, sizeof(run_id), "20260101T000000Z-test%d", (int)getpid());
	if (r < 0)
		CHECK_SKIP("user namespaces cannot be made here");
	test_ends();
	test_inside();
	test_uid();
	test_bind();
	test_bad_cwd();
	test_home_persist();
	test_tty();
	test_signal();
	test_kill_stubborn();
	test_orphans();
	test_pids();
	test_memory();
	test_cpu_time();
	test_leaves_nothing();
	test_supervisor_killed();
	fake_workspace_close(&ws);
	return check_report();
}
