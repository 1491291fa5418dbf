#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* By bit and not by name: the headers here may be older than the kernel. */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_ALL_ABI1 = (1 << 13) - 1,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_BLOCK = 1 << 11,
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	SCOPE_ABSTRACT_UNIX = 1 << 0,
	SCOPE_SIGNAL = 1 << 1,
};

/* What each ABI added. */
static const struct {
	int abi;
	uint64_t rights, scopes;
} added[] = {
	{ 1, FS_ALL_ABI1, 0 },                        /* Linux 5.13 */
	{ 2, FS_REFER, 0 },                           /* 5.19 */
	{ 3, FS_TRUNCATE, 0 },                        /* 6.2 */
	{ 5, FS_IOCTL_DEV, 0 },                       /* 6.10 */
	{ 6, 0, SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL }, /* 6.12 */
};

static const struct {
	const char *path;
	enum landlock_use use;
} rules[] = {
	{ "/", LANDLOCK_READ },          { "/workspace", LANDLOCK_WRITE },
	{ "/home/sbx", LANDLOCK_WRITE }, { "/tmp", LANDLOCK_WRITE },
	{ "/dev/shm", LANDLOCK_WRITE },  { "/dev", LANDLOCK_DEVICES },
	{ "/proc", LANDLOCK_DEVICES },
};

uint64_t landlock_rights(int abi)
{
	uint64_t rights = 0;

	for (size_t i = 0; i < ARRAY_LEN(added); i++)
		rights |= added[i].abi <= abi ? added[i].rights : 0;
	return rights;
}

uint64_t landlock_scopes(int abi)
{
	uint64_t scopes = 0;

	for (size_t i = 0; i < ARRAY_LEN(added); i++)
		scopes |= added[i].abi <= abi ? added[i].scopes : 0;
	return scopes;
}

uint64_t landlock_grant(int abi, enum landlock_use use)
{
	const uint64_t all = landlock_rights(abi);
	const uint64_t read = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;

	switch (use) {
	case LANDLOCK_WRITE:
		return all & ~(uint64_t)(FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_IOCTL_DEV);
	case LANDLOCK_DEVICES:
		/* write to what is there: /dev/null, a pty, /proc/self/comm */
		return all & (read | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV);
	case LANDLOCK_READ:
		break;
	}
	return all & read;
}

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

/* As the kernel has known it since ABI 6; an older one gets the shorter forms. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

static int add_rule(int ruleset, const char *path, uint64_t grant, struct err *err)
{
	autoclose int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr a = { .allowed_access = grant, .parent_fd = fd };

	if (fd < 0)
		return err_set(err, -errno, "open '%s' for Landlock", path);
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0) < 0)
		return err_set(err, -errno, "add '%s' to the Landlock rules", path);
	return 0;
}

int landlock_restrict(struct err *err)
{
	const int abi = landlock_abi();
	const struct ruleset_attr attr = {
		.handled_access_fs = landlock_rights(abi),
		.scoped = landlock_scopes(abi),
	};
	const size_t size =
		abi >= 6 ? sizeof(attr) : offsetof(struct ruleset_attr, handled_access_net);
	autoclose int ruleset = -1;

	if (abi == 0)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_set(err, -errno, "make the Landlock rules");
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		int r = add_rule(ruleset, rules[i].path, landlock_grant(abi, rules[i].use), err);

		if (r < 0)
			return r;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_set(err, -errno, "put the Landlock rules into force");
	return 0;
}
