/* Makes the golden workspaces that were cut off at a chosen step of a protocol, once or twice.
 *
 * usage: make_crashed STEP WS        a new workspace (its identity in WS.id)
 *        make_crashed --list         the steps
 *
 * The system calls of the store go through a table that at the chosen moment writes a part of what
 * it is given, or nothing, and drops everything after it, as a disk does that lost its power. */
#include "tests/unit/tamper_kit.h"

#include <linux/falloc.h>
#include <sys/uio.h>

#include "fs/store_io.h"
#include "fs/store_priv.h"

/* -- the disk ------------------------------------------------------------- */

enum op { NO_OP, HOME_WRITE, RING_WRITE, STATE_WRITE, LOG_SYNC, HOME_SYNC, STORE_SYNC, HOME_CUT };

/* The n-th operation of this kind, counted from when it was set; of a write 'keep' bytes reach the
 * disk. With 'only', later operations of other kinds go on: a disk may do its writes in any order.
 */
static struct {
	enum op op;
	unsigned n;
	size_t keep;
	bool only, dead;
} cut;

static struct tk k = { .store_fd = -1 };

static bool is_log(int fd)
{
	struct stat a, b;

	return fstatat(k.store_fd, "log", &a, 0) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino;
}

/* Is this operation dropped?  '*ret_keep': bytes of it that are not. */
static bool lost(enum op op, size_t *ret_keep)
{
	*ret_keep = 0;
	if (cut.dead)
		return !cut.only || op == cut.op;
	if (op != cut.op || --cut.n > 0)
		return false;
	cut.dead = true;
	*ret_keep = cut.keep;
	return true;
}

static ssize_t disk_pwritev(void *ctx, int fd, const struct iovec *iov, int n, off_t off)
{
	enum op op = !is_log(fd) ? HOME_WRITE : off < 2 * BLOCK_SIZE ? STATE_WRITE : RING_WRITE;
	size_t keep, len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (!lost(op, &keep))
		return pwritev(fd, iov, n, off);
	for (int i = 0; i < n && keep > 0; i++) {
		size_t part = iov[i].iov_len < keep ? iov[i].iov_len : keep;

		if (pwrite(fd, iov[i].iov_base, part, off) != (ssize_t)part)
			abort();
		off += (off_t)part;
		keep -= part;
	}
	return (ssize_t)len;
}

/* What is synced is there already: only the moment counts. */
static int disk_sync(void *ctx, int fd)
{
	size_t keep;

	(void)lost(is_log(fd) ? LOG_SYNC : HOME_SYNC, &keep);
	return 0;
}

static int disk_syncfs(void *ctx, int fd)
{
	size_t keep;

	(void)lost(STORE_SYNC, &keep);
	return 0;
}

static int disk_ftruncate(void *ctx, int fd, off_t len)
{
	size_t keep;

	return lost(HOME_CUT, &keep) ? 0 : ftruncate(fd, len);
}

static int disk_fallocate(void *ctx, int fd, int mode, off_t off, off_t len)
{
	size_t keep;

	return lost(HOME_CUT, &keep) ? 0 : fallocate(fd, mode, off, len);
}

static const struct store_io disk = { .pwritev = disk_pwritev,
				      .fdatasync = disk_sync,
				      .fsync = disk_sync,
				      .syncfs = disk_syncfs,
				      .ftruncate = disk_ftruncate,
				      .fallocate = disk_fallocate };

static void cut_at(enum op op, unsigned n, size_t keep, bool only)
{
	cut.op = op;
	cut.n = n;
	cut.keep = keep;
	cut.only = only;
	cut.dead = false;
}

/* -- what is done --------------------------------------------------------- */

static struct item items[] = {
	{ "small", S_IFREG, { 5000, 5000 }, .has_xattr = true, .number = 1 },
	{ "large", S_IFREG, { 4 * 4096 + 9, 4 * 4096 + 9 }, .number = 2 },
	{ "sparse", S_IFREG, { 34 * 4096, 34 * 4096 }, .sparse = true, .number = 3 },
	{ "dir", S_IFDIR, { 0, 0 }, .number = 4 },
	{ "dir/untouched", S_IFREG, { 100, 100 }, .number = 5 },
	{ "link", S_IFLNK, { 30, 30 }, .number = 6 },
};
#define NITEMS (sizeof(items) / sizeof(items[0]))

static uint64_t id_of(const char *path)
{
	struct out_entry e;

	if (tk_lookup(&k, path, &e) < 0)
		abort();
	return e.nodeid;
}

static void rewrite(unsigned item, unsigned version, bool sync)
{
	tk_write(&k, &items[item], version, id_of(items[item].path), sync);
}

