/* A full disk, a backing quota and a failing disk, met by every change of the outputs: each call
 * that it makes to the store fails in turn.  Then the errno is the disk's own, the change is done
 * or not done, nothing else has changed, the sums are right, nothing is left over, and the next
 * attempt succeeds.
 *
 * The caches of names and nodes are empty (cold) or know everything (warm).
 *
 *   test_out_full all                            errors that differ little from others, too
 *   test_out_full store                          mount and unmount alone
 *   test_out_full OPERATION [MODE AT ERRNO WARM] one of them, one injection */
#include "tests/unit/fsck_kit.h"

#include <dirent.h>

#include "base/cleanup.h"
#include "fs/out_int.h"
#include "tests/unit/out_ops.h"

static struct kit kit;
static struct scene scene;
static unsigned injections, whole, undone, left_over;
static struct view before, after, now, before2;

/* One injection, for the messages. */
static struct {
	const struct op *op;
	enum fault_mode mode;
	unsigned at;
	int code;
	bool warm;
	bool said;
} in;

static const char *const mode_names[] = { "once", "cut", "full", "dead" };

static void say(const char *what, const struct view *want, const struct view *have)
{
	fprintf(stderr, "%s: %s %s at %u (%s), %s: %s\n", in.op->name, strerrorname_np(in.code),
		mode_names[in.mode], in.at, fault.what, in.warm ? "warm" : "cold", what);
	if (want)
		view_diff(want, have);
	CHECK(!"as promised");
}

static bool same(const char *what, const struct view *want, const struct view *have)
{
	if (strcmp(want->text, have->text) == 0)
		return true;
	say(what, want, have);
	return false;
}

static void log_line(void *ctx, const char *line)
{
	kit_line(ctx, line);
}

static void open_out(void)
{
	struct out_params p = { .store = kit.s,
				.quota = kit.quota,
				.keys = &fsck_kit_keys,
				.flat = scene.flat,
				.log = log_line,
				.log_ctx = &kit };
	const struct out_ids ids = { OUT_IDS_ALL, (uid_t)-1, (gid_t)-1, 0 };
	struct err err = { 0 };

	CHECK_EQ(out_new(&p, &scene.o, &err), 0);
	if (scene.root)
		out_set_ids(scene.o, &ids);
	/* Half of it as on a backing that syncs one inode alone (doc/format.md 5.8). */
	scene.o->sides.ordered = !in.warm;
	scene.s = kit.s;
}

static void open_all(void)
{
	if (kit_store_open(&kit) < 0)
		exit(99);
	store_bg_stop(kit.s);
	open_out();
}

