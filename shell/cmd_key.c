/* sbxctl key show, list, add, remove, recovery: who can open a workspace. Keys never pass through
 * here: a passphrase goes from the terminal into a pipe, a recovery key from a pipe to the person.
 */
#include "shell/sbxctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "keys/buffer.h"
#include "keys/prompt.h"

#define RECOVERY_MAX 256

struct key_opts {
	struct ctl_common common;
	bool add_passphrase;
	const char *new_passphrase_file;
	const char *recipient;
	const char *file;
};

static const struct opt show_table[] = { CTL_OPT_JSON, CTL_OPT_END };
static const struct opt list_table[] = { CTL_OPT_JSON, CTL_OPT_KEYS, CTL_OPT_END };

static const struct opt add_table[] = {
	{ "passphrase", 'p', OPT_FLAG, offsetof(struct key_opts, add_passphrase), NULL, NULL,
	  .help = "Add a passphrase, asked for on the terminal." },
	{ "new-passphrase-file", 0, OPT_STRING, offsetof(struct key_opts, new_passphrase_file),
	  "FILE", NULL, .help = "Add the passphrase in the first line of FILE.",
	  .complete = COMPLETE_FILE },
	{ "recipient", 'r', OPT_STRING, offsetof(struct key_opts, recipient), "KEY", NULL,
	  .help = "Let the owner of this identity (sbx-pub-...) read the outputs." },
	CTL_OPT_JSON,
	CTL_OPT_KEYS,
	CTL_OPT_END,
};

static const struct opt recovery_table[] = {
	{ "file", 'o', OPT_STRING, offsetof(struct key_opts, file), "FILE", NULL,
	  .help = "Write the recovery key to this new file (mode 0600) and not to stdout.",
	  .complete = COMPLETE_FILE },
	CTL_OPT_JSON,
	CTL_OPT_KEYS,
	CTL_OPT_END,
};

/* A pipe holds it whole: a passphrase is far shorter than a pipe's room. */
static int pipe_secret(const struct secret *pass, struct err *err)
{
	autoclose int out = -1, in = -1;
	int p[2], r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(err, -errno, "hand over the passphrase");
	out = p[0];
	in = p[1];
	r = fd_write_full(in, pass->bytes, pass->len);
	return r < 0 ? err_set(err, r, "hand over the passphrase") : take_fd(&out);
}

int ctl_passphrase_pipe(const char *file, const char *what, struct err *err)
{
	autofree char *question = str_printf("New passphrase for '%s': ", what);
	autosecret struct secret *pass = NULL;
	int r = question ? secret_setup(err) : err_set(err, -ENOMEM, "ask for the passphrase");

	if (r < 0)
		return r;
	buffer_forbid_dumps();
	r = file ? prompt_read_file(file, &pass, err)
		 : prompt_passphrase(question, true, &pass, err);
	if (r == -ENOTTY)
		return err_set(err, r,
			       "there is no terminal to ask for the passphrase on; give a file "
			       "instead (see --help).");
	return r < 0 ? r : pipe_secret(pass, err);
}

static int show_run(void *opts, int argc, char **argv)
{
	const struct key_opts *o = opts;
	autojson json_t *id = NULL;
	struct err err = { 0 };
	bool created = false;
	int r = fsc_identity(&id, &err);

	(void)argc;
	(void)argv;
	if (r < 0)
		return ctl_fail(r, &err);
	json_object_del(id, "ok");
	if (o->common.json) {
		out_json(id);
		return CTL_OK;
	}
	(void)json_get_bool(id, "created", &created, NULL);
	printf("%syour identity%s%s\n", out_on(OUT_BOLD), out_off(), created ? ", made now" : "");
	out_pair("file", "%s", ctl_str(id, "path"));
	out_pair("public", "%s", ctl_str(id, "public"));
	puts("Others give the public key to 'sbxctl key add WS --recipient'; keep a copy of the "
	     "file.");
	return CTL_OK;
}

