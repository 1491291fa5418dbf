/* sbxctl kernel install, list, remove: Jupyter kernels that run in the sandbox of a workspace. What
 * is installed is an ordinary kernelspec whose command is sbx-shell; nothing else is needed. */
#include "shell/sbxctl.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "shell/jup.h"
#include "shell/kspec.h"
#include "shell/sbx_shell.h"

#define CONNECTION "{connection_file}"
#define RESOURCES  "{resource_dir}"

struct install_opts {
	struct ctl_common common;
	const char *from, *name, *display, *prefix;
	bool user, allow_degraded;
	/* Passed on to sbx-shell, whose table says what they may be. */
	const char *time, *grace, *cpu_time, *memory, *cpus, *pids, *tmp, *shm, *home_size, *idle;
	const char *profile, *transport, *notebook_dir, *passphrase_file;
	struct opt_list ro, env;
};

#define AT(field) offsetof(struct install_opts, field)

/* The options that are passed on. */
static const struct {
	const char *name;
	size_t offset;
	bool path;
} passed[] = {
	{ "time", AT(time), false },
	{ "grace", AT(grace), false },
	{ "cpu-time", AT(cpu_time), false },
	{ "memory", AT(memory), false },
	{ "cpus", AT(cpus), false },
	{ "pids", AT(pids), false },
	{ "tmp", AT(tmp), false },
	{ "shm", AT(shm), false },
	{ "home-size", AT(home_size), false },
	{ "idle", AT(idle), false },
	{ "profile", AT(profile), false },
	{ "jupyter-transport", AT(transport), false },
	{ "notebook-dir", AT(notebook_dir), true },
	{ "passphrase-file", AT(passphrase_file), true },
};

static const struct opt install_table[] = {
	{ "from", 0, OPT_STRING, AT(from), "KERNEL", "python3",
	  .help = "The installed kernel to put into the sandbox, of any language." },
	{ "name", 0, OPT_STRING, AT(name), "N", "sbx-KERNEL",
	  .help = "The name by which programs know it." },
	{ "display-name", 0, OPT_STRING, AT(display), "S", "that of KERNEL, (sandboxed)",
	  .help = "The name that people see." },
	{ "user", 0, OPT_FLAG, AT(user), NULL, NULL,
	  .help = "Install for this user; so it is without --prefix." },
	{ "prefix", 0, OPT_STRING, AT(prefix), "P", NULL,
	  .help = "Install below P/share/jupyter (/usr/local, a virtual environment).",
	  .complete = COMPLETE_DIR },
	{ "memory", 0, OPT_STRING, AT(memory), "SIZE", "half of the machine",
	  .help = "Memory of the kernel and all that it starts." },
	{ "time", 0, OPT_STRING, AT(time), "T", "none",
	  .help = "How long the kernel may live; at the end an interrupt, then the end." },
	{ "grace", 0, OPT_STRING, AT(grace), "T", "2s", .help = "How long after that interrupt." },
	{ "idle", 0, OPT_STRING, AT(idle), "T", "none",
	  .help = "End the kernel when nobody has used it for so long." },
	{ "cpu-time", 0, OPT_STRING, AT(cpu_time), "T", "none",
	  .help = "CPU time of all its processes." },
	{ "cpus", 0, OPT_STRING, AT(cpus), "N", "all", .help = "CPU rate, fractions allowed." },
	{ "pids", 0, OPT_STRING, AT(pids), "N", "512", .help = "Processes and threads." },
	{ "tmp", 0, OPT_STRING, AT(tmp), "SIZE", "100M", .help = "Size of /tmp." },
	{ "shm", 0, OPT_STRING, AT(shm), "SIZE", "half of the memory limit",
	  .help = "Size of /dev/shm." },
	{ "home-size", 0, OPT_STRING, AT(home_size), "SIZE", "100M",
	  .help = "Size of the home directory inside." },
	{ "profile", 0, OPT_STRING, AT(profile), "NAME", "default",
	  .help = "A named set of limits." },
	{ "ro", 0, OPT_LIST, AT(ro), "PATH[:DEST]", NULL,
	  .help = "Also show this host path, read-only; may be given again.",
	  .complete = COMPLETE_FILE },
	{ "env", 0, OPT_LIST, AT(env), "NAME[=VALUE]", NULL,
	  .help = "Pass or set one variable; may be given again." },
	{ "notebook-dir", 0, OPT_STRING, AT(notebook_dir), "DIR", "the notebook's own",
	  .help = "The folder that is shown read-only as /notebook; none shows no folder.",
	  .complete = COMPLETE_DIR },
	{ "jupyter-transport", 0, OPT_STRING, AT(transport), "KIND", "lo",
	  .help = "How the kernel listens inside: lo or ipc." },
	{ "allow-degraded", 0, OPT_FLAG, AT(allow_degraded), NULL, NULL,
	  .help = "Run even though a layer of isolation or a limit cannot be applied here." },
	{ "passphrase-file", 0, OPT_STRING, AT(passphrase_file), "FILE", NULL,
	  .help = "Open the workspace with the passphrase on the first line of this file.",
	  .complete = COMPLETE_FILE },
	CTL_OPT_JSON,
	CTL_OPT_END,
};

