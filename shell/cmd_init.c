/* sbxctl init: a new workspace. The keys are made by sbxfsd; here only the options and the words.
 */
#include "shell/sbxctl.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

struct init_opts {
	struct ctl_common common;
	struct opt_u64 quota, files;
	const char *cipher;
	bool passphrase, pad;
	struct opt_list recipients;
};

static const char *const ciphers[] = { "auto", "xchacha20", "aes-gcm", "aegis", NULL };

static const struct opt init_table[] = {
	{ "quota", 'q', OPT_SIZE, offsetof(struct init_opts, quota), "SIZE", "none",
	  .help = "Most bytes that the outputs may take.", .words = opt_words_none, .min = 65536 },
	{ "files", 'f', OPT_COUNT, offsetof(struct init_opts, files), "N", "none",
	  .help = "Most files and directories that the outputs may have.", .words = opt_words_none,
	  .min = 1 },
	{ "cipher", 'c', OPT_ENUM, offsetof(struct init_opts, cipher), "NAME", "auto",
	  .help = "The cipher of the store; auto measures and takes the fastest of this machine.",
	  .choices = ciphers },
	{ "pad", 0, OPT_FLAG, offsetof(struct init_opts, pad), NULL, NULL,
	  .help = "Round file sizes in the store up to 4 KiB, to hide the exact size." },
	{ "passphrase", 'p', OPT_FLAG, offsetof(struct init_opts, passphrase), NULL, NULL,
	  .help = "Protect the workspace with a passphrase instead of your identity." },
	{ "passphrase-file", 0, OPT_STRING, offsetof(struct init_opts, common.passphrase_file),
	  "FILE", NULL,
	  .help = "As --passphrase, from the first line of FILE instead of the terminal.",
	  .complete = COMPLETE_FILE },
	{ "recipient", 'r', OPT_LIST, offsetof(struct init_opts, recipients), "KEY", NULL,
	  .help = "Whoever has this identity (sbx-pub-...) may also read the outputs; "
		  "repeatable." },
	CTL_OPT_JSON,
	CTL_OPT_END,
};

/* The settings of "sbxfsd init"; NULL when out of memory. */
static json_t *init_settings(const struct init_opts *o, const char *path)
{
	json_t *recipients = json_array();

	for (size_t i = 0; i < o->recipients.n; i++)
		json_array_append_new(recipients, json_string(o->recipients.v[i]));
	return json_pack("{s:s, s:s, s:{s:I, s:I}, s:b, s:o}", "path", path, "cipher",
			 o->cipher ? o->cipher : "auto", "quota", "bytes",
			 (json_int_t)o->quota.value, "files", (json_int_t)o->files.value, "pad",
			 o->pad, "recipients", recipients);
}

/* "measured here: aes-gcm 2100 MB/s, xchacha20 1300 MB/s", or nothing. */
static void measured_text(const json_t *report, char *out, size_t size)
{
	json_t *measured = json_object_get(report, "measured"), *v;
	const char *key, *sep = "; measured here: ";
	size_t len = 0;

	out[0] = '\0';
	json_object_foreach (measured, key, v) {
		int name = (int)strcspn(key, "_");

		if (!json_is_number(v) || json_number_value(v) <= 0 || len >= size)
			continue;
		len += (size_t)snprintf(out + len, size - len, "%s%.*s %.0f MB/s", sep, name, key,
					json_number_value(v));
		sep = ", ";
	}
}

/* The daemon takes the cipher that runs everywhere when the fastest is not faster by a tenth. */
static const char *why_cipher(const struct init_opts *o, const json_t *report)
{
	json_t *measured = json_object_get(report, "measured"), *v;
	double best = 0, chosen = 0;
	const char *key;

	if (o->cipher && strcmp(o->cipher, "auto") != 0)
		return "as asked";
	json_object_foreach (measured, key, v) {
		size_t n = strcspn(key, "_");

		best = MAX(best, json_number_value(v));
		if (strlen(ctl_str(report, "cipher")) == n &&
		    !strncmp(key, ctl_str(report, "cipher"), n))
			chosen = json_number_value(v);
	}
	return chosen >= best ? "the fastest of this machine"
			      : "about as fast as the fastest, and every machine has it";
}

static void print_identity(const json_t *report)
{
	bool created = false;

	if (!json_is_object(json_object_get(report, "identity")))
		return;
	(void)json_get_bool(report, "identity.created", &created, NULL);
	out_pair("identity", "%s%s", ctl_str(report, "identity.path"),
		 created ? " (made now, readable by you alone)" : "");
	if (created)
		out_pair("", "Keep a copy of it in a safe place: without it the outputs cannot be "
			     "read.");
}

