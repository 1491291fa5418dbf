/* A full disk, a backing quota and a failing disk, met by what changes a workspace as a whole: each
 * call of making one, of an edit of its settings and of its key slots fails in turn.  Then it is
 * done or not done, memory and disk say the same, nothing is left over, and the next attempt
 * succeeds. */
#include "fs/volume.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fs/settings.h"
#include "fs/store.h"
#include "keys/secret.h"
#include "tests/check.h"
#include "tests/unit/fault_kit.h"

static char dir[200], ws[230], identity[230];
static unsigned injections, stands;
static const char *op_name;

static void say(const char *what, int r)
{
	fprintf(stderr, "%s: %s, mode %d, at %u (%s): %s (%d)\n", op_name,
		strerrorname_np(fault.code), (int)fault.mode, fault.at, fault.what, what, r);
	CHECK(!"as promised");
}

static void shell(const char *script)
{
	setenv("D", dir, 1);
	setenv("W", ws, 1);
	CHECK_EQ(system(script), 0);
}

static int create(void)
{
	struct volume_options o = {
		.path = ws, .cipher = "xchacha20", .ring_pages = 128, .identity_path = identity
	};
	autojson json_t *report = NULL;
	struct err err = { 0 };
	int r = volume_create(&o, &report, &err);

	CHECK(r == 0 || err.text[0]);
	return r;
}

static int open_volume(struct volume **v)
{
	struct volume_unlock u = { .identity_path = identity, .no_prompt = true };
	struct err err = { 0 };
	int r = volume_open(ws, &u, v, &err);

	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	return r;
}

/* A slot's file that could not be removed is told, and opens nothing. */
static void complain(void *ctx, const char *file, const char *what)
{
	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "    %s %s\n", file, what);
	++*(unsigned *)ctx;
}

/* Settings and slots, as text. */
static char *state_of(struct volume *v)
{
	autojson json_t *slots = NULL;
	autofree char *a = json_canonical(volume_settings(v)), *b = NULL;
	struct err err = { 0 };

	CHECK_EQ(volume_key_list(v, &slots, &err), 0);
	b = json_canonical(slots);
	return str_printf("%s\n%s", a, b);
}

/* Files of the workspace but the store's, and temporary ones. */
static void count_files(const char *sub, unsigned *all, unsigned *temporary)
{
	autofree char *path = str_printf("%s/%s", ws, sub);
	autoclosedir DIR *d = opendir(path);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		++*all;
		*temporary += strstr(e->d_name, ".new") != NULL;
	}
}

/* -- edits ---------------------------------------------------------------- */

static char slot[64];

static int edit(struct volume *v)
{
	autojson json_t *s = json_deep_copy(volume_settings(v)), *value = json_integer(777);
	struct err err = { 0 };
	int r = settings_set(s, "quota.files", value, &err);

	if (r == 0)
		r = volume_edit(v, s, &err);
	CHECK(r == 0 || err.text[0]);
	return r;
}

static int add_slot(struct volume *v)
{
	char text[80];
	struct err err = { 0 };

	return volume_key_add_recovery(v, text, slot, &err);
}

static int remove_slot(struct volume *v)
{
	struct err err = { 0 };

	return volume_key_remove(v, slot, &err);
}

static const struct {
	const char *name;
	int (*run)(struct volume *v);
} edits[] = { { "edit", edit }, { "add a slot", add_slot }, { "remove a slot", remove_slot } };

/* What the volume says now, and what it says to the next one who opens it. */
static void compare(struct volume **v, const char *before, int r, bool done)
{
	autofree char *now = state_of(*v), *later = NULL;
	unsigned all = 0, temporary = 0, faults = 0;
	bool dying = fault.mode == FAULT_DEAD || strcmp(fault.what, "unlinkat") == 0;
	struct err err = { 0 };

	count_files("", &all, &temporary);
	count_files("keys", &all, &temporary);
	if (temporary && !dying)
		say("a temporary file stays", (int)temporary);
	if (r < 0 && !done && !dying && strcmp(now, before) != 0)
		say("not done, and yet", r);
	volume_close(*v);
	*v = NULL;
	r = open_volume(v);
	if (r < 0) {
		say("it does not open any more", r);
		exit(1);
	}
	later = state_of(*v);
	if (strcmp(now, later) != 0 && !dying) {
		say("it does not last", r);
		fprintf(stderr, "    was %s\n    is  %s\n", now, later);
	}
	CHECK_EQ(volume_key_check(*v, complain, &faults, &err), 0);
	if (faults && !dying)
		say("slots and list differ", (int)faults);
}