/* -- install ----------------------------------------------------------------------------------- */

struct install {
	const struct install_opts *o;
	char ws[PATH_MAX];
	const char *from;
	char *name;  /* owned */
	char *place; /* owned */
	struct kspec old;
	json_t *argv; /* owned */
};

static int append(json_t *list, char *text, struct err *err)
{
	int r = text ? json_array_append_new(list, json_string(text)) : -1;

	free(text);
	return r < 0 ? err_set(err, -ENOMEM, "install a kernel") : 0;
}

static int append_option(json_t *list, const char *name, const char *value, struct err *err)
{
	int r = append(list, str_printf("--%s", name), err);

	return r == 0 ? append(list, strdup(value), err) : r;
}

/* The sbx-shell that belongs to this sbxctl, by its full name: front ends have a PATH of their own,
 * and VS Code changes commands that begin with "python". */
static int append_program(json_t *list, struct err *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return err_set(err, -errno, "find sbx-shell");
	self[n] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	return append(list, str_printf("%s/sbx-shell", self), err);
}

/* Kernels start in the folders of notebooks. */
static char *absolute(const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		return strdup(path);
	return str_printf("%s/%s", cwd, path);
}

static int append_path(json_t *list, const char *name, const char *path, struct err *err)
{
	autofree char *full = absolute(path);

	return full ? append_option(list, name, full, err)
		    : err_set(err, -ENOMEM, "install a kernel");
}

static int append_passed(const struct install *in, struct err *err)
{
	const struct opt *table = sbx_shell_commands[0]->opts;
	struct sbx_shell_opts scratch = { 0 };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(passed) && r == 0; i++) {
		const char *name = passed[i].name;
		const char *value = *(const char *const *)((const char *)in->o + passed[i].offset);
		char what[64];

		if (!value)
			continue;
		snprintf(what, sizeof(what), "--%s", name);
		/* Said now, and not by a kernel that will not start. */
		r = opt_parse_value(opt_find(table, name, strlen(name)), what, value, &scratch,
				    err);
		if (r == 0 && passed[i].path && strcmp(value, "none") != 0)
			r = append_path(in->argv, name, value, err);
		else if (r == 0)
			r = append_option(in->argv, name, value, err);
	}
	for (size_t i = 0; i < in->o->ro.n && r == 0; i++)
		r = append_path(in->argv, "ro", in->o->ro.v[i], err);
	for (size_t i = 0; i < in->o->env.n && r == 0; i++)
		r = append_option(in->argv, "env", in->o->env.v[i], err);
	if (r == 0 && in->o->allow_degraded)
		r = append(in->argv, strdup("--allow-degraded"), err);
	return r;
}

