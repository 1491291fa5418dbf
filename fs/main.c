/* sbxfsd: the program that holds the keys of a workspace.  Started by sbx-shell and sbxctl through
 * fs/client.c, never typed by people.
 *
 *   sbxfsd serve [--ready-fd N] [--passphrase-file F] [--recovery-file F] [--foreground] -- WS
 *   sbxfsd init [--passphrase-fd N]     settings as JSON on stdin, report as JSON on stdout
 *   sbxfsd identity                     report as JSON on stdout
 *   sbxfsd fsck [..] -- WS              the check, fs/fsck_main.c
 *   sbxfsd ciphers                      what each cipher does here, as JSON on stdout
 *   sbxfsd holder                       internal: fs/holder.h */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "config.h"
#include "fs/fsd.h"
#include "fs/holder.h"
#include "fs/volume.h"
#include "keys/buffer.h"
#include "keys/cipher.h"
#include "keys/identity.h"
#include "keys/secret.h"

#define SETTINGS_MAX   65536
#define PASSPHRASE_MAX 4096
#define RECIPIENTS_MAX 32

static int usage(void)
{
	fprintf(stderr, "sbxfsd is started by sbx-shell and sbxctl; see sbxctl --help.\n");
	return 2;
}

static int parse_fd(const char *s)
{
	uint64_t n;

	return parse_u64(s, &n) == 0 && n <= INT_MAX ? (int)n : -1;
}

/* The report or the error of a one-shot command, as JSON on stdout. */
static int report(int r, json_t *what, const struct err *err)
{
	autojson json_t *reply = r < 0 ? reply_error(r, err) : what ? what : json_object();
	autofree char *text = NULL;

	json_object_set_new(reply, "ok", json_boolean(r >= 0));
	text = json_canonical(reply);
	if (!text || fd_write_full(STDOUT_FILENO, text, strlen(text)) < 0)
		return 1;
	return r < 0 ? 1 : 0;
}

/* -- serve ---------------------------------------------------------------- */

static void close_inherited(int keep)
{
	if (keep > 3)
		(void)syscall(SYS_close_range, 3, keep - 1, 0);
	(void)syscall(SYS_close_range, keep >= 3 ? keep + 1 : 3, ~0u, 0);
}

static int cmd_serve(int argc, char **argv)
{
	static const struct option table[] = {
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "recovery-file", required_argument, NULL, 'k' },
		{ "foreground", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	struct serve_options o = { .ready_fd = -1 };
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == 'r')
			o.ready_fd = parse_fd(optarg);
		else if (c == 'p')
			o.passphrase_file = optarg;
		else if (c == 'k')
			o.recovery_file = optarg;
		else if (c == 'f')
			o.foreground = true;
		else
			return usage();
	}
	if (optind + 1 != argc)
		return usage();
	o.ws = argv[optind];
	close_inherited(o.ready_fd);
	return serve(&o);
}

/* -- init ----------------------------------------------------------------- */

static int read_settings(json_t **ret, struct err *err)
{
	autofree char *text = malloc(SETTINGS_MAX + 1);
	ssize_t n = text ? fd_read_full(STDIN_FILENO, text, SETTINGS_MAX + 1) : -ENOMEM;

	if (n < 0)
		return err_set(err, (int)n, "read the settings");
	if (n > SETTINGS_MAX)
		return err_set(err, -EFBIG, "the settings are larger than %d bytes.", SETTINGS_MAX);
	return json_parse(text, (size_t)n, "the settings", ret, err);
}

static int read_passphrase(int fd, uint8_t *pass, size_t *ret_len, struct err *err)
{
	ssize_t n = fd_read_full(fd, pass, PASSPHRASE_MAX);

	if (n < 0)
		return err_set(err, (int)n, "read the passphrase");
	if (n == PASSPHRASE_MAX)
		return err_set(err, -EINVAL, "the passphrase is too long.");
	if (n > 0 && pass[n - 1] == '\n')
		n--;
	if (n == 0)
		return err_set(err, -EINVAL, "the passphrase is empty.");
	*ret_len = (size_t)n;
	return 0;
}

static int get_optional(int r)
{
	return r == -ENOENT ? 0 : r;
}

static int fill_recipients(const json_t *j, struct volume_options *o, const char **list,
			   struct err *err)
{
	const json_t *rows = json_object_get(j, "recipients");

	if (!rows)
		return 0;
	if (!json_is_array(rows) || json_array_size(rows) > RECIPIENTS_MAX)
		return err_set(err, -EINVAL,
			       "'recipients' must be a list of at most %d public keys.",
			       RECIPIENTS_MAX);
	for (; o->nrecipients < json_array_size(rows); o->nrecipients++) {
		list[o->nrecipients] = json_string_value(json_array_get(rows, o->nrecipients));
		if (!list[o->nrecipients])
			return err_set(err, -EINVAL, "'recipients' must be a list of public keys.");
	}
	o->recipients = list;
	return 0;
}

