/* sbxctl mount: the plain view on the host. */
#include "shell/sbxctl.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "shell/ctl_mounts.h"
#include "shell/ctl_umount.h"

struct mount_opts {
	struct ctl_common common;
	bool foreground;
};

static const struct opt mount_table[] = {
	{ "foreground", 'f', OPT_FLAG, offsetof(struct mount_opts, foreground), NULL, NULL,
	  .help = "Stay until unmounted; Ctrl-C unmounts. The daemon's log goes to stderr." },
	CTL_OPT_JSON,
	CTL_OPT_KEYS,
	CTL_OPT_END,
};

static bool is_part(const char *name)
{
	return !strcmp(name, "datasets") || !strcmp(name, "workspace");
}

/* Only an empty directory is mounted on, so that nothing of the person's is hidden; the empty
 * mount points that a killed daemon left do not count. */
static int check_empty(const char *dir, struct err *err)
{
	autoclosedir DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return err_set(err, -errno, "read directory '%s'", dir);
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (is_part(e->d_name) && (rmdir(e->d_name) == 0 || true)) {
			autofree char *sub = str_printf("%s/%s", dir, e->d_name);
			autoclosedir DIR *s = sub ? opendir(sub) : NULL;
			struct dirent *x;
			size_t n = 0;

			while (s && (x = readdir(s)))
				n++;
			if (s && n <= 2)
				continue;
		}
		return err_set(err, -ENOTEMPTY,
			       "'%s' is not empty (it has '%s'): choose or make an empty "
			       "directory.",
			       dir, e->d_name);
	}
	return 0;
}