static bool is_shown(const char *path)
{
	static const char *const dirs[] = { "/usr/", "/bin/", "/sbin/", "/lib" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (!strncmp(path, dirs[i], strlen(dirs[i])))
			return true;
	return false;
}

/* An interpreter of a virtual environment or of conda needs what lies around it. */
static int append_prefix(const struct install *in, const char *program, struct err *err)
{
	autofree char *prefix = strdup(program), *real = NULL;
	char *slash;
	int r = 0;

	if (program[0] != '/' || is_shown(program))
		return 0;
	for (int i = 0; prefix && i < 2; i++) {
		slash = strrchr(prefix, '/');
		if (slash)
			*slash = '\0';
	}
	if (!prefix || !prefix[0])
		return err_set(err, -EINVAL, "'%s' is in no folder that could be shown.", program);
	r = append_option(in->argv, "ro", prefix, err);
	/* A virtual environment's python is a link to the one that it was made with. */
	real = realpath(program, NULL);
	if (r < 0 || !real || is_shown(real) || !strncmp(real, prefix, strlen(prefix)))
		return r;
	for (int i = 0; i < 2; i++) {
		slash = strrchr(real, '/');
		if (slash)
			*slash = '\0';
	}
	return real[0] ? append_option(in->argv, "ro", real, err) : r;
}

/* The variables of the spec are the launcher's: those by name pass into the sandbox. */
static int append_env(const struct install *in, struct err *err)
{
	json_t *env = json_object_get(in->old.json, "env");
	const char *name;
	json_t *v;
	int r = 0;

	json_object_foreach (env, name, v)
		if (r == 0)
			r = append_option(in->argv, "env", name, err);
	return r;
}

static char *replace(const char *text, const char *what, const char *by)
{
	const char *at = strstr(text, what);

	return at ? str_printf("%.*s%s%s", (int)(at - text), text, by, at + strlen(what))
		  : strdup(text);
}

static int append_kernel(const struct install *in, struct err *err)
{
	const json_t *argv = json_object_get(in->old.json, "argv");
	bool found = false, ipykernel = false;
	const json_t *v;
	size_t i;
	int r = 0;

	json_array_foreach (argv, i, v) {
		found |= strstr(json_string_value(v), CONNECTION) != NULL;
		ipykernel |= !strcmp(json_string_value(v), "ipykernel_launcher");
	}
	if (!found)
		return err_set(err, -EINVAL,
			       "the kernel '%s' takes no connection file: it cannot be used here.",
			       in->from);
	json_array_foreach (argv, i, v) {
		autofree char *a = replace(json_string_value(v), CONNECTION, JUP_PLACEHOLDER);

		if (r == 0)
			r = append(in->argv, a ? replace(a, RESOURCES, in->old.dir) : NULL, err);
		/* Else the debugger misses breakpoints, and says so at every start. */
		if (r == 0 && i == 0 && ipykernel)
			r = append(in->argv, strdup("-Xfrozen_modules=off"), err);
	}
	return r;
}

static int build_argv(struct install *in, struct err *err)
{
	const char *program =
		json_string_value(json_array_get(json_object_get(in->old.json, "argv"), 0));
	int r;

	in->argv = json_array();
	if (!in->argv)
		return err_set(err, -ENOMEM, "install a kernel");
	r = append_program(in->argv, err);
	if (r == 0)
		r = append_passed(in, err);
	if (r == 0)
		r = append_prefix(in, program, err);
	if (r == 0 && !is_shown(in->old.dir) && strcmp(in->from, "python3") != 0)
		r = append_option(in->argv, "ro", in->old.dir, err);
	if (r == 0)
		r = append_env(in, err);
	if (r == 0)
		r = append_option(in->argv, "jupyter", CONNECTION, err);
	if (r == 0)
		r = append(in->argv, strdup(in->ws), err);
	if (r == 0)
		r = append(in->argv, strdup("--"), err);
	return r == 0 ? append_kernel(in, err) : r;
}

static char *display_name(const struct install *in)
{
	const char *old = ctl_str(in->old.json, "display_name");
	size_t n = strlen(old);

	if (in->o->display)
		return strdup(in->o->display);
	/* Launchers cut long names. */
	if (strstr(old, " (ipykernel)"))
		n = (size_t)(strstr(old, " (ipykernel)") - old);
	return str_printf("%.*s (sandboxed)", (int)n, n ? old : in->from);
}

/* The wrapped one with our command: language, interrupt mode and the rest stay. */
static json_t *build_spec(const struct install *in)
{
	autofree char *display = display_name(in);
	json_t *spec = json_copy(in->old.json);
	json_t *metadata = json_deep_copy(json_object_get(spec, "metadata"));
	json_t *own = json_pack("{s:s, s:s}", "workspace", in->ws, "from", in->from);

	if (!json_is_object(metadata)) {
		json_decref(metadata);
		metadata = json_object();
	}
	if (!spec || !display || json_object_set_new(metadata, "sbx", own) < 0 ||
	    json_object_set_new(spec, "metadata", metadata) < 0 ||
	    json_object_set(spec, "argv", in->argv) < 0 ||
	    json_object_set_new(spec, "display_name", json_string(display)) < 0) {
		json_decref(spec);
		return NULL;
	}
	return spec;
}

/* Never over somebody else's kernel, nor over that of another workspace. */
static int check_name(const struct install *in, struct err *err)
{
	struct kspec there = { 0 };
	const char *ws;
	int r;

	if (!name_is_plain(in->name))
		return err_set(err, -EINVAL,
			       "--name: '%s' may hold letters, digits, '.', '_' and '-'.",
			       in->name);
	r = kspec_read(in->place, in->name, &there, NULL);
	ws = r == 0 ? kspec_workspace(&there) : NULL;
	if (r == 0 && !ws)
		r = err_set(err, -EEXIST,
			    "there is a kernel '%s' already that is not of sbxctl; choose "
			    "another --name.",
			    in->name);
	else if (r == 0 && strcmp(ws, in->ws) != 0)
		r = err_set(err, -EEXIST,
			    "the kernel '%s' is that of workspace '%s'; choose another --name.",
			    in->name, ws);
	kspec_free(&there);
	return r == -ENOENT ? 0 : r;
}

static int install_steps(struct install *in, const char *ws, struct err *err)
{
	const struct install_opts *o = in->o;
	autojson json_t *spec = NULL;
	int r = ctl_check_workspace(ws, err);

	if (r == 0 && !realpath(ws, in->ws))
		r = err_set(err, -errno, "open workspace '%s'", ws);
	in->from = o->from ? o->from : "python3";
	in->name = o->name ? strdup(o->name) : str_printf("sbx-%s", in->from);
	in->place = o->prefix ? kspec_prefix_place(o->prefix) : kspec_user_place();
	if (r == 0 && (!in->name || !in->place))
		r = err_set(err, -ENOMEM, "install a kernel");
	if (r == 0)
		r = kspec_find(in->from, &in->old, err);
	if (r == 0 && kspec_workspace(&in->old))
		r = err_set(err, -EINVAL, "the kernel '%s' runs in a sandbox already.", in->from);
	if (r == 0)
		r = check_name(in, err);
	if (r == 0)
		r = build_argv(in, err);
	if (r == 0) {
		spec = build_spec(in);
		r = spec ? kspec_write(in->place, in->name, spec, in->old.dir, err)
			 : err_set(err, -ENOMEM, "install a kernel");
	}
	return r;
}

static int install_run(void *opts, int argc, char **argv)
{
	struct install in = { .o = opts };
	struct err err = { 0 };
	int r;

	if (in.o->user && in.o->prefix)
		return ctl_usage("--user and --prefix exclude each other.");
	r = install_steps(&in, argv[0], &err);
	if (r < 0) {
		r = ctl_fail(r, &err);
	} else if (in.o->common.json) {
		autojson json_t *j = json_pack("{s:s, s:s, s:s, s:O}", "name", in.name, "place",
					       in.place, "workspace", in.ws, "argv", in.argv);

		out_json(j);
	} else {
		if (!strcmp(in.name, "python3"))
			log_print(LOG_WARN, "'python3' is now this one for every notebook");
		printf("Installed the kernel '%s' in %s\n"
		       "Next: sbxctl kernel test %s, or choose it in your notebook\n",
		       in.name, in.place, in.name);
	}
	free(in.name);
	free(in.place);
	kspec_free(&in.old);
	json_decref(in.argv);
	return r;
}

/* -- list, remove ------------------------------------------------------------------------------ */

struct list_opts {
	struct ctl_common common;
};

static const struct opt list_table[] = { CTL_OPT_JSON, CTL_OPT_END };

static void list_place(const char *place, json_t *list)
{
	autoclosedir DIR *d = opendir(place);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		struct kspec k = { 0 };

		if (!name_is_plain(e->d_name) || kspec_read(place, e->d_name, &k, NULL) < 0)
			continue;
		if (kspec_workspace(&k))
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", e->d_name,
						"display_name", ctl_str(k.json, "display_name"),
						"language", ctl_str(k.json, "language"),
						"workspace", kspec_workspace(&k), "place", place));
		kspec_free(&k);
	}
}