static unsigned entries_of(const char *dir)
{
	int fd = openat(kit.dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclosedir DIR *d = fdopendir(fd);
	unsigned n = 0;

	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	return n;
}

static unsigned descriptors(void)
{
	autoclosedir DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	return n;
}

/* Nobody has the store open. The number of orphans; anything else is wrong. */
static unsigned check_store(const char *when, bool repair)
{
	struct fsck_seen seen = { .real_names = true, .has_ids = !scene.flat };
	int r = fsck_kit_run(&kit, repair, &seen);

	if (r < 0 || seen.damage || seen.unreadable || seen.unsynced || seen.unclean ||
	    seen.quota || seen.foreign) {
		say(when, NULL, NULL);
		fprintf(stderr, "    fsck: %d: %s\n", r, seen.first);
	}
	return seen.orphan;
}

/* -- one injection -------------------------------------------------------- */

static void begin(void)
{
	kit_start(&kit, SUITE_XCHACHA20, 128, kit_numbered_io(KIT_APART));
	store_bg_stop(kit.s);
	open_out();
	make_tree(&scene);
	/* Half of it with the state to be written first, and each file to be marked. */
	CHECK_EQ(in.warm ? store_make_clean(kit.s) : store_checkpoint(kit.s), 0);
	if (in.warm) {
		view_take(scene.o, kit.quota, &now);
	} else {
		out_free(scene.o);
		open_out();
	}
	kit.lines = 0;
}

/* The daemon ends, as it should or at once, and comes back. */
static void reopen(bool crash)
{
	out_free(scene.o);
	if (crash) {
		store_abandon(kit.s);
		kit.s = NULL;
	} else {
		CHECK_EQ(kit_close(&kit), 0);
		check_store("the store is not whole", false);
	}
	open_all();
}

static ino_t log_ino(void)
{
	struct stat st;

	return fstatat(kit.dirfd, "log", &st, 0) == 0 ? st.st_ino : 0;
}

/* What must hold as soon as the operation has answered. */
static void judge_answer(int r)
{
	bool failed = store_failed(kit.s), data = in.op->flags & OP_DATA;
	bool sync = strstr(fault.what, "sync") != NULL;
	/* It is allocated from the start: a log that cannot be written is not full, it is broken.
	 */
	bool broken = in.code == EIO || in.mode == FAULT_DEAD || sync || fault.ino == log_ino();

	if (r != 0 && r != -in.code && !(data && r == -EAGAIN) && !(sync && r == -EIO) &&
	    !(failed && (r == -EIO || r == -EROFS))) {
		say("the errno is another", NULL, NULL);
		fprintf(stderr, "    errno %d\n", -r);
	}
	if (failed && !broken)
		say("the store failed", NULL, NULL);
	if (!failed && kit.lines > 0)
		say("something was logged", NULL, NULL);
}

/* The change is done or not. True: it is not, and can be tried again. */
static bool judge_effect(int r)
{
	bool data = in.op->flags & OP_DATA;

	view_take(scene.o, kit.quota, &now);
	if (r == 0) {
		whole++;
		/* A size that is set is set, though the time of that could not be. */
		if (!(in.op->flags & OP_LAZY && strstr(fault.what, "utimens")))
			same("it is not done", &after, &now);
		return false;
	}
	undone++;
	if (!data && !(in.mode == FAULT_DEAD && in.op->flags & (OP_MAKES | OP_MANY)))
		same("something has changed", &before, &now);
	return true;
}

static void judge_again(void)
{
	bool made = strcmp(now.text, before.text) != 0;
	int r = in.op->run(&scene);

	if (r == -EEXIST && made && in.op->flags & OP_MAKES)
		return;
	if (r < 0) {
		say("it fails again", NULL, NULL);
		fprintf(stderr, "    errno %d\n", -r);
		return;
	}
	view_take(scene.o, kit.quota, &now);
	same("the second attempt is not right", &after, &now);
}

static void end(void)
{
	struct quota_usage u;
	unsigned orphans, left;

	if (view_clear(scene.o, 1) < 0)
		say("something cannot be removed", NULL, NULL);
	quota_get(kit.quota, &u);
	if (u.bytes || u.files)
		say("the sums are not zero", NULL, NULL);
	out_free(scene.o);
	CHECK_EQ(kit_close(&kit), 0);
	left = entries_of("t") + entries_of("l");
	if (left > 0 || in.at == 0) {
		orphans = check_store("the empty store is not whole", true);
		left_over += orphans;
		if (left != orphans)
			say("something is left that is no orphan", NULL, NULL);
		if (orphans && !strstr("unlinkat", fault.what) && in.mode != FAULT_DEAD)
			say("an orphan", NULL, NULL);
		if (entries_of("t") + entries_of("l") != 0)
			say("an orphan stays", NULL, NULL);
	}
	kit_end(&kit);
}

/* Returns the number of calls that the operation made. */
static unsigned inject(void)
{
	unsigned fds = descriptors(), calls;
	bool again = false;
	int r;

	begin();
	now.no_times = after.no_times = in.op->flags & OP_DATA;
	fault_arm(in.mode, in.at, in.code);
	r = in.op->run(&scene);
	fault_disarm();
	calls = fault.count;
	if (in.at == 0) {
		CHECK_EQ(r, 0);
		view_take(scene.o, kit.quota, &after);
	} else if (fault.fired) {
		bool failed = store_failed(kit.s), crash = failed || in.at % 2;

		injections++;
		judge_answer(r);
		again = judge_effect(r);
		reopen(crash);
		before2 = now;
		view_take(scene.o, kit.quota, &now);
		if (!failed && !(crash && in.op->flags & (OP_DATA | OP_LAZY)))
			same("it does not last", &before2, &now);
	}
	if (again)
		judge_again();
	end();
	if (descriptors() != fds)
		say("descriptors are left open", NULL, NULL);
	return calls;
}

/* -- the store as a whole ------------------------------------------------- */

static const struct op op_unmount = { "unmount", op_checkpoint, OP_DATA };
static const struct op op_mount = { "mount after a crash", op_checkpoint, OP_DATA };

/* Synced, and all of it still in the log. */
static void change_much(void)
{
	CHECK_EQ(op_write_sync(&scene), 0);
	CHECK_EQ(op_overwrite(&scene), 0);
	CHECK_EQ(op_cut_time(&scene), 0);
	CHECK_EQ(op_append_sync(&scene), 0);
	CHECK_EQ(op_create_write(&scene), 0);
	CHECK_EQ(op_rename_into(&scene), 0);
	CHECK_EQ(store_commit_all(kit.s, false), 0);
}

/* The way out, or the way in after a crash, fails: whoever comes next finds everything. */
static unsigned inject_whole(void)
{
	unsigned fds = descriptors(), calls;
	bool in_way = in.op == &op_mount;
	struct err err = { 0 };
	int r;

	begin();
	change_much();
	now.no_times = before2.no_times = true;
	view_take(scene.o, kit.quota, &before2);
	out_free(scene.o);
	if (in_way)
		store_abandon(kit.s);
	fault_arm(in.mode, in.at, in.code);
	r = in_way ? store_open(kit.dirfd, &kit.p, &kit.s, &err) : store_close(kit.s, &err);
	fault_disarm();
	calls = fault.count;
	if (in.at > 0 && fault.fired) {
		injections++;
		undone += r < 0;
		whole += r == 0;
		if (r < 0 && r != -in.code && r != -EIO && r != -EROFS)
			say("the errno is another", NULL, NULL);
		if (r < 0 && !err.text[0])
			say("without a sentence", NULL, NULL);
	} else {
		CHECK_EQ(r, 0);
	}
	if (in_way && r == 0)
		store_abandon(kit.s);
	open_all();
	view_take(scene.o, kit.quota, &now);
	same("not all is there", &before2, &now);
	end();
	if (descriptors() != fds)
		say("descriptors are left open", NULL, NULL);
	return calls;
}

/* The header of a new file found no room when it was closed: it does not take the place of what a
 * crash would leave, unless it finds room now. */
static void rename_unsettled(void)
{
	static const struct op op = { "rename of what is only in memory", NULL, 0 };
	uint64_t id;

	in.op = &op;
	in.warm = false;
	begin();
	fault_arm(FAULT_ONCE, 4, ENOSPC); /* the name, its mark, a sync of that, the header */
	CHECK_EQ(make(&scene, "new", 0644, &ops_me, 0), 0);
	CHECK_STR(fault.what, "pwrite");
	fault_arm(FAULT_ONCE, 1, ENOSPC);
	CHECK_EQ(move(&scene, "new", "file", 0), -ENOSPC);
	CHECK_STR(fault.what, "pwrite");
	fault_disarm();
	CHECK_EQ(unlink_one(scene.o, 1, "new"), 0);
	now.no_times = false;
	view_take(scene.o, kit.quota, &now);
	same("something has changed", &before, &now);
	CHECK_EQ(make(&scene, "new", 0644, &ops_me, 0), 0);
	CHECK_EQ(move(&scene, "new", "file", 0), 0);
	reopen(true);
	CHECK_EQ(find(&scene, "file", &id), 0);
	end();
}

/* -- all ------------------------------------------------------------------ */

enum { COLD = 1, WARM = 2, BOTH = COLD | WARM };

static const struct {
	enum fault_mode mode;
	int code;
	int when; /* in the normal run */
} faults[] = {
	{ FAULT_ONCE, ENOSPC, BOTH }, { FAULT_ONCE, EDQUOT, COLD }, { FAULT_ONCE, EIO, COLD },
	{ FAULT_CUT, ENOSPC, WARM },  { FAULT_FULL, ENOSPC, WARM }, { FAULT_FULL, EDQUOT, COLD },
	{ FAULT_DEAD, ENOSPC, 0 },    { FAULT_DEAD, EIO, COLD },
};

static void sweep_whole(const struct op *op, bool all)
{
	in.op = op;
	in.warm = false;
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		unsigned calls;

		if (!all && faults[i].code == EDQUOT)
			continue;
		in.at = 0;
		calls = inject_whole();
		in.mode = faults[i].mode;
		in.code = faults[i].code;
		for (in.at = 1; in.at <= calls; in.at++)
			inject_whole();
	}
}

