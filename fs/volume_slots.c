/* The files of key slots, and the ways from what the user has to the volume key. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/volume_priv.h"
#include "keys/prompt.h"
#include "keys/secret.h"
#include "keys/text.h"

#define SUFFIX          ".json"
#define KNOWN_OWNERS    "known_owners"
#define KNOWN_MAX       (1u << 20)
#define PROMPT_ATTEMPTS 3

/* Files --------------------------------------------------------------------------------------- */

int slot_write(int keysfd, const struct slot *s, struct err *err)
{
	autojson json_t *j = slot_to_json(s);
	autofree char *text = j ? json_pretty(j) : NULL;
	autofree char *line = text ? str_printf("%s\n", text) : NULL;
	char name[SLOT_ID_SIZE + sizeof(SUFFIX)];

	if (!line)
		return err_set(err, -ENOMEM, "write key slot '%s'", s->id);
	snprintf(name, sizeof(name), "%s" SUFFIX, s->id);
	return fd_replace_file(keysfd, name, line, strlen(line), 0600, err);
}

static int slot_read(int keysfd, const char *file, struct slot *ret, struct err *err)
{
	autofree char *text = NULL, *id = strndup(file, strlen(file) - strlen(SUFFIX));
	autojson json_t *j = NULL;
	size_t len;
	int r;

	if (!id)
		return err_set(err, -ENOMEM, "read key slot '%s'", file);
	r = fd_read_file(keysfd, file, SLOT_FILE_MAX, &text, &len, err);
	if (r == 0)
		r = json_parse(text, len, file, &j, err);
	if (r == 0)
		r = slot_parse(j, id, ret, err);
	return r;
}

static bool is_slot_file(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > strlen(SUFFIX) &&
	       strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct slot *)a)->id, ((const struct slot *)b)->id);
}

static const char *slot_fault(const struct volume *v, const char *file)
{
	struct slot s;
	struct err why = { 0 };
	const char *type;

	if (slot_read(v->keysfd, file, &s, &why) < 0)
		return "cannot be read";
	type = json_string_value(json_object_get(v->slots, s.id));
	if (!type)
		return "is not in the sealed config";
	if (strcmp(type, slot_type_name(s.type)) != 0)
		return "is of another type than the sealed config says";
	return s.keygen == volume_keys_current(v->keys)->keygen ? NULL
								: "is of another key generation";
}