static int fill_options(const json_t *j, struct volume_options *o, const char **list,
			struct err *err)
{
	uint64_t ring = 0;
	int r;

	if (!json_is_object(j))
		return err_set(err, -EINVAL, "the settings must be an object.");
	o->cipher = "auto";
	r = json_get_str(j, "path", &o->path, err);
	if (r < 0)
		return r == -ENOENT ? err_set(err, -EINVAL, "'path' is missing.") : r;
	r = get_optional(json_get_str(j, "cipher", &o->cipher, err));
	if (r == 0)
		r = get_optional(json_get_u64(j, "quota.bytes", &o->quota_bytes, err));
	if (r == 0)
		r = get_optional(json_get_u64(j, "quota.files", &o->quota_files, err));
	if (r == 0)
		r = get_optional(json_get_bool(j, "pad", &o->pad, err));
	if (r == 0)
		r = get_optional(json_get_u64(j, "ring_pages", &ring, err));
	if (r == 0 && ring > UINT32_MAX)
		r = err_set(err, -ERANGE, "'ring_pages' is too large.");
	o->ring_pages = (uint32_t)ring;
	return r < 0 ? r : fill_recipients(j, o, list, err);
}

static int cmd_init(int argc, char **argv)
{
	const char *recipients[RECIPIENTS_MAX];
	struct volume_options o = { 0 };
	autojson json_t *settings = NULL;
	autosecret uint8_t *pass = NULL;
	struct err err = { 0 };
	json_t *made = NULL;
	int r, fd = -1;

	if (argc == 3 && strcmp(argv[1], "--passphrase-fd") == 0)
		fd = parse_fd(argv[2]);
	else if (argc != 1)
		return usage();
	buffer_forbid_dumps();
	r = secret_setup(&err);
	if (r == 0)
		r = read_settings(&settings, &err);
	if (r == 0)
		r = fill_options(settings, &o, recipients, &err);
	if (r == 0 && fd >= 0) {
		pass = secret_alloc(PASSPHRASE_MAX);
		r = pass ? read_passphrase(fd, pass, &o.passphrase_len, &err)
			 : err_set(&err, -ENOMEM, "read the passphrase");
		o.passphrase = pass;
	}
	if (r == 0)
		r = volume_create(&o, &made, &err);
	return report(r, made, &err);
}

/* -- identity ------------------------------------------------------------- */

static int cmd_identity(void)
{
	char path[4096], text[IDENTITY_TEXT_SIZE];
	struct identity *id = NULL;
	struct err err = { 0 };
	json_t *what = NULL;
	bool created = false;
	int r;

	buffer_forbid_dumps();
	r = secret_setup(&err);
	if (r == 0)
		r = identity_default_path(path, sizeof(path), &err);
	if (r == 0)
		r = identity_ensure(path, &id, &created, &err);
	if (r == 0) {
		identity_public_text(identity_public(id), text);
		what = json_pack("{s:s, s:s, s:b}", "path", path, "public", text, "created",
				 created);
	}
	identity_free(id);
	return report(r, what, &err);
}

/* -- ciphers -------------------------------------------------------------- */

#define CIPHER_MEASURE_MS 10

static int cmd_ciphers(void)
{
	json_t *list = json_object();
	struct err err = { 0 };
	int r = secret_setup(&err);

	for (uint8_t s = 1; s <= CIPHER_MAX && r == 0; s++) {
		const char *why = NULL;
		bool have = cipher_available(s, &why);
		unsigned speed = have ? cipher_measure(s, CIPHER_MEASURE_MS) : 0;

		json_object_set_new(list, cipher_name(s),
				    json_pack("{s:b, s:i, s:s}", "available", have, "mbps",
					      (int)speed, "why", have || !why ? "" : why));
	}
	return report(r, json_pack("{s:o}", "ciphers", list), &err);
}

int main(int argc, char **argv)
{
	log_setup("sbxfsd", LOG_NOTE);
	if (argc < 2)
		return usage();
	if (strcmp(argv[1], "--version") == 0) {
		printf("sbxfsd %s\n", SBX_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "serve") == 0)
		return cmd_serve(argc - 1, argv + 1);
	if (strcmp(argv[1], "init") == 0)
		return cmd_init(argc - 1, argv + 1);
	if (strcmp(argv[1], "identity") == 0)
		return cmd_identity();
	if (strcmp(argv[1], "ciphers") == 0)
		return cmd_ciphers();
	if (strcmp(argv[1], "fsck") == 0)
		return cmd_fsck(argc - 1, argv + 1);
	if (strcmp(argv[1], "holder") == 0)
		return holder_main();
	return usage();
}