static int list_run(void *opts, int argc, char **argv)
{
	static const char *const heads[] = { "SLOT", "TYPE", "CREATED", "NOTE", NULL };
	const struct key_opts *o = opts;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	struct out_table *t;
	json_t *slots, *s;
	size_t i;
	int r = ctl_ask(argv[0], &o->common, json_pack("{s:s}", "op", "key-list"), &reply, &err);

	(void)argc;
	if (r < 0)
		return ctl_fail(r, &err);
	slots = json_object_get(reply, "slots");
	if (o->common.json) {
		out_json(slots);
		return CTL_OK;
	}
	t = out_table_new(heads);
	json_array_foreach (slots, i, s) {
		out_cell(t, "%s", ctl_str(s, "slot"));
		out_cell(t, "%s", ctl_str(s, "type"));
		out_cell(t, "%s", ctl_str(s, "created"));
		out_cell(t, "%s", ctl_str(s, "note"));
	}
	out_table_print(t);
	out_table_free(t);
	return CTL_OK;
}

static int print_slot(const struct key_opts *o, const char *what, json_t *reply)
{
	json_object_del(reply, "ok");
	if (o->common.json)
		out_json(reply);
	else
		printf("%s%s%s%s\n", what, out_on(OUT_BOLD), ctl_str(reply, "slot"), out_off());
	return CTL_OK;
}

static int add_passphrase(const struct key_opts *o, const char *ws, json_t **ret, struct err *err)
{
	autofsc struct fsc *c = NULL;
	autoclose int fd = -1;
	int r = ctl_open(ws, &o->common, &c, err);

	if (r < 0)
		return r;
	fd = ctl_passphrase_pipe(o->new_passphrase_file, ws, err);
	if (fd < 0)
		return fd;
	return fsc_call(c, json_pack("{s:s, s:s}", "op", "key-add", "type", "passphrase"), &fd, 1,
			ret, NULL, NULL, err);
}

static int add_run(void *opts, int argc, char **argv)
{
	struct key_opts *o = opts;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	int r;

	(void)argc;
	o->add_passphrase = o->add_passphrase || o->new_passphrase_file;
	if (o->add_passphrase == !!o->recipient)
		return ctl_usage(
			"say which key to add: --passphrase or --recipient KEY, one of them.");
	if (o->recipient)
		r = ctl_ask(argv[0], &o->common,
			    json_pack("{s:s, s:s, s:s}", "op", "key-add", "type", "recipient",
				      "public", o->recipient),
			    &reply, &err);
	else
		r = add_passphrase(o, argv[0], &reply, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	return print_slot(o,
			  o->recipient ? "This identity may read it: slot "
				       : "This passphrase opens it: slot ",
			  reply);
}

static int remove_run(void *opts, int argc, char **argv)
{
	const struct key_opts *o = opts;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	int r = ctl_ask(argv[0], &o->common,
			json_pack("{s:s, s:s}", "op", "key-remove", "slot", argv[1]), &reply, &err);

	(void)argc;
	if (r < 0)
		return ctl_fail(r, &err);
	json_object_set_new(reply, "slot", json_string(argv[1]));
	return print_slot(o, "Removed slot ", reply);
}

/* The reply carries a pipe with the text of the key. */
static int ask_recovery(const struct key_opts *o, const char *ws, json_t **ret,
			char text[static RECOVERY_MAX], struct err *err)
{
	int fds[FD_PASS_MAX], r;
	autofsc struct fsc *c = NULL;
	size_t nfds = 0;
	ssize_t n = -EPROTO;

	r = ctl_open(ws, &o->common, &c, err);
	if (r < 0)
		return r;
	buffer_forbid_dumps();
	r = fsc_call(c, json_pack("{s:s, s:s}", "op", "key-add", "type", "recovery"), NULL, 0, ret,
		     fds, &nfds, err);
	if (r < 0)
		return r;
	if (nfds > 0)
		n = fd_read_full(fds[0], text, RECOVERY_MAX - 1);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	if (n <= 0)
		return err_set(err, n < 0 ? (int)n : -EPROTO, "read the recovery key");
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return 0;
}

/* Made before the key, so that no key is made that could not be kept. */
static int create_key_file(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? err_set(err, -errno, "create '%s' for the recovery key", path) : fd;
}

static int write_key_file(int fd, const char *path, const char *text, struct err *err)
{
	int r = fd_write_full(fd, text, strlen(text));

	if (r == 0)
		r = fd_write_full(fd, "\n", 1);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "write '%s'", path) : 0;
}