int volume_key_check(struct volume *v, void (*fn)(void *ctx, const char *file, const char *what),
		     void *ctx, struct err *err)
{
	int fd = openat(v->keysfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	const char *what, *id;
	json_t *type;

	if (!dir)
		return err_set(err, -errno, "read the key slots");
	for (errno = 0; (e = readdir(dir)); errno = 0) {
		if (is_slot_file(e->d_name) && (what = slot_fault(v, e->d_name)))
			fn(ctx, e->d_name, what);
	}
	if (errno)
		return err_set(err, -errno, "read the key slots");
	json_object_foreach (v->slots, id, type) {
		char file[SLOT_ID_SIZE + sizeof(SUFFIX)];

		snprintf(file, sizeof(file), "%.*s" SUFFIX, SLOT_ID_SIZE - 1, id);
		if (faccessat(v->keysfd, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			fn(ctx, file, "is missing");
	}
	return 0;
}

/* A slot that cannot be read does not keep the others from opening the volume: its error is kept
 * and told when none does. */
int slot_list_read(int keysfd, struct slot_list *ret, struct err *err)
{
	__attribute__((cleanup(slot_list_free))) struct slot_list l = { 0 };
	int fd = openat(keysfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	l.s = calloc(SLOTS_MAX, sizeof(*l.s));
	if (!l.s)
		return err_set(err, -ENOMEM, "read the key slots");
	if (!dir)
		return err_set(err, -errno, "read the key slots");
	for (errno = 0; (e = readdir(dir)); errno = 0) {
		struct err why = { 0 };

		if (!is_slot_file(e->d_name))
			continue;
		if (l.n == SLOTS_MAX)
			return err_set(err, -EBADMSG, "there are more than %d key slots.",
				       SLOTS_MAX);
		if (slot_read(keysfd, e->d_name, &l.s[l.n], &why) == 0)
			l.n++;
		else if (!l.first.code)
			l.first = why;
	}
	if (errno)
		return err_set(err, -errno, "read the key slots");
	qsort(l.s, l.n, sizeof(*l.s), by_id);
	*ret = l;
	l.s = NULL;
	return 0;
}

/* Ways to V ------------------------------------------------------------------------------------ */

/* A sentence that is complete already. */
static int pass_on(struct err *err, const struct err *from)
{
	if (err)
		*err = *from;
	return from->code;
}

/* One attempt to open a volume; each way fills 'why' when it fails for a reason worth telling. */
struct attempt {
	const struct volume *v;
	const struct slot_list *l;
	const struct volume_unlock *u;
	uint32_t keygen;
	const struct identity *id; /* NULL: none */
	const char *id_path;
	uint8_t *key;
	const struct slot *found;
	struct err why; /* code 0: nothing to tell */
};

static const struct slot *next_slot(const struct attempt *a, enum slot_type type, size_t *at)
{
	while (*at < a->l->n) {
		const struct slot *s = &a->l->s[(*at)++];

		if (s->type == type && s->keygen == a->keygen)
			return s;
	}
	return NULL;
}

static bool has_slot(const struct attempt *a, enum slot_type type)
{
	size_t at = 0;

	return next_slot(a, type, &at) != NULL;
}

static void note_damage(struct attempt *a, const struct slot *s)
{
	err_set(&a->why, -EBADMSG, "key slot '%s' of workspace '%s' was altered.", s->id,
		a->v->path);
}

/* 'secret': the owner secret or the recovery key. -ENOKEY: opens none. */
static int try_secret(struct attempt *a, enum slot_type type, const uint8_t *secret)
{
	const struct slot *s;
	size_t at = 0;

	while ((s = next_slot(a, type, &at))) {
		int r = slot_unwrap(s, a->v->vol_id, secret, a->key);

		if (r == 0) {
			a->found = s;
			return 0;
		}
		if (r == -EBADMSG)
			note_damage(a, s);
	}
	return -ENOKEY;
}

static int try_recovery(struct attempt *a, struct err *err)
{
	autosecret struct secret *text = NULL;
	autosecret uint8_t *secret = secret_alloc(RECOVERY_KEY_LEN);
	int r = secret ? prompt_read_file(a->u->recovery_file, &text, err)
		       : err_set(err, -ENOMEM, "read the recovery key");

	if (r == 0)
		r = recovery_decode((const char *)text->bytes, secret, err);
	if (r < 0)
		return err_wrap(err, r, "recovery key");
	if (try_secret(a, SLOT_RECOVERY, secret) == 0)
		return 0;
	return err_set(err, -EKEYREJECTED, "this recovery key does not open workspace '%s'.",
		       a->v->path);
}

/* -EKEYREJECTED: no slot takes it. Other errors are final. */
static int try_passphrase(struct attempt *a, const struct secret *pass, struct err *err)
{
	const struct slot *s;
	size_t at = 0;
	int r = err_set(err, -EKEYREJECTED, "wrong passphrase for workspace '%s'.", a->v->path);

	while ((s = next_slot(a, SLOT_PASSPHRASE, &at))) {
		struct err why = { 0 };
		int k = slot_unwrap_passphrase(s, a->v->vol_id, pass->bytes, pass->len, a->key,
					       &why);

		if (k == 0) {
			a->found = s;
			return 0;
		}
		if (k != -EKEYREJECTED) {
			pass_on(err, &why);
			r = err_wrap(err, k, "workspace '%s'", a->v->path);
		}
	}
	return r;
}

static int try_passphrase_file(struct attempt *a, struct err *err)
{
	autosecret struct secret *pass = NULL;
	int r;

	if (!has_slot(a, SLOT_PASSPHRASE))
		return err_set(err, -ENOKEY, "workspace '%s' has no passphrase.", a->v->path);
	r = prompt_read_file(a->u->passphrase_file, &pass, err);
	return r < 0 ? r : try_passphrase(a, pass, err);
}

static int no_key(const struct attempt *a, struct err *err)
{
	char types[64] = "";

	if (a->why.code)
		return pass_on(err, &a->why);
	if (a->l->first.code) {
		pass_on(err, &a->l->first);
		return err_wrap(err, a->l->first.code == -EOPNOTSUPP ? -EOPNOTSUPP : -EBADMSG,
				"workspace '%s'", a->v->path);
	}
	for (enum slot_type t = SLOT_OWNER; t <= SLOT_RECIPIENT; t++)
		if (has_slot(a, t))
			snprintf(types + strlen(types), sizeof(types) - strlen(types), "%s%s",
				 *types ? ", " : "", slot_type_name(t));
	return err_set(err, -ENOKEY,
		       "no key of yours opens workspace '%s': it has slots of these kinds: %s. Use "
		       "it as the user who made it, or give --passphrase-file or --recovery-file.",
		       a->v->path, *types ? types : "none");
}

static int try_prompt(struct attempt *a, struct err *err)
{
	autofree char *question = str_printf("Passphrase of %s: ", a->v->path);
	char printable[PATH_MAX + 64];
	int r = -ENOMEM;

	if (!question)
		return err_set(err, r, "ask for the passphrase");
	str_printable(question, printable, sizeof(printable));
	for (int i = 0; i < PROMPT_ATTEMPTS; i++) {
		autosecret struct secret *pass = NULL;

		r = prompt_passphrase(printable, false, &pass, err);
		if (r == 0)
			r = try_passphrase(a, pass, err);
		if (r != -EKEYREJECTED)
			break;
	}
	/* Who shares a workspace is the nearer remedy than a passphrase that this user has not. */
	if ((r == -ENOTTY || r == -ECANCELED) && a->why.code)
		return no_key(a, err);
	if (r == -ENOTTY)
		return err_set(err, -ENOKEY,
			       "workspace '%s' needs its passphrase, and there is no terminal to "
			       "ask for it: give it with --passphrase-file.",
			       a->v->path);
	return r;
}

/* Is 'pub' a line of the known_owners file beside the identity? */
static bool owner_is_listed(const char *id_path, const struct identity_public *pub)
{
	const char *slash = strrchr(id_path, '/');
	autofree char *path =
		str_printf("%.*s" KNOWN_OWNERS, (int)(slash ? slash + 1 - id_path : 0), id_path);
	autofree char *text = NULL;
	char *save, *line;

	if (!path || fd_read_file(AT_FDCWD, path, KNOWN_MAX, &text, NULL, NULL) < 0)
		return false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct identity_public known;

		line[strcspn(line, " \t\r")] = '\0';
		if (identity_public_parse(line, &known, NULL) == 0 &&
		    identity_public_equal(&known, pub))
			return true;
	}
	return false;
}

static bool owner_is_trusted(const struct attempt *a, const struct identity_public *owner)
{
	struct identity_public given;

	if (identity_public_equal(owner, identity_public(a->id)))
		return true;
	if (a->u->owner_key && identity_public_parse(a->u->owner_key, &given, NULL) == 0 &&
	    identity_public_equal(&given, owner))
		return true;
	return owner_is_listed(a->id_path, owner);
}

static void note_unknown_owner(struct attempt *a, const struct slot *s)
{
	char text[IDENTITY_TEXT_SIZE];
	const char *slash = strrchr(a->id_path, '/');

	identity_public_text(&s->owner, text);
	err_set(&a->why, -ENOKEY,
		"workspace '%s' is shared with you by an owner that you have not confirmed. If the "
		"key of its owner is %s (ask on another way), add it as a line to "
		"'%.*s" KNOWN_OWNERS "'.",
		a->v->path, text, (int)(slash ? slash + 1 - a->id_path : 0), a->id_path);
}

static int try_recipient(struct attempt *a)
{
	const struct slot *s;
	size_t at = 0;

	while ((s = next_slot(a, SLOT_RECIPIENT, &at))) {
		int r;

		if (!identity_public_equal(&s->recipient, identity_public(a->id)))
			continue;
		if (!owner_is_trusted(a, &s->owner)) {
			note_unknown_owner(a, s);
			continue;
		}
		r = slot_unwrap_recipient(s, a->v->vol_id, a->id, a->key);
		if (r == 0) {
			a->found = s;
			return 0;
		}
		note_damage(a, s);
	}
	return -ENOKEY;
}

/* What was given on the command line decides, be it right or wrong; then what needs no question. */
static int try_all(struct attempt *a, struct err *err)
{
	bool ask = !a->u->no_prompt && !a->u->passphrase_file && has_slot(a, SLOT_PASSPHRASE);

	if (a->id && try_secret(a, SLOT_OWNER, identity_owner_secret(a->id)) == 0)
		return 0;
	if (a->u->recovery_file)
		return try_recovery(a, err);
	if (a->u->passphrase_file)
		return try_passphrase_file(a, err);
	if (a->id && try_recipient(a) == 0)
		return 0;
	if (ask)
		return try_prompt(a, err);
	return no_key(a, err);
}

int volume_unlock_key(const struct volume *v, const struct slot_list *l, uint32_t keygen,
		      const struct volume_unlock *u, uint8_t *key, const struct slot **ret_slot,
		      struct err *err)
{
	struct attempt a = { .v = v, .l = l, .u = u, .keygen = keygen, .key = key };
	char standard[PATH_MAX];
	struct identity *id = NULL;
	int r = 0;

	a.id_path = u->identity_path;
	if (!a.id_path) {
		r = identity_default_path(standard, sizeof(standard), &a.why);
		a.id_path = standard;
	}
	/* An identity that may not be used is told only if nothing else opens the volume. */
	if (r == 0 && identity_load(a.id_path, &id, &a.why) == -ENOENT)
		a.why.code = 0;
	a.id = id;
	r = try_all(&a, err);
	identity_free(id);
	if (r == 0)
		*ret_slot = a.found;
	return r;
}
