/* What the kernel asked of the workspace's mount, by name: for status, and for the test that counts
 * the messages of each operation. */
#include "base/str.h"
#include "fs/fsd.h"
#include "fs/session.h"

/* The kernel's numbers (include/uapi/linux/fuse.h); what is not here is counted as "other". */
static const char *const names[SESSION_OPCODES] = {
	[1] = "lookup",     [2] = "forget",       [3] = "getattr",     [4] = "setattr",
	[5] = "readlink",   [6] = "symlink",      [8] = "mknod",       [9] = "mkdir",
	[10] = "unlink",    [11] = "rmdir",       [12] = "rename",     [13] = "link",
	[14] = "open",      [15] = "read",        [16] = "write",      [17] = "statfs",
	[18] = "release",   [20] = "fsync",       [21] = "setxattr",   [22] = "getxattr",
	[23] = "listxattr", [24] = "removexattr", [25] = "flush",      [26] = "init",
	[27] = "opendir",   [28] = "readdir",     [29] = "releasedir", [30] = "fsyncdir",
	[34] = "access",    [35] = "create",      [36] = "interrupt",  [42] = "batch_forget",
	[43] = "fallocate", [44] = "readdirplus", [45] = "rename2",    [46] = "lseek",
	[51] = "tmpfile",
};

json_t *mounts_requests(const struct fsd *d)
{
	const struct session *s = d->mounts.session[MOUNT_WORKSPACE];
	uint64_t counts[SESSION_OPCODES] = { 0 }, other = 0;
	json_t *j = json_object();

	if (s)
		session_counts(s, counts);
	for (size_t i = 0; i < SESSION_OPCODES; i++) {
		if (!names[i])
			other += counts[i];
		else if (counts[i] > 0)
			json_object_set_new(j, names[i], json_integer((json_int_t)counts[i]));
	}
	if (other > 0)
		json_object_set_new(j, "other", json_integer((json_int_t)other));
	return j;
}
