/* sbxfsd fsck [--repair] [--quick] [--progress] [--passphrase-file F] [--recovery-file F] -- WS
 *
 * Run by fs/client.c for "sbxctl fsck".  stdout receives one JSON object a line: the messages of
 * fs/fsck.h, and at the end {"ok":true,"summary":..} or {"ok":false,"code":..,"error":..}.  It can
 * be killed at any moment: a check writes nothing, recovery may be cut off anywhere, and an orphan
 * is removed by one system call. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/fsck.h"
#include "fs/fsd.h"
#include "fs/quota.h"
#include "fs/volume_priv.h"
#include "keys/secret.h"
#include "sandbox/confine.h"

/* One write(2) a line; who reads us may be gone. */
static void print_message(void *ctx, const json_t *message)
{
	autofree char *text = json_canonical(message), *line = NULL;

	if (text)
		line = str_printf("%s\n", text);
	if (!line || fd_write_full(STDOUT_FILENO, line, strlen(line)) < 0)
		_exit(1);
}

static int say_end(int r, json_t *summary, const struct err *err)
{
	autojson json_t *reply = r < 0 ? reply_error(r, err) : reply_ok();

	if (r == 0)
		json_object_set_new(reply, "summary", summary);
	print_message(NULL, reply);
	return r < 0 ? 1 : 0;
}

static int prepare(struct err *err)
{
	struct rlimit files;

	/* Our reader died: nobody wants the rest. It may have ignored SIGPIPE itself. */
	signal(SIGPIPE, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max; /* one for each level of directories */
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	return confine_self(CONFINE_DAEMON, err);
}

/* -- beside the store ------------------------------------------------------ */

static void tell_slot(void *ctx, const char *file, const char *what)
{
	autofree char *place = str_printf("keys/%s", file);

	fsck_tell(ctx,
		  &(struct finding){ .kind = FSCK_DAMAGE,
				     .place = place,
				     .consequence = "it does not open the workspace",
				     .remedy = "sbxctl key list, key remove, key add" },
		  "the key slot %s", what);
}

/* What fd_replace_file() leaves when it is cut off: ".NAME.new". */
static bool is_temporary(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '.' && len > 5 && strcmp(name + len - 4, ".new") == 0;
}

static void check_temporaries(struct fsck *k, const struct fsck_params *p, const char *dir)
{
	int fd = openat(p->wsfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autoclosedir DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		autofree char *place = str_printf("%s%s%s", *dir == '.' ? "" : dir,
						  *dir == '.' ? "" : "/", e->d_name);
		struct finding f = { .kind = FSCK_ORPHAN,
				     .place = place,
				     .consequence = "harmless",
				     .remedy = "sbxctl fsck --repair removes it" };

		if (!is_temporary(e->d_name) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (p->repair && unlinkat(dirfd(d), e->d_name, 0) == 0) {
			f.state = FSCK_REPAIRED;
			f.remedy = "removed";
		}
		fsck_tell(k, &f, "a temporary file of a change that was cut off");
	}
}

/* The scratch directory of a creation that ended in its last step. */
static void check_scratch(struct fsck *k, const struct fsck_params *p)
{
	struct finding f = { .kind = FSCK_ORPHAN,
			     .place = WS_NEW,
			     .consequence = "harmless",
			     .remedy = "sbxctl fsck --repair removes it" };
	autoclose int fd = openat(p->wsfd, WS_NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return; /* none, or somebody is at it */
	if (p->repair && remove_tree(p->wsfd, WS_NEW) == 0) {
		f.state = FSCK_REPAIRED;
		f.remedy = "removed";
	}
	fsck_tell(k, &f, "what the creation of the workspace left");
}

static int check_beside(struct fsck *k, const struct fsck_params *p, struct volume *v,
			struct err *err)
{
	check_temporaries(k, p, ".");
	check_temporaries(k, p, WS_KEYS);
	check_scratch(k, p);
	return volume_key_check(v, tell_slot, k, err);
}

/* -- all of it ------------------------------------------------------------- */

static int check_volume(struct volume *v, struct fsck_params *p, json_t **ret, struct err *err)
{
	autoclose int fd =
		openat(volume_dirfd(v), WS_STORE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct quota *quota = NULL;
	struct fsck *k = NULL;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "open '%s/" WS_STORE "'", volume_path(v));
	if (p->repair && volume_read_only(v))
		return err_set(err, -EROFS,
			       "workspace '%s' can only be read, with this key or from here: check "
			       "it without --repair.",
			       volume_path(v));
	volume_store_params(v, &p->sp);
	p->wsfd = volume_dirfd(v);
	p->storefd = fd;
	p->keys = volume_name_keys(v);
	p->flat = volume_flat(v);
	p->emit = print_message;
	r = quota_new(0, 0, &quota);
	p->sp.quota = quota;
	if (r == 0)
		r = fsck_new(p, &k);
	if (r < 0)
		err_set(err, r, "check the store");
	if (r == 0)
		r = check_beside(k, p, v, err);
	if (r == 0)
		r = fsck_store(k, ret, err);
	fsck_free(k);
	quota_free(quota);
	return r;
}

int cmd_fsck(int argc, char **argv)
{
	static const struct option table[] = {
		{ "repair", no_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "progress", no_argument, NULL, 'b' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "recovery-file", required_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	struct volume_unlock u = { .look_only = true, .check = true };
	struct fsck_params p = { 0 };
	struct volume *v = NULL;
	json_t *summary = NULL;
	struct err err = { 0 };
	int c, r;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == 'r')
			p.repair = true, u.look_only = false;
		else if (c == 'q')
			p.quick = true;
		else if (c == 'b')
			p.progress = true;
		else if (c == 'p')
			u.passphrase_file = optarg;
		else if (c == 'k')
			u.recovery_file = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	r = prepare(&err);
	if (r == 0)
		r = secret_setup(&err);
	if (r == 0)
		r = volume_open(argv[optind], &u, &v, &err);
	if (r == 0)
		r = check_volume(v, &p, &summary, &err);
	volume_close(v);
	return say_end(r, summary, &err);
}
