/* Workspaces: creation, the ways in, edits, and what an edited or damaged one answers. */
#include "fs/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/name.h"
#include "fs/settings.h"
#include "fs/store.h"
#include "keys/identity.h"
#include "keys/secret.h"
#include "tests/check.h"

#define RING 128

static char dir[64] = "/tmp/sbx-test-volume-XXXXXX";
static char ws[128], mine[128], theirs[128];

/* The script finds 'a' as $A. */
static void shell(const char *script, const char *a)
{
	setenv("A", a, 1);
	CHECK_EQ(system(script), 0);
}

static struct volume_options standard(void)
{
	return (struct volume_options){ .path = ws,
					.cipher = "xchacha20",
					.ring_pages = RING,
					.identity_path = mine,
					.pass_ops = 1,
					.pass_mem = 1 << 16 };
}

static int create(const struct volume_options *o)
{
	autojson json_t *report = NULL;
	struct err err = { 0 };
	int r = volume_create(o, &report, &err);

	if (r < 0 && !err.text[0])
		fprintf(stderr, "no sentence for %d\n", r);
	CHECK(r == 0 || err.text[0]);
	return r;
}

static int open_as(const char *identity, struct volume **v, struct err *err)
{
	struct volume_unlock u = { .identity_path = identity, .no_prompt = true };

	*v = NULL;
	return volume_open(ws, &u, v, err);
}

/* Open and close: the answer alone. */
static int opens(const char *identity)
{
	struct volume *v;
	struct err err = { 0 };
	int r = open_as(identity, &v, &err);

	CHECK(r == 0 || err.text[0]);
	volume_close(v);
	return r;
}

static char *slurp(const char *name)
{
	autofree char *path = str_printf("%s/%s", ws, name);
	char *text = NULL;

	CHECK_EQ(fd_read_file(AT_FDCWD, path, 1 << 20, &text, NULL, NULL), 0);
	return text;
}

static void spew(const char *name, const char *text)
{
	autofree char *path = str_printf("%s/%s", ws, name);
	FILE *f = fopen(path, "w");

	CHECK(f != NULL);
	fputs(text, f);
	fclose(f);
}

static void public_of(const char *path, char out[static IDENTITY_TEXT_SIZE])
{
	struct identity *id = NULL;
	bool created;

	CHECK_EQ(identity_ensure(path, &id, &created, NULL), 0);
	identity_public_text(identity_public(id), out);
	identity_free(id);
}