static void print_report(const struct init_opts *o, const char *ws, const json_t *report)
{
	char size[24], text[300];

	printf("Created workspace %s%s%s\n", out_on(OUT_BOLD), ws, out_off());
	out_pair("id", "%s", ctl_str(report, "id"));
	measured_text(report, text, sizeof(text));
	out_pair("cipher", "%s (%s)%s", ctl_str(report, "cipher"), why_cipher(o, report), text);
	format_size(o->quota.value, size);
	if (o->files.value)
		snprintf(text, sizeof(text), ", %llu files", (unsigned long long)o->files.value);
	else
		text[0] = '\0';
	out_pair("quota", "%s%s", o->quota.value ? size : "no limit of size", text);
	print_identity(report);
	if (o->passphrase)
		out_pair("key", "your passphrase; 'sbxctl key recovery %s' makes a second way in",
			 ws);
	printf("Next: sbxctl dataset add %s NAME SOURCE, then sbx-shell %s\n", ws, ws);
}

/* The directory need not exist, its parent must; sbxfsd is told the absolute path. */
static int absolute_path(const char *ws, char **ret, struct err *err)
{
	autofree char *copy = strdup(ws), *parent = NULL;
	const char *name;
	char *slash;
	size_t len;

	if (!copy)
		return err_set(err, -ENOMEM, "create workspace '%s'", ws);
	for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	if (!*copy)
		return err_set(err, -EINVAL, "the name of the workspace is empty.");
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (slash)
		*slash = '\0';
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		parent = realpath(ws, NULL);
		if (!parent)
			return err_set(err, -errno, "create workspace '%s'", ws);
		*ret = take_ptr(parent);
		return 0;
	}
	parent = realpath(slash ? (*copy ? copy : "/") : ".", NULL);
	if (!parent && errno == ENOENT)
		return err_set(err, -ENOENT,
			       "create workspace '%s': there is no directory '%s'; make it first: "
			       "mkdir -p %s.",
			       ws, copy, copy);
	if (!parent)
		return err_set(err, -errno, "create workspace '%s': its parent directory", ws);
	*ret = str_printf("%s/%s", strcmp(parent, "/") != 0 ? parent : "", name);
	return *ret ? 0 : err_set(err, -ENOMEM, "create workspace '%s'", ws);
}

static int init_run(void *opts, int argc, char **argv)
{
	struct init_opts *o = opts;
	autofree char *path = NULL;
	autojson json_t *report = NULL;
	autoclose int pass_fd = -1;
	struct err err = { 0 };
	int r;

	(void)argc;
	o->passphrase = o->passphrase || o->common.passphrase_file;
	r = absolute_path(argv[0], &path, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->passphrase) {
		pass_fd = ctl_passphrase_pipe(o->common.passphrase_file, argv[0], &err);
		if (pass_fd < 0)
			return ctl_fail(pass_fd, &err);
	}
	/* A second of work that is done whole or not at all: from here on Ctrl-C, which the
	 * daemon's program would get too, comes too late. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	r = fsc_init(init_settings(o, path), pass_fd, &report, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	json_object_del(report, "ok");
	json_object_set_new(report, "path", json_string(path));
	if (o->common.json)
		out_json(report);
	else
		print_report(o, argv[0], report);
	return CTL_OK;
}

static const struct opt_example init_examples[] = {
	{ "sbxctl init ws", "A workspace whose key is wrapped to your identity." },
	{ "sbxctl init --quota 2G --files 100000 --cipher xchacha20 ws2",
	  "With a quota, and a cipher that every machine has." },
	{ NULL, NULL },
};

const struct opt_command cmd_init = {
	.name = "init",
	.args = "WS",
	.summary = "create a workspace",
	.description =
		"Creates the directory WS (which must not exist, or be empty) with a new key, an "
		"empty encrypted store and the default limits.\n\n"
		"With no key option the key of the workspace is wrapped to your identity, a file "
		"in "
		"~/.config/sbx that is made on first use. With --passphrase it is wrapped to a "
		"passphrase instead. Recipients may read the outputs and not write them.\n\n"
		"The cipher is chosen by measuring when it is auto; the choice and the measured "
		"speeds are printed.",
	.opts = init_table,
	.examples = init_examples,
	.min_args = 1,
	.max_args = 1,
	.run = init_run,
	.opts_size = sizeof(struct init_opts),
};