static void sweep(const struct op *op, bool all)
{
	unsigned skip = (scene.flat ? OP_XATTR : 0) | (scene.root ? 0 : OP_ROOT);

	if (op->flags & skip)
		return;
	for (int warm = 0; warm < 2; warm++) {
		unsigned calls;

		in.op = op;
		in.warm = warm;
		in.at = 0;
		calls = inject();
		for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
			if (!all && !(faults[i].when & (warm ? WARM : COLD)))
				continue;
			in.mode = faults[i].mode;
			in.code = faults[i].code;
			for (in.at = 1; in.at <= calls; in.at++)
				inject();
		}
	}
}

static void look_around(void)
{
	char value[1] = "x";

	scene.root = geteuid() == 0;
	kit_start(&kit, SUITE_XCHACHA20, 128, NULL);
	store_bg_stop(kit.s);
	scene.flat = fsetxattr(kit.tree, "user.wfs.test", value, 1, 0) < 0;
	if (!scene.flat)
		(void)fremovexattr(kit.tree, "user.wfs.test");
	open_out();
	make_tree(&scene);
	view_take(scene.o, kit.quota, &before);
	out_free(scene.o);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
}

int main(int argc, char **argv)
{
	ops_init();
	look_around();
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		bool all = argc > 1 && strcmp(argv[1], "all") == 0;

		if (argc > 1 && !all && strcmp(argv[1], ops[i].name) != 0)
			continue;
		if (argc < 6) {
			sweep(&ops[i], argc > 1);
			continue;
		}
		in.op = &ops[i];
		in.warm = atoi(argv[5]);
		in.at = 0;
		inject();
		in.mode = (enum fault_mode)atoi(argv[2]);
		in.at = (unsigned)atoi(argv[3]);
		in.code = atoi(argv[4]);
		inject();
	}
	if (argc == 1 || strcmp(argv[1], "all") == 0 || strcmp(argv[1], "store") == 0) {
		sweep_whole(&op_unmount, argc > 1);
		sweep_whole(&op_mount, argc > 1);
		rename_unsettled();
	}
	printf("%u injections: %u done all the same, %u undone, %u orphans%s%s\n", injections,
	       whole, undone, left_over, scene.flat ? "; no xattrs here" : "",
	       scene.root ? "" : "; not root, no owners");
	return check_report();
}