static void creation(void)
{
	struct volume_options o = standard();
	autojson json_t *report = NULL;
	struct volume *v;
	struct stat st;
	struct err err = { 0 };
	const char *s = NULL;
	bool created = false;

	o.cipher = "auto";
	CHECK_EQ(volume_create(&o, &report, &err), 0);
	CHECK_EQ(json_get_str(report, "cipher", &s, NULL), 0);
	CHECK(json_at(report, "measured.xchacha20_mbps") != NULL);
	CHECK_EQ(json_get_bool(report, "identity.created", &created, NULL), 0);
	CHECK(created);
	CHECK_EQ(json_array_size(json_at(report, "slots")), 1);
	CHECK_EQ(create(&o), -EEXIST);
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK(!volume_read_only(v));
	CHECK(!volume_flat(v));
	CHECK_STR(json_string_value(json_object_get(volume_settings(v), "cipher")), s);
	CHECK_EQ(volume_conf_counter(v), 1);
	volume_close(v);
	CHECK_EQ(opens(theirs), -ENOKEY);
	CHECK_EQ(stat(ws, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0700);
	shell("test \"$(ls -A $A | tr '\\n' ' ')\" = 'keys lock runs store workspace.json '", ws);
	shell("rm -rf $A", ws);
}

static void places(void)
{
	struct volume_options o = standard();

	CHECK_EQ(mkdir(ws, 0755), 0);
	CHECK_EQ(create(&o), 0); /* an empty directory */
	shell("rm -rf $A; mkdir $A; touch $A/x", ws);
	CHECK_EQ(create(&o), -EEXIST);
	shell("test \"$(ls -A $A)\" = x && rm -rf $A && touch $A", ws);
	CHECK_EQ(create(&o), -EEXIST);
	shell("rm -f $A", ws);
	o.path = "/nonexistent/place/ws";
	CHECK_EQ(create(&o), -ENOENT);
	o = standard();
	o.cipher = "rot13";
	CHECK_EQ(create(&o), -EINVAL);
	o = standard();
	o.quota_bytes = 1;
	CHECK_EQ(create(&o), -EINVAL);
	o = standard();
	o.recipients = (const char *const[]){ "sbx-pub-x" };
	o.nrecipients = 1;
	CHECK_EQ(create(&o), -EINVAL);
	CHECK_EQ(access(ws, F_OK), -1); /* nothing left behind */
	CHECK_EQ(opens(mine), -ENOENT);
}

/* What a killed init leaves is cleared away, wherever it was killed. */
static void leftovers(void)
{
	struct volume_options o = standard();

	shell("mkdir -p $A/.sbx-new/keys", ws);
	CHECK_EQ(opens(mine), -ENOENT);
	CHECK_EQ(create(&o), 0);
	CHECK_EQ(opens(mine), 0);
	shell("cd $A && mkdir .sbx-new && mv keys workspace.json .sbx-new", ws);
	CHECK_EQ(opens(mine), -ENOENT);
	CHECK_EQ(create(&o), 0);
	CHECK_EQ(opens(mine), 0);
	shell("mkdir $A/.sbx-new", ws); /* killed after the last move: whole */
	CHECK_EQ(opens(mine), 0);
	CHECK_EQ(create(&o), -EEXIST);
	CHECK_EQ(opens(mine), 0);
	shell("rm -rf $A", ws);
}

static void kills(void)
{
	struct volume_options o = standard();

	for (int us = 0; us < 30000; us += 1000) {
		int r;
		pid_t pid = fork();

		if (pid == 0)
			_exit(create(&o) != 0);
		usleep((useconds_t)us);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		r = create(&o);
		CHECK(r == 0 || r == -EEXIST);
		CHECK_EQ(opens(mine), 0);
		shell("rm -rf $A", ws);
	}
}

static void lock(void)
{
	struct volume_options o = standard();
	struct volume *v, *other;
	struct err err = { 0 };
	autofree char *text = NULL, *number = NULL;

	CHECK_EQ(create(&o), 0);
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(volume_announce(v, "sbx-0123", &err), 0);
	CHECK_EQ(open_as(mine, &other, &err), -EBUSY);
	number = str_printf("process %ld", (long)getpid());
	CHECK(strstr(err.text, number) != NULL);
	text = slurp("lock");
	CHECK(strstr(text, "sbx-0123") != NULL);
	volume_close(v);
	CHECK_EQ(opens(mine), 0);
}

static int set(struct volume *v, const char *key, json_t *value, struct err *err)
{
	autojson json_t *s = json_deep_copy(volume_settings(v));
	autojson json_t *val = value;
	int r = settings_set(s, key, val, err);

	return r == 0 ? volume_edit(v, s, err) : r;
}

static void edits(void)
{
	struct volume *v;
	struct err err = { 0 };
	autojson json_t *s = NULL;

	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(set(v, "limits.memory", json_string("2G"), &err), 0);
	CHECK_EQ(set(v, "limits.pids", json_string("64"), &err), 0);
	CHECK_EQ(set(v, "quota.bytes", json_string("10G"), &err), 0);
	CHECK_EQ(set(v, "quota.bytes", json_string("none"), &err), 0);
	CHECK_EQ(set(v, "limits.cpus", json_real(1.5), &err), 0);
	CHECK_EQ(volume_conf_counter(v), 6);
	CHECK_EQ(set(v, "limits.memory", json_string("lots"), &err), -EINVAL);
	CHECK(strstr(err.text, "limits.memory") != NULL);
	CHECK_EQ(set(v, "limits.pids", json_integer(0), &err), -EINVAL);
	CHECK_EQ(set(v, "limits.color", json_string("red"), &err), -EINVAL);
	CHECK_EQ(set(v, "id", json_string("00"), &err), -EINVAL);
	CHECK_EQ(set(v, "cipher", json_string("rot13"), &err), -EINVAL);
	s = json_deep_copy(volume_settings(v));
	json_object_set_new(s, "pad", json_true());
	CHECK_EQ(volume_edit(v, s, &err), -EINVAL);
	json_object_set_new(s, "pad", json_false());
	json_object_set_new(s, "colour", json_false());
	CHECK_EQ(volume_edit(v, s, &err), -EINVAL);
	json_object_del(s, "colour");
	json_array_append_new(
		json_object_get(s, "datasets"),
		json_pack("{s:s, s:s, s:s}", "name", "wine", "source", "/a/b", "kind", "dir"));
	CHECK_EQ(volume_edit(v, s, &err), 0);
	json_array_append_new(
		json_object_get(s, "datasets"),
		json_pack("{s:s, s:s, s:s}", "name", "wine", "source", "/a/c", "kind", "dir"));
	CHECK_EQ(volume_edit(v, s, &err), -EINVAL);
	CHECK_EQ(volume_conf_counter(v), 7);
	volume_close(v);
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(volume_conf_counter(v), 7);
	CHECK_STR(json_string_value(json_at(volume_settings(v), "limits.memory")), "2G");
	CHECK_EQ(json_integer_value(json_at(volume_settings(v), "limits.pids")), 64);
	volume_close(v);
}

/* Each edit of workspace.json by hand is refused, naming the field. */
static void hand_edits(void)
{
	static const struct {
		const char *field;
		const char *json; /* NULL: remove */
		const char *named;
	} cases[] = {
		{ "limits.memory", "\"64G\"", "limits.memory" },
		{ "limits.pids", "100000", "limits.pids" },
		{ "quota.bytes", "12345", "quota.bytes" },
		{ "cipher", "\"aes-gcm\"", "cipher" },
		{ "id", "\"00000000000000000000000000000000\"", "id" },
		{ "limits.extra", "1", "limits.extra" },
		{ "limits.time", NULL, "limits.time" },
		{ "datasets", "[{\"name\":\"wine\",\"source\":\"/etc\",\"kind\":\"dir\"}]",
		  "datasets[0].source" },
		{ "recipients", "[1]", "recipients[0]" },
	};
	autofree char *good = slurp("workspace.json");
	struct volume *v;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		autojson json_t *j = NULL;
		autofree char *text = NULL, *key = strdup(cases[i].field);
		char *dot = strrchr(key, '.');
		json_t *at;

		json_parse(good, strlen(good), "x", &j, NULL);
		if (dot)
			*dot = '\0';
		at = dot ? json_object_get(j, key) : j;
		if (cases[i].json)
			json_object_set_new(at, dot ? dot + 1 : key,
					    json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
		else
			json_object_del(at, dot ? dot + 1 : key);
		text = json_pretty(j);
		spew("workspace.json", text);
		CHECK_EQ(open_as(mine, &v, &err), -EBADMSG);
		CHECK(strstr(err.text, cases[i].named) != NULL);
		if (!strstr(err.text, cases[i].named))
			fprintf(stderr, "%s: %s\n", cases[i].field, err.text);
	}
	spew("workspace.json", "{ nonsense");
	CHECK_EQ(opens(mine), -EBADMSG);
	spew("workspace.json", good);
	CHECK_EQ(opens(mine), 0);
	shell("rm $A/workspace.json", ws);
	CHECK_EQ(opens(mine), 0);
	{
		autofree char *again = slurp("workspace.json");
		autojson json_t *was = NULL, *is = NULL;

		json_parse(good, strlen(good), "good", &was, NULL);
		json_parse(again, strlen(again), "again", &is, NULL);
		CHECK(json_equal(was, is));
	}
}

/* A crash between config and workspace.json: the older text is still there. */
static void cut_edit(void)
{
	autofree char *before = slurp("workspace.json");
	autofree char *after = NULL;
	struct volume *v;
	struct err err = { 0 };

	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(set(v, "limits.tmp", json_string("1G"), &err), 0);
	volume_close(v);
	spew("workspace.json", before);
	CHECK_EQ(opens(mine), 0);
	after = slurp("workspace.json");
	CHECK(strstr(after, "\"1G\"") != NULL);
	/* The one before that is an edit by hand. */
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(set(v, "limits.tmp", json_string("2G"), &err), 0);
	volume_close(v);
	spew("workspace.json", before);
	CHECK_EQ(opens(mine), -EBADMSG);
	shell("rm $A/workspace.json", ws);
	CHECK_EQ(opens(mine), 0);
}

/* Every byte of the sealed config counts. */
static void config_damage(void)
{
	autofree char *path = str_printf("%s/keys/config", ws);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	for (off_t i = 0; i < st.st_size; i += i < 64 ? 1 : 37) {
		uint8_t b;
		int r;

		CHECK_EQ(pread(fd, &b, 1, i), 1);
		b ^= 0x40;
		CHECK_EQ(pwrite(fd, &b, 1, i), 1);
		r = opens(mine);
		CHECK(r == -EBADMSG || r == -EOPNOTSUPP || r == -ENOKEY);
		b ^= 0x40;
		CHECK_EQ(pwrite(fd, &b, 1, i), 1);
	}
	CHECK_EQ(opens(mine), 0);
	CHECK_EQ(ftruncate(fd, st.st_size - 1), 0);
	CHECK_EQ(opens(mine), -EBADMSG);
	CHECK_EQ(ftruncate(fd, 10), 0);
	CHECK_EQ(opens(mine), -EBADMSG);
	close(fd);
	shell("rm -rf $A", ws);
}

static int open_with(const struct volume_unlock *u, struct err *err)
{
	struct volume *v = NULL;
	int r = volume_open(ws, u, &v, err);

	volume_close(v);
	return r;
}

static void passphrases(void)
{
	struct volume_options o = standard();
	char file[160];
	struct volume_unlock u = { .identity_path = mine, .no_prompt = true };
	struct err err = { 0 };

	snprintf(file, sizeof(file), "%s/pass", dir);
	shell("umask 077; echo 'correct horse' >$A", file);
	o.passphrase = (const uint8_t *)"correct horse";
	o.passphrase_len = 13;
	CHECK_EQ(create(&o), 0);
	CHECK_EQ(opens(mine), -ENOKEY);
	u.passphrase_file = file;
	CHECK_EQ(open_with(&u, &err), 0);
	shell("echo 'wrong horse' >$A", file);
	CHECK_EQ(open_with(&u, &err), -EKEYREJECTED);
	u.passphrase_file = "/nonexistent/pass";
	CHECK_EQ(open_with(&u, &err), -ENOENT);
	shell("rm -rf $A", ws);
	o = standard();
	CHECK_EQ(create(&o), 0);
	u.identity_path = theirs;
	u.passphrase_file = file;
	CHECK_EQ(open_with(&u, &err), -ENOKEY);
	shell("rm -rf $A", ws);
}

static void slots(void)
{
	struct volume_options o = standard();
	struct volume_unlock u = { .identity_path = theirs, .no_prompt = true };
	char text[80], slot[64], slot2[64], file[160];
	autojson json_t *list = NULL;
	autofree char *path = NULL;
	struct volume *v;
	struct err err = { 0 };

	CHECK_EQ(create(&o), 0);
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(volume_key_add_recovery(v, text, slot, &err), 0);
	CHECK_EQ(volume_key_add_passphrase(v, (const uint8_t *)"xyz", 3, slot2, &err), 0);
	CHECK_EQ(volume_key_list(v, &list, &err), 0);
	CHECK_EQ(json_array_size(list), 3);
	CHECK_EQ(volume_key_remove(v, "owner-none", &err), -ENOENT);
	CHECK_EQ(volume_key_remove(v, "../config", &err), -ENOENT);
	CHECK_EQ(volume_key_remove(v, slot2, &err), 0);
	volume_close(v);

	snprintf(file, sizeof(file), "%s/recovery", dir);
	shell("umask 077; : >$A", file);
	shell("chmod 600 $A", file);
	{
		FILE *f = fopen(file, "w");

		fprintf(f, "%s\n", text);
		fclose(f);
	}
	u.recovery_file = file;
	CHECK_EQ(open_with(&u, &err), 0);
	shell("sed -i s/^..../aaaa/ $A", file);
	CHECK(open_with(&u, &err) < 0);

	/* A slot that was removed and put back opens nothing. */
	path = str_printf("%s/keys/%s.json", ws, slot);
	shell("cp $A $A.kept", path);
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(volume_key_remove(v, slot, &err), 0);
	json_decref(list);
	list = NULL;
	CHECK_EQ(volume_key_list(v, &list, &err), 0);
	{
		const json_t *last = json_array_get(list, 0);
		const char *name = NULL;

		CHECK_EQ(json_array_size(list), 1);
		CHECK_EQ(json_get_str(last, "slot", &name, NULL), 0);
		CHECK_EQ(volume_key_remove(v, name, &err), -EPERM);
	}
	volume_close(v);
	shell("mv $A.kept $A", path);
	{
		FILE *f = fopen(file, "w");

		fprintf(f, "%s\n", text);
		fclose(f);
	}
	CHECK_EQ(open_with(&u, &err), -EBADMSG);
	CHECK_EQ(opens(mine), 0);
	/* A damaged slot does not keep the others from opening. */
	shell("echo nonsense >$A", path);
	CHECK_EQ(opens(mine), 0);
	CHECK_EQ(opens(theirs), -EBADMSG);
	shell("rm -rf $A", ws);
}

static void recipients(void)
{
	struct volume_options o = standard();
	char pub[IDENTITY_TEXT_SIZE], owner[IDENTITY_TEXT_SIZE], slot[64];
	const char *const list[] = { pub };
	struct volume_unlock u = { .identity_path = theirs, .no_prompt = true };
	autojson json_t *s = NULL;
	struct volume *v;
	struct err err = { 0 };

	public_of(theirs, pub);
	public_of(mine, owner);
	o.recipients = list;
	o.nrecipients = 1;
	CHECK_EQ(create(&o), 0);
	CHECK_EQ(opens(mine), 0);
	/* The owner is not known to the recipient: refused, saying what to do. */
	CHECK_EQ(open_with(&u, &err), -ENOKEY);
	CHECK(strstr(err.text, owner) != NULL);
	CHECK(strstr(err.text, "known_owners") != NULL);
	u.owner_key = pub;
	CHECK_EQ(open_with(&u, &err), -ENOKEY);
	u.owner_key = owner;
	CHECK_EQ(volume_open(ws, &u, &v, &err), 0);
	CHECK(volume_read_only(v));
	s = json_deep_copy(volume_settings(v));
	CHECK_EQ(volume_edit(v, s, &err), -EROFS);
	CHECK_EQ(volume_key_add_recipient(v, pub, slot, &err), -EROFS);
	volume_close(v);
	u.owner_key = NULL;
	{
		autofree char *path = str_printf("%s/known_owners", dir);
		FILE *f = fopen(path, "w");

		fprintf(f, "# people\n%s Anna\n", owner);
		fclose(f);
		CHECK_EQ(open_with(&u, &err), 0);
		unlink(path);
	}
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK_EQ(volume_key_add_recipient(v, pub, slot, &err), -EEXIST);
	CHECK_EQ(volume_key_add_recipient(v, owner, slot, &err), 0);
	CHECK_EQ(json_array_size(json_object_get(volume_settings(v), "recipients")), 2);
	CHECK_EQ(volume_key_remove(v, slot, &err), 0);
	CHECK_EQ(json_array_size(json_object_get(volume_settings(v), "recipients")), 1);
	volume_close(v);
	CHECK_EQ(opens(mine), 0);
	shell("rm -rf $A", ws);
}

static void read_only_place(void)
{
	struct volume_options o = standard();
	struct volume *v;
	struct err err = { 0 };

	if (geteuid() != 0)
		return;
	shell("mkdir $A && mount -t tmpfs none $A", ws);
	CHECK_EQ(create(&o), 0); /* a mount point */
	shell("mount -o remount,ro $A", ws);
	CHECK_EQ(open_as(mine, &v, &err), 0);
	CHECK(volume_read_only(v));
	volume_close(v);
	shell("umount $A && rmdir $A", ws);
	/* A disk that is too small: refused, and nothing stays behind. */
	shell("mkdir $A && mount -t tmpfs -o size=256k none $A", ws);
	CHECK_EQ(create(&o), -ENOSPC);
	shell("test -z \"$(ls -A $A)\" && umount $A && rmdir $A", ws);
}

int main(void)
{
	CHECK_EQ(secret_setup(NULL), 0);
	CHECK(mkdtemp(dir) != NULL);
	snprintf(ws, sizeof(ws), "%s/ws", dir);
	snprintf(mine, sizeof(mine), "%s/mine.json", dir);
	snprintf(theirs, sizeof(theirs), "%s/theirs.json", dir);
	creation();
	places();
	leftovers();
	kills();
	lock();
	edits();
	hand_edits();
	cut_edit();
	config_damage();
	passphrases();
	slots();
	recipients();
	read_only_place();
	shell("rm -rf $A", dir);
	return check_report();
}