static int list_run(void *opts, int argc, char **argv)
{
	static const char *const heads[] = { "KERNEL", "SHOWN AS", "WORKSPACE", NULL };
	const struct list_opts *o = opts;
	autojson json_t *list = json_array();
	struct out_table *t = out_table_new(heads);
	struct kspec_places p;
	size_t i;
	json_t *v;

	kspec_places(&p);
	for (i = 0; i < p.n; i++)
		list_place(p.dir[i], list);
	kspec_places_free(&p);
	json_array_foreach (list, i, v) {
		out_cell(t, "%s", ctl_str(v, "name"));
		out_cell(t, "%s", ctl_str(v, "display_name"));
		out_cell(t, "%s", ctl_str(v, "workspace"));
	}
	if (o->common.json)
		out_json(list);
	else if (json_array_size(list) == 0)
		puts("No kernels in a sandbox; 'sbxctl kernel install WS' makes one.");
	else
		out_table_print(t);
	out_table_free(t);
	return CTL_OK;
}

static int remove_run(void *opts, int argc, char **argv)
{
	struct kspec k = { 0 };
	struct err err = { 0 };
	int r = kspec_find(argv[0], &k, &err);

	if (r == 0 && !kspec_workspace(&k))
		r = err_set(&err, -EPERM,
			    "the kernel '%s' was not installed by sbxctl; 'jupyter kernelspec "
			    "remove %s' removes it.",
			    argv[0], argv[0]);
	if (r == 0)
		r = kspec_remove(&k, &err);
	if (r == 0)
		printf("Removed the kernel '%s'\n", argv[0]);
	kspec_free(&k);
	return r < 0 ? ctl_fail(r, &err) : CTL_OK;
}