static bool inject_edit(unsigned i, enum fault_mode mode, unsigned at, int code)
{
	autofree char *before = NULL;
	struct volume *v = NULL;
	uint64_t counter;
	bool done;
	int r;

	op_name = edits[i].name;
	shell("rm -rf \"$W\" && cp -a \"$D/kept\" \"$W\"");
	CHECK_EQ(open_volume(&v), 0);
	if (edits[i].run == remove_slot)
		CHECK_EQ(add_slot(v), 0);
	before = state_of(v);
	counter = volume_conf_counter(v);
	fault_arm(mode, at, code);
	r = edits[i].run(v);
	fault_disarm();
	if (!fault.fired) {
		CHECK_EQ(r, 0);
		volume_close(v);
		return false;
	}
	injections++;
	done = volume_conf_counter(v) != counter;
	stands += r < 0 && done;
	if (r < 0 && r != -code)
		say("the errno is another", r);
	if (r == 0 && !done)
		say("neither done nor failed", r);
	/* Both files are there before the first gets its name. */
	if (r < 0 && done && mode == FAULT_FULL && strcmp(fault.what, "renameat") != 0)
		say("a full disk comes in between", r);
	compare(&v, before, r, done);
	if (r < 0 && !(done && edits[i].run == remove_slot)) {
		r = edits[i].run(v);
		if (r < 0)
			say("it fails again", r);
	}
	volume_close(v);
	return true;
}

/* -- making --------------------------------------------------------------- */

static bool inject_create(enum fault_mode mode, unsigned at, int code)
{
	unsigned all = 0, temporary = 0;
	struct volume *v = NULL;
	int r;

	op_name = "create";
	shell("rm -rf \"$W\"");
	fault_arm(mode, at, code);
	r = create();
	fault_disarm();
	if (!fault.fired) {
		CHECK_EQ(r, 0);
		return false;
	}
	injections++;
	/* What the disk lacks is tried, too: that it lacks something is a sentence of its own. */
	if (r < 0 && r != -code && r != -EOPNOTSUPP)
		say("the errno is another", r);
	count_files("", &all, &temporary);
	if (r < 0 && all > 0 && mode != FAULT_DEAD && strcmp(fault.what, "unlinkat") != 0)
		say("something is left", (int)all);
	if (r < 0)
		r = create();
	/* Whole, but for the last sync: it could not be taken away again. */
	if (r < 0 && !(r == -EEXIST && mode == FAULT_DEAD)) {
		say("it cannot be made anew", r);
		return true;
	}
	CHECK_EQ(open_volume(&v), 0);
	volume_close(v);
	return true;
}

/* -- all ------------------------------------------------------------------ */

static const struct {
	enum fault_mode mode;
	int code;
} faults[] = {
	{ FAULT_ONCE, ENOSPC }, { FAULT_ONCE, EDQUOT }, { FAULT_ONCE, EIO },
	{ FAULT_FULL, ENOSPC }, { FAULT_DEAD, EIO },
};

int main(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	secret_setup(NULL);
	snprintf(dir, sizeof(dir), "%s/sbx-unit-XXXXXX", base);
	if (!mkdtemp(dir))
		return 99;
	snprintf(ws, sizeof(ws), "%s/ws", dir);
	snprintf(identity, sizeof(identity), "%s/id", dir);
	CHECK_EQ(create(), 0);
	shell("cp -a \"$W\" \"$D/kept\"");
	for (size_t k = 0; k < sizeof(faults) / sizeof(faults[0]); k++) {
		for (unsigned i = 0; i < sizeof(edits) / sizeof(edits[0]); i++)
			for (unsigned at = 1; inject_edit(i, faults[k].mode, at, faults[k].code);
			     at++)
				;
		for (unsigned at = 1; inject_create(faults[k].mode, at, faults[k].code); at++)
			;
	}
	shell("rm -rf \"$D\"");
	printf("%u injections, %u changes that stand although they failed\n", injections, stands);
	return check_report();
}
