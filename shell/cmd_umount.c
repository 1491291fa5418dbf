/* sbxctl umount: take the plain view away; afterwards everything is on disk. */
#include "shell/sbxctl.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "shell/ctl_umount.h"

struct umount_opts {
	struct ctl_common common;
	bool lazy;
};

static const struct opt umount_table[] = {
	{ "lazy", 'z', OPT_FLAG, offsetof(struct umount_opts, lazy), NULL, NULL,
	  .help = "Detach now even if in use; it ends when its last user has left." },
	CTL_OPT_JSON,
	CTL_OPT_END,
};

static int umount_run(void *opts, int argc, char **argv)
{
	const struct umount_opts *o = opts;
	autofree char *dir = NULL;
	struct err err = { 0 };
	bool still = false;
	int r = umount_resolve(argv[0], &dir, &err);

	(void)argc;
	if (r == 0)
		r = umount_dir(dir, o->lazy, &still, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->common.json) {
		autojson json_t *j = json_pack("{s:s, s:b, s:b}", "unmounted", dir, "still_served",
					       still, "lazy", o->lazy);

		out_json(j);
		return CTL_OK;
	}
	printf("Unmounted %s%s\n", dir, still ? "; others still use the workspace" : "");
	return CTL_OK;
}

static const struct opt_example umount_examples[] = {
	{ "sbxctl umount view", "Take the view away." },
	{ NULL, NULL },
};

const struct opt_command cmd_umount = {
	.name = "umount",
	.args = "DIR",
	.summary = "take a mounted workspace away",
	.description =
		"Unmounts DIR/workspace and DIR/datasets and returns when everything written is on "
		"disk and the workspace is free for others. It also removes the mounts of a daemon "
		"that was killed. When a process still uses the mount, the sentence names it.",
	.opts = umount_table,
	.examples = umount_examples,
	.min_args = 1,
	.max_args = 1,
	.run = umount_run,
	.opts_size = sizeof(struct umount_opts),
};