static int print_recovery(const struct key_opts *o, json_t *reply, const char *text)
{
	if (o->common.json) {
		json_object_del(reply, "ok");
		if (o->file)
			json_object_set_new(reply, "file", json_string(o->file));
		else
			json_object_set_new(reply, "recovery_key", json_string(text));
		out_json(reply);
		return CTL_OK;
	}
	if (o->file) {
		printf("Wrote the recovery key to %s: keep it where the workspace is not\n",
		       o->file);
		return CTL_OK;
	}
	puts(text);
	/* On stderr, so that the key alone goes where stdout goes. */
	log_print(LOG_NOTE, "this recovery key opens the workspace and is shown only now; keep it "
			    "where the workspace is not.");
	return CTL_OK;
}

static int recovery_run(void *opts, int argc, char **argv)
{
	const struct key_opts *o = opts;
	autojson json_t *reply = NULL;
	char text[RECOVERY_MAX] = "";
	autoclose int fd = -1;
	struct err err = { 0 };
	int r = 0;

	(void)argc;
	if (o->file)
		r = fd = create_key_file(o->file, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	r = ask_recovery(o, argv[0], &reply, text, &err);
	if (r == 0 && o->file)
		r = write_key_file(fd, o->file, text, &err);
	if (r < 0 && o->file)
		unlink(o->file);
	r = r < 0 ? ctl_fail(r, &err) : print_recovery(o, reply, text);
	explicit_bzero(text, sizeof(text));
	return r;
}

static const struct opt_example show_examples[] = {
	{ "sbxctl key show", "Your identity: where it is, and its public half." },
	{ NULL, NULL },
};

static const struct opt_example recovery_examples[] = {
	{ "sbxctl key recovery ws --file recovery.txt", "A second way in, to be kept elsewhere." },
	{ NULL, NULL },
};

const struct opt_command cmd_key_show = {
	.name = "key show",
	.args = "",
	.summary = "print your identity's place and public key; it is made if there is none",
	.opts = show_table,
	.examples = show_examples,
	.min_args = 0,
	.max_args = 0,
	.run = show_run,
	.opts_size = sizeof(struct key_opts),
};

const struct opt_command cmd_key_list = {
	.name = "key list",
	.args = "WS",
	.summary = "list the key slots of a workspace: who can open it",
	.opts = list_table,
	.min_args = 1,
	.max_args = 1,
	.run = list_run,
	.opts_size = sizeof(struct key_opts),
};

const struct opt_command cmd_key_add = {
	.name = "key add",
	.args = "WS",
	.summary = "let a passphrase or another identity open a workspace",
	.description = "A passphrase opens the workspace like its owner. A recipient reads the "
		       "outputs and "
		       "cannot change them; KEY is what 'sbxctl key show' prints for them.",
	.opts = add_table,
	.min_args = 1,
	.max_args = 1,
	.run = add_run,
	.opts_size = sizeof(struct key_opts),
};

const struct opt_command cmd_key_remove = {
	.name = "key remove",
	.args = "WS SLOT",
	.summary = "take a key slot out of a workspace",
	.description =
		"Whoever kept a copy of the slot and of the store can still read what was written "
		"until now. The last slot that can write is not removed.",
	.opts = list_table,
	.min_args = 2,
	.max_args = 2,
	.run = remove_run,
	.opts_size = sizeof(struct key_opts),
};

const struct opt_command cmd_key_recovery = {
	.name = "key recovery",
	.args = "WS",
	.summary = "make a recovery key for a workspace and print it once",
	.description = "The key is printed on stdout, or written to a new file, and is stored "
		       "nowhere. Use it "
		       "with --recovery-file when the identity or passphrase is lost.",
	.opts = recovery_table,
	.examples = recovery_examples,
	.min_args = 1,
	.max_args = 1,
	.run = recovery_run,
	.opts_size = sizeof(struct key_opts),
};