static uint64_t create_empty(void)
{
	struct out_entry e;
	struct node *n;

	if (out_create(k.o, TREE_ROOT_ID, "new", 0644, O_RDWR, &tk_who, &e, &n) < 0)
		abort();
	out_release(k.o, n, O_RDWR);
	return e.nodeid;
}

static void create(uint64_t size, bool sync)
{
	struct item it = { "new", S_IFREG, { size, size }, .number = 9 };

	tk_write(&k, &it, 0, create_empty(), sync);
}

static void resize(unsigned item, uint64_t size, bool sync)
{
	struct out_attr a = { .valid = OUT_SET_SIZE, .size = size };
	uint64_t id = id_of(items[item].path);
	struct stat st;
	struct node *n;

	if (out_setattr(k.o, id, &a, &st) < 0 || out_open(k.o, id, O_RDWR, &n) < 0)
		abort();
	if (sync && out_fsync(k.o, n, true) < 0)
		abort();
	out_release(k.o, n, O_RDWR);
}

static void punch(unsigned item)
{
	struct node *n;

	if (out_open(k.o, id_of(items[item].path), O_RDWR, &n) < 0 ||
	    out_fallocate(n, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 9000) < 0 ||
	    out_fsync(k.o, n, true) < 0)
		abort();
	out_release(k.o, n, O_RDWR);
}

static void created(void)
{
	cut_at(HOME_WRITE, 1, 0, false);
	create_empty();
}

static void direct_torn(void)
{
	create(3 * 4096, true);
	cut_at(HOME_WRITE, 1, 2500, false);
	resize(1, items[1].size[0] + 9000, false);
	rewrite(2, 1, false);
	store_commit_all(k.s, true);
}

static void new_file_torn(void)
{
	cut_at(HOME_WRITE, 2, 3000, true);
	create(4 * 4096 + 5, false);
	store_commit_all(k.s, true);
}

static void log_lost(void)
{
	rewrite(0, 1, true);
	cut_at(RING_WRITE, 1, 0, false);
	rewrite(1, 1, true);
}

static void log_torn_descriptor(void)
{
	rewrite(0, 1, true);
	cut_at(RING_WRITE, 1, 200, false);
	rewrite(1, 1, true);
}

static void log_torn_page(void)
{
	rewrite(0, 1, true);
	cut_at(RING_WRITE, 1, 3 * 4096 + 1000, false);
	rewrite(1, 1, true);
}

static void log_synced(void)
{
	cut_at(HOME_WRITE, 1, 0, true);
	rewrite(0, 1, true);
	rewrite(1, 1, true);
	rewrite(2, 1, true);
}

static void log_gap(void)
{
	cut_at(HOME_WRITE, 1, 0, true);
	rewrite(0, 1, true);
	/* The second batch is lost, the third is not. */
	cut_at(RING_WRITE, 1, 0, false);
	rewrite(2, 1, false);
	store_commit_all(k.s, true);
	cut_at(NO_OP, 1, 0, false);
	rewrite(1, 1, false);
	cut_at(HOME_WRITE, 1, 0, true);
	store_commit_all(k.s, true);
}

static void apply_torn(void)
{
	cut_at(HOME_WRITE, 2, 1700, false);
	rewrite(1, 1, true);
	store_commit_all(k.s, true);
}

static void shrunk(void)
{
	cut_at(HOME_WRITE, 1, 0, true);
	resize(1, 9001, true);
	resize(0, 0, true);
}

static void shrunk_half(void)
{
	cut_at(HOME_CUT, 1, 0, false);
	resize(1, 9001, true);
	store_commit_all(k.s, true);
}

static void punched(void)
{
	cut_at(HOME_WRITE, 1, 0, true);
	punch(1);
}

static void dead(void)
{
	rewrite(1, 1, true);
	cut_at(STATE_WRITE, 1, 0, false);
	store_reclaim(k.s);
}

static void wrapped(void)
{
	for (int i = 0; i < 24; i++) {
		rewrite(1, i % 2, true);
		store_reclaim(k.s);
	}
	cut_at(HOME_WRITE, 1, 0, true);
	rewrite(1, 1, true);
	rewrite(0, 1, true);
}

static void checkpoint_no_state(void)
{
	rewrite(1, 1, false);
	create(9000, false);
	cut_at(STATE_WRITE, 1, 0, false);
	store_checkpoint(k.s);
}

static void checkpoint_torn_state(void)
{
	rewrite(1, 1, true);
	cut_at(STATE_WRITE, 1, 70, false);
	store_checkpoint(k.s);
}

static void unlinked(void)
{
	int late;

	cut_at(HOME_WRITE, 1, 0, true);
	rewrite(0, 1, true);
	rewrite(1, 1, true);
	if (out_unlink(k.o, TREE_ROOT_ID, "small", &late) < 0)
		abort();
}

