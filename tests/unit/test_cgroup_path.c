#include "sandbox/cgroup.h"

#include <errno.h>

#include "tests/check.h"

static const char hybrid[] = "9:name=systemd:/user.slice\n"
			     "8:pids:/user.slice/user-0.slice\n"
			     "4:memory:/api/8909\n"
			     "2:cpu,cpuacct:/a:b\n"
			     "1:cpuset:/\n"
			     "0::/init.scope\n";
static const char pure_v2[] =
	"0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n";

static void test_path(void)
{
	char p[128], tiny[8];

	CHECK_EQ(cgroup_parse_path(hybrid, "memory", p, sizeof(p)), 0);
	CHECK_STR(p, "/api/8909");
	CHECK_EQ(cgroup_parse_path(hybrid, "cpu", p, sizeof(p)), 0);
	CHECK_STR(p, "/a:b");
	CHECK_EQ(cgroup_parse_path(hybrid, "cpuacct", p, sizeof(p)), 0);
	CHECK_STR(p, "/a:b");
	CHECK_EQ(cgroup_parse_path(hybrid, "cpuset", p, sizeof(p)), 0);
	CHECK_STR(p, "/");
	CHECK_EQ(cgroup_parse_path(hybrid, "", p, sizeof(p)), 0);
	CHECK_STR(p, "/init.scope");
	CHECK_EQ(cgroup_parse_path(hybrid, "blkio", p, sizeof(p)), -ENOENT);
	/* a controller is a whole word */
	CHECK_EQ(cgroup_parse_path(hybrid, "cpus", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_parse_path(hybrid, "pid", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_parse_path(pure_v2, "", p, sizeof(p)), 0);
	CHECK(strncmp(p, "/user.slice/user-1000", 21) == 0);
	CHECK_EQ(cgroup_parse_path(pure_v2, "memory", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_parse_path(pure_v2, "", tiny, sizeof(tiny)), -ENAMETOOLONG);
	CHECK_EQ(cgroup_parse_path("", "", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_parse_path("no colons here\n0:", "", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_parse_path("0::", "", p, sizeof(p)), -ENOENT);
}

static const char mounts[] =
	"22 1 254:0 / / rw - ext4 /dev/vda rw\n"
	"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - tmpfs tmpfs rw,mode=755\n"
	"31 30 0:27 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw,nsdelegate\n"
	"32 30 0:28 /docker/ab /sys/fs/cgroup/memory rw master:9 - cgroup cgroup rw,memory\n"
	"33 30 0:29 / /sys/fs/cgroup/cpu\\040acct rw - cgroup cgroup rw,cpu,cpuacct\n";

static void test_mount(void)
{
	char dir[64], root[64];

	CHECK_EQ(cgroup_parse_mount(mounts, "", dir, root, sizeof(dir)), 0);
	CHECK_STR(dir, "/sys/fs/cgroup/unified");
	CHECK_STR(root, "/");
	CHECK_EQ(cgroup_parse_mount(mounts, "memory", dir, root, sizeof(dir)), 0);
	CHECK_STR(dir, "/sys/fs/cgroup/memory");
	CHECK_STR(root, "/docker/ab");
	CHECK_EQ(cgroup_parse_mount(mounts, "cpuacct", dir, root, sizeof(dir)), 0);
	CHECK_STR(dir, "/sys/fs/cgroup/cpu acct");
	CHECK_EQ(cgroup_parse_mount(mounts, "pids", dir, root, sizeof(dir)), -ENOENT);
	CHECK_EQ(cgroup_parse_mount(mounts, "memory", dir, root, 8), -ENAMETOOLONG);
	CHECK_EQ(cgroup_parse_mount("short line\n\n - cgroup2\n", "", dir, root, sizeof(dir)),
		 -ENOENT);
}

static void test_join(void)
{
	char p[64];

	CHECK_EQ(cgroup_join_path("/cg", "/", "/a/b", p, sizeof(p)), 0);
	CHECK_STR(p, "/cg/a/b");
	CHECK_EQ(cgroup_join_path("/cg", "/", "/", p, sizeof(p)), 0);
	CHECK_STR(p, "/cg");
	CHECK_EQ(cgroup_join_path("/cg", "/docker/ab", "/docker/ab/x", p, sizeof(p)), 0);
	CHECK_STR(p, "/cg/x");
	CHECK_EQ(cgroup_join_path("/cg", "/docker/ab", "/docker/ab", p, sizeof(p)), 0);
	CHECK_STR(p, "/cg");
	/* beside what is mounted, or outside of the namespace: not reachable */
	CHECK_EQ(cgroup_join_path("/cg", "/docker/ab", "/docker/abc", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_join_path("/cg", "/docker/ab", "/", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_join_path("/cg", "/", "/../other", p, sizeof(p)), -ENOENT);
	CHECK_EQ(cgroup_join_path("/cg", "/", "/abcdef", p, 8), -ENAMETOOLONG);
}

static void test_leaf(void)
{
	uint64_t start = 0;
	pid_t pid = 0;

	CHECK(cgroup_parse_leaf("sbx-20260101T000000Z-7f3a-1234-98765", &pid, &start));
	CHECK_EQ(pid, 1234);
	CHECK_EQ(start, 98765);
	CHECK(!cgroup_parse_leaf("sbx", &pid, &start));
	CHECK(!cgroup_parse_leaf("sbx-supervisor", &pid, &start));
	CHECK(!cgroup_parse_leaf("sbx-a-b-c", &pid, &start));
	CHECK(!cgroup_parse_leaf("sbx-run-12x-5", &pid, &start));
	CHECK(!cgroup_parse_leaf("sbx-run-12-5x", &pid, &start));
	CHECK(!cgroup_parse_leaf("sbx-run-99999999999-5", &pid, &start));
	CHECK(!cgroup_parse_leaf("other-run-12-5", &pid, &start));
	CHECK(!cgroup_parse_leaf("sbx-12-5", &pid, &start));
	CHECK(!cgroup_parse_leaf("memory.max", &pid, &start));
}

int main(void)
{
	test_path();
	test_mount();
	test_join();
	test_leaf();
	return check_report();
}