static const struct opt_example install_examples[] = {
	{ "sbxctl kernel install ws", "Python 3 (sandboxed) appears in Jupyter and VS Code." },
	{ "sbxctl kernel install ws --memory 4G --idle 1h --name fits",
	  "With limits of its own, under another name." },
	{ "sbxctl kernel install ws --from ir", "R, or any other kernel that is installed." },
	{ NULL, NULL },
};

const struct opt_command cmd_kernel_install = {
	.name = "kernel install",
	.args = "WS",
	.summary = "make a Jupyter kernel that runs in the sandbox of a workspace",
	.description =
		"JupyterLab, Notebook, VS Code, nbconvert, papermill and whatever else starts "
		"Jupyter kernels then offer it; nothing needs to be configured there.",
	.opts = install_table,
	.examples = install_examples,
	.min_args = 1,
	.max_args = 1,
	.run = install_run,
	.opts_size = sizeof(struct install_opts),
};

const struct opt_command cmd_kernel_list = {
	.name = "kernel list",
	.summary = "list the kernels that run in a sandbox",
	.opts = list_table,
	.max_args = 0,
	.run = list_run,
	.opts_size = sizeof(struct list_opts),
};

const struct opt_command cmd_kernel_remove = {
	.name = "kernel remove",
	.args = "NAME",
	.summary = "remove a kernel; its workspace stays as it is",
	.opts = list_table,
	.min_args = 1,
	.max_args = 1,
	.run = remove_run,
	.opts_size = sizeof(struct list_opts),
};