static void make_clean(void)
{
	rewrite(1, 1, false);
	create(9000, false);
	if (store_make_clean(k.s) < 0)
		abort();
}

/* Clean while idle: nothing is to be mended. */
static void idle_clean(void)
{
	make_clean();
}

static void idle_once(void)
{
	rewrite(1, 1, false);
	create(9000, false);
	cut_at(STATE_WRITE, 3, 64, false); /* the checkpoint's, the clean one, that one again */
	(void)store_make_clean(k.s);
}

static void idle_change_torn(void)
{
	make_clean();
	cut_at(STATE_WRITE, 1, 70, false);
	rewrite(0, 1, true);
}

static void idle_change(void)
{
	make_clean();
	cut_at(STATE_WRITE, 2, 0, true); /* the other slot goes on saying clean */
	rewrite(0, 1, true);
	cut_at(HOME_WRITE, 1, 0, true);
	rewrite(1, 0, true);
}

/* Crashes of the recovery itself, after one of the above. */
static void recover_cut(enum op op, unsigned n, size_t keep)
{
	log_synced();
	tk_close(&k, true);
	cut_at(op, n, keep, false);
	(void)tk_open(&k, false);
}

static void recover_first_walk(void)
{
	recover_cut(HOME_WRITE, 3, 1000);
}

static void recover_first_state(void)
{
	recover_cut(STATE_WRITE, 1, 0);
}

static void recover_mending(void)
{
	new_file_torn();
	tk_close(&k, true);
	cut_at(STORE_SYNC, 2, 0, false);
	(void)tk_open(&k, false);
}

static void recover_mend_log(void)
{
	new_file_torn();
	tk_close(&k, true);
	cut_at(RING_WRITE, 1, 300, false);
	(void)tk_open(&k, false);
}

static void recover_last_state(void)
{
	recover_cut(STATE_WRITE, 2, 64);
}

static const struct step {
	const char *name;
	void (*run)(void);
} steps[] = {
	{ "created", created },
	{ "direct-torn", direct_torn },
	{ "new-file-torn", new_file_torn },
	{ "log-lost", log_lost },
	{ "log-torn-descriptor", log_torn_descriptor },
	{ "log-torn-page", log_torn_page },
	{ "log-synced", log_synced },
	{ "log-gap", log_gap },
	{ "apply-torn", apply_torn },
	{ "shrunk", shrunk },
	{ "shrunk-half", shrunk_half },
	{ "punched", punched },
	{ "dead", dead },
	{ "wrapped", wrapped },
	{ "checkpoint-no-state", checkpoint_no_state },
	{ "checkpoint-torn-state", checkpoint_torn_state },
	{ "unlinked", unlinked },
	{ "idle-clean", idle_clean },
	{ "idle-once", idle_once },
	{ "idle-change-torn", idle_change_torn },
	{ "idle-change", idle_change },
	{ "twice-first-walk", recover_first_walk },
	{ "twice-first-state", recover_first_state },
	{ "twice-mending", recover_mending },
	{ "twice-mend-log", recover_mend_log },
	{ "twice-last-state", recover_last_state },
};

static int make(const char *name, const char *ws)
{
	char id[500];
	struct volume_options o = {
		.path = k.ws, .cipher = "xchacha20", .ring_pages = 128, .identity_path = id
	};
	struct err err = { 0 };
	json_t *report = NULL;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (strcmp(steps[i].name, name) != 0)
			continue;
		snprintf(k.ws, sizeof(k.ws), "%s", ws);
		snprintf(id, sizeof(id), "%s.id", ws);
		k.items = items;
		k.nitems = NITEMS;
		if (secret_setup(NULL) < 0 || quota_new(0, 0, &k.q) < 0 ||
		    volume_create(&o, &report, &err) < 0 || tk_open_volume(&k) < 0)
			return 1;
		k.io = &disk;
		if (tk_open(&k, false) < 0)
			return 1;
		for (size_t j = 0; j < NITEMS; j++)
			tk_make(&k, &items[j]);
		tk_close(&k, false);
		if (tk_open(&k, false) < 0)
			return 1;
		steps[i].run();
		if (cut.op != NO_OP && !cut.only && !cut.dead) {
			fprintf(stderr, "%s: the moment never came\n", name);
			return 1;
		}
		tk_close(&k, true);
		volume_close(k.v);
		return check_failures ? 1 : 0;
	}
	fprintf(stderr, "no such step: %s\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			puts(steps[i].name);
		return 0;
	}
	return argc == 3 ? make(argv[1], argv[2]) : 2;
}
