#include "sandbox/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/mnt.h"

#define RO (MNT_BASE | MOUNT_ATTR_RDONLY)

/* The host's programs and libraries.  Where /bin is a link to usr/bin, so it is inside. */
static const char *const system_dirs[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
};

/* From the host's /etc, if they exist: how libraries, fonts and time zones are found. Nothing that
 * says who uses this machine or how it is reached. */
static const char *const etc_items[] = {
	"alternatives",
	"ld.so.cache",
	"ld.so.conf",
	"ld.so.conf.d",
	"ssl/certs",
	"ssl/openssl.cnf",
	"pki/tls/certs",
	"pki/tls/openssl.cnf",
	"pki/ca-trust/extracted",
	"crypto-policies",
	"ca-certificates/extracted",
	"localtime",
	"timezone",
	"os-release",
	"debian_version",
	"mime.types",
	"magic",
	"magic.mime",
	"fonts",
	"matplotlibrc",
	"python3",
	"python3.9",
	"python3.10",
	"python3.11",
	"python3.12",
	"python3.13",
	"python3.14",
	"R",
	"terminfo",
	"inputrc",
	"locale.alias",
	"services",
	"protocols",
	"OpenCL",
	"vulkan",
	"texmf",
	"ImageMagick-6",
	"ImageMagick-7",
	"java-11-openjdk",
	"java-17-openjdk",
	"java-21-openjdk",
	"paperspecs",
	"papersize",
};

/* Without attributes: they come for all of these at once, in protect(). */
static int show(int dir, const char *name, bool is_dir, int from, const char *source,
		struct err *err)
{
	autoclose int mnt = mnt_clone_plain(from, source);

	if (mnt < 0)
		return err_set(err, mnt, "clone the mount of '%s'", source);
	return mnt_put(mnt, is_dir, dir, name, err);
}

static int show_system_dirs(int root, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++) {
		const char *dir = system_dirs[i];
		char link[PATH_MAX];
		ssize_t n = readlink(dir, link, sizeof(link) - 1);
		struct stat st;
		int r;

		if (n >= 0) {
			link[n] = '\0';
			r = symlinkat(link, root, dir + 1) < 0
				    ? err_set(err, -errno, "make the link '%s'", dir)
				    : 0;
		} else if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
			r = show(root, dir + 1, true, AT_FDCWD, dir, err);
		} else {
			continue;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int show_etc_link(int etc, int host_etc, const char *item, struct err *err)
{
	char link[PATH_MAX];
	ssize_t n = readlinkat(host_etc, item, link, sizeof(link) - 1);

	if (n < 0)
		return err_set(err, -errno, "read the link '/etc/%s'", item);
	link[n] = '\0';
	return mnt_symlink(etc, item, link, err);
}

/* 'type' as readdir() says it. */
static int show_etc_item(int etc, int host_etc, const char *item, unsigned char type,
			 struct err *err)
{
	autoclose int mnt = -1, target = -1;
	struct stat st;

	if (type == DT_UNKNOWN) {
		if (fstatat(host_etc, item, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		type = IFTODT(st.st_mode);
	}
	if (type == DT_LNK)
		return show_etc_link(etc, host_etc, item, err);
	if (!strchr(item, '/'))
		return show(etc, item, type == DT_DIR, host_etc, item, err);
	mnt = mnt_clone_plain(host_etc, item);
	if (mnt < 0)
		return err_set(err, mnt, "clone the mount of '/etc/%s'", item);
	target = type == DT_DIR ? mnt_target_dir(etc, item, err) : mnt_target_file(etc, item, err);
	return target < 0 ? target : mnt_move(mnt, target, item, err);
}

/* The items that belong to one entry of the host's /etc. */
static int show_etc_entry(int etc, int host_etc, const struct dirent *d, struct err *err)
{
	const size_t n = strlen(d->d_name);
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(etc_items) && r == 0; i++) {
		const char *item = etc_items[i];

		if (strncmp(item, d->d_name, n) == 0 && (!item[n] || item[n] == '/'))
			r = show_etc_item(etc, host_etc, item, item[n] ? DT_UNKNOWN : d->d_type,
					  err);
	}
	return r;
}

static int write_etc(int etc, const struct sandbox_plan *p, struct err *err)
{
	char passwd[512], group[256], hosts[256], hostname[80];
	const char *shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
	const struct {
		const char *name, *text;
	} files[] = {
		{ "passwd", passwd },
		{ "group", group },
		{ "hosts", hosts },
		{ "hostname", hostname },
		{ "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"
				   "services: files\nprotocols: files\n" },
		{ "resolv.conf", "" },
		{ "host.conf", "multi on\n" },
		{ "shells", "/bin/sh\n/bin/bash\n" },
	};

	/* The user first: with --uid 0 the first line that fits is the one that counts. */
	snprintf(passwd, sizeof(passwd),
		 "sbx:x:%u:%u:sbx:/home/sbx:%s\n"
		 "root:x:0:0:root:/:/usr/sbin/nologin\n"
		 "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		 p->uid, p->uid, shell);
	snprintf(group, sizeof(group), "sbx:x:%u:\nroot:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
		 p->uid);
	snprintf(hosts, sizeof(hosts),
		 "127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n", p->hostname);
	snprintf(hostname, sizeof(hostname), "%s\n", p->hostname);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int r = mnt_write_file(etc, files[i].name, files[i].text, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_etc(int root, const struct sandbox_plan *p, struct err *err)
{
	autoclose int etc = mnt_target_dir(root, "/etc", err);
	autoclosedir DIR *host = opendir("/etc");
	const struct dirent *d;
	int r;

	if (etc < 0)
		return etc;
	if (!host)
		return err_set(err, -errno, "open /etc");
	r = write_etc(etc, p, err);
	/* Reading the directory is cheaper than asking for each item, most of which are missing. */
	while (r == 0 && (d = readdir(host)))
		r = show_etc_entry(etc, dirfd(host), d, err);
	return r;
}

/* All that was shown so far, in one go; the root itself is still to be written. */
static int protect(int root, struct err *err)
{
	struct mount_attr writable = { .attr_clr = MOUNT_ATTR_RDONLY };
	int r = mnt_set(root, RO, err);

	if (r == 0 && mount_setattr(root, "", AT_EMPTY_PATH, &writable, sizeof(writable)) < 0)
		r = err_set(err, -errno, "set the attributes of the root");
	return r;
}

/* One inode per KiB: room for many small files, and a bound for what they cost the kernel. */
static uint64_t inodes_for(uint64_t bytes)
{
	return MIN(MAX(bytes / 1024, 1024), 1 << 20);
}

static int put_tmpfs(int root, const char *dest, uint64_t bytes, const char *mode, unsigned attrs,
		     int *ret_fd, struct err *err)
{
	struct mnt_tmpfs t = {
		.bytes = bytes,
		.inodes = inodes_for(bytes),
		.mode = mode,
		.attrs = attrs,
	};
	autoclose int mnt = mnt_new_tmpfs(&t, err);
	autoclose int target = -1;
	int r;

	if (mnt < 0)
		return mnt;
	target = mnt_target_dir(root, dest, err);
	if (target < 0)
		return target;
	r = mnt_move(mnt, target, dest, err);
	if (r == 0)
		*ret_fd = take_fd(&mnt);
	return r;
}

/* The detached mount of a source: passed in, or cloned here from our copy of the host's mounts. */
static int open_source(const struct enter_source *s, struct err *err)
{
	autoclose int fd = -1;
	struct stat a, b;
	int r;

	if (s->detached) {
		r = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
		return r < 0 ? err_set(err, -errno, "take over the mount of '%s'", s->dest) : r;
	}
	fd = mnt_open_source(s->path);
	if (fd < 0)
		return err_set(err, fd, "open '%s' from inside its namespace", s->path);
	if (fstat(fd, &a) < 0 || fstat(s->fd, &b) < 0)
		return err_set(err, -errno, "look at '%s'", s->path);
	if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return err_set(err, -ESTALE, "'%s' was replaced while the sandbox was being built.",
			       s->path);
	r = mnt_clone_plain(fd, "");
	return r < 0 ? err_set(err, r, "clone the mount of '%s'", s->path) : r;
}

static int put_source(int root, const struct enter_source *s, struct err *err)
{
	autoclose int mnt = open_source(s, err);
	autoclose int target = -1;
	struct statx st;
	int r;

	if (mnt < 0)
		return mnt;
	r = mnt_set(mnt, s->writable ? MNT_BASE : RO, err);
	if (r < 0)
		return err_wrap(err, r, "protect '%s'", s->dest);
	/* What it is never changes: the workspace's daemon, or a server, need not be asked. */
	if (statx(mnt, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return err_set(err, -errno, "look at '%s'", s->dest);
	if (S_ISDIR(st.stx_mode))
		target = mnt_target_dir(root, s->dest, err);
	else if (S_ISREG(st.stx_mode))
		target = mnt_target_file(root, s->dest, err);
	else
		return err_set(err, -EINVAL, "'%s' is neither a directory nor a regular file.",
			       s->path ? s->path : s->dest);
	if (target < 0)
		return target;
	return mnt_move(mnt, target, s->dest, err);
}

/* --home persist: the directory .home of the workspace, which the payload may have replaced by
 * anything in an earlier run. */
static int put_kept_home(int root, struct err *err)
{
	autoclose int ws = mnt_open_in(root, "/workspace");
	autoclose int home = -1, mnt = -1, target = -1;

	if (ws < 0)
		return err_set(err, ws, "open the workspace");
	if (mkdirat(ws, ".home", 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "make '.home' in the workspace");
	home = fd_open_beneath(ws, ".home", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (home < 0)
		return err_set(err, home,
			       "open '.home' in the workspace, which must be a directory");
	mnt = mnt_clone(home, "", MNT_BASE, err);
	if (mnt < 0)
		return mnt;
	target = mnt_target_dir(root, "/home/sbx", err);
	if (target < 0)
		return target;
	return mnt_move(mnt, target, "/home/sbx", err);
}

static int open_direct(const char *source)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, AT_FDCWD, source, &how, sizeof(how));
}

/* The two layers that an overlay without an upper one must have; 'empty' stays it, for the root
 * becomes read-only.  Their paths go through /proc: a name could hold a ':' and would show inside.
 */
static int put_direct(int datasets, const struct plan_direct *d, int empty, struct err *err)
{
	autoclose int source = open_direct(d->source);
	autoclose int mnt = -1, target = -1;
	char layers[80];
	const char *opts[] = { "lowerdir", layers, NULL };

	if (source < 0)
		return 0; /* the daemon says what is wrong with it */
	snprintf(layers, sizeof(layers), "/proc/self/fd/%d:/proc/self/fd/%d", source, empty);
	mnt = mnt_new("overlay", opts, RO, NULL);
	if (mnt < 0)
		return 0; /* the daemon's view stays */
	target = mnt_open_in(datasets, d->name);
	if (target < 0)
		return 0; /* removed from the workspace meanwhile */
	return mnt_move(mnt, target, d->name, err);
}

static int put_directs(int root, const struct sandbox_plan *p, struct err *err)
{
	autoclose int datasets = -1, empty = -1;
	int r = 0;

	if (p->ndirects == 0)
		return 0;
	datasets = mnt_open_in(root, "/datasets");
	empty = openat(root, "var/empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (datasets < 0 || empty < 0)
		return err_set(err, datasets < 0 ? datasets : -errno, "open the datasets");
	for (size_t i = 0; i < p->ndirects && r == 0; i++)
		r = put_direct(datasets, &p->directs[i], empty, err);
	return r;
}

static int put_places(int root, const struct enter *e, int tmpfs[ROOTFS_NTMPFS], struct err *err)
{
	const struct plan_limits *l = &e->plan->limits;
	int r = put_tmpfs(root, "/tmp", l->tmp_bytes, "1777", MOUNT_ATTR_NOEXEC, &tmpfs[ROOTFS_TMP],
			  err);

	if (r == 0)
		r = put_tmpfs(root, "/dev/shm", l->shm_bytes, "1777", MOUNT_ATTR_NOEXEC,
			      &tmpfs[ROOTFS_SHM], err);
	if (r == 0 && !e->plan->home_persist)
		r = put_tmpfs(root, "/home/sbx", l->home_bytes, "0700", 0, &tmpfs[ROOTFS_HOME],
			      err);
	/* In the plan's order: a later one may lie inside an earlier one. */
	for (size_t i = 0; i < e->nsources && r == 0; i++) {
		r = put_source(root, &e->sources[i], err);
		if (r == 0 && i == ENTER_DATASETS)
			r = put_directs(root, e->plan, err);
	}
	if (r == 0 && e->plan->home_persist)
		r = put_kept_home(root, err);
	return r;
}

static int make_root(struct err *err)
{
	const struct mnt_tmpfs t = { .bytes = 4 << 20, .inodes = 4096, .mode = "0755" };
	autoclose int root = -1, here = -1;
	int r;

	/* PRIVATE, not SLAVE: what the host mounts later must not arrive, and could not be given
	 * our attributes. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, -errno, "make the mounts of the sandbox private");
	root = mnt_new_tmpfs(&t, err);
	if (root < 0)
		return root;
	/* Over the old root: a mount must be attached before others can be put below it
	 * (Linux < 6.15), and this place exists on every host. */
	here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (here < 0)
		return err_set(err, -errno, "open the old root");
	r = mnt_move(root, here, "/", err);
	return r < 0 ? r : take_fd(&root);
}

int rootfs_build(const struct enter *e, int ret_tmpfs[ROOTFS_NTMPFS], struct err *err)
{
	static const char *const dirs[] = { "run",     "var",      "var/empty", "home", "home/sbx",
					    "tmp",     "etc",      "proc",      "dev",  "dev/pts",
					    "dev/shm", "datasets", "workspace" };
	autoclose int root = -1;
	int r = 0;

	for (int i = 0; i < ROOTFS_NTMPFS; i++)
		ret_tmpfs[i] = -1;
	umask(022);
	root = make_root(err);
	if (root < 0)
		return root;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (mkdirat(root, dirs[i], 0755) < 0)
			return err_set(err, -errno, "make /%s in the sandbox", dirs[i]);
	}
	if (symlinkat("../tmp", root, "var/tmp") < 0)
		return err_set(err, -errno, "make /var/tmp in the sandbox");
	if (r == 0)
		r = show_system_dirs(root, err);
	if (r == 0)
		r = make_etc(root, e->plan, err);
	if (r == 0)
		r = protect(root, err);
	if (r == 0)
		r = put_places(root, e, ret_tmpfs, err);
	return r < 0 ? r : take_fd(&root);
}

int rootfs_pivot(int root, struct err *err)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	char cwd[PATH_MAX];

	/* Of the root itself only: the places in it have their own rights. */
	if (mount_setattr(root, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return err_set(err, -errno, "make the new root read-only");
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set(err, -errno, "change to the new root");
	/* The old root lies over the new one now: "." is the old one. */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set(err, -errno, "detach the old root");
	/* A working directory outside would be a way out; the kernel marks such paths. */
	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/") != 0)
		return err_set(err, -EXDEV, "the working directory is not inside the sandbox.");
	return 0;
}
