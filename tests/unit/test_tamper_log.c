/* As test_tamper.c, for a store that was not closed, whose log recovery reads; and for the keys,
 * the config and the settings.
 *
 * Who can write a store that was not closed can do what a crash could: drop the newest of the log,
 * zero or cut what was not durable.  Recovery says so for each file.  Nothing else may come of it.
 */
#include "tests/unit/tamper_judge.h"

#include <dirent.h>

#include "base/fd.h"

/* A file that was emptied is a new one: it has no attributes. */
#define LIKE_A_CRASH (MAY(OLDER) | MAY(ZEROS) | MAY(CUT_OFF) | MAY(REMOVED))

/* -- a store that was not closed ------------------------------------------ */

/* The store as the crash left it, and as it was closed before. */
static uint8_t *crashed_log, *closed_log;
static uint8_t *crashed[NITEMS], *closed[NITEMS];
static size_t crashed_len[NITEMS], closed_len[NITEMS], log_used;

/* Was the last write to it synced? */
static bool synced(size_t i)
{
	return i % 6 != 3;
}

static void crash(void)
{
	for (size_t i = 0; i < NITEMS; i++)
		if (S_ISREG(items[i].type))
			closed[i] = slurp(items[i].place, &closed_len[i]);
	closed_log = slurp("log", &log_len);
	/* Version 1 over version 0 or itself: what is durable in the log alone is the same as what
	 * is at home, so each is told from older and from false ones. */
	CHECK_EQ(tk_open(&k, false), 0);
	for (size_t i = 0; i < NITEMS; i++) {
		struct out_entry e;

		CHECK_EQ(tk_lookup(&k, items[i].path, &e), 0);
		if (!S_ISREG(items[i].type))
			continue;
		tk_write(&k, &items[i], i % 3 == 0 ? 0 : 1, e.nodeid, true);
		if (i % 3 == 0)
			tk_write(&k, &items[i], 1, e.nodeid, synced(i));
	}
	tk_close(&k, true);
	for (size_t i = 0; i < NITEMS; i++)
		if (S_ISREG(items[i].type))
			crashed[i] = slurp(items[i].place, &crashed_len[i]);
	crashed_log = slurp("log", &log_len);
	for (size_t at = 0; at < log_len; at += BLOCK_SIZE)
		if (memcmp(crashed_log + at, closed_log + at, BLOCK_SIZE) != 0)
			log_used = at / BLOCK_SIZE + 1;
}

static void restore_crash(void)
{
	for (size_t i = 0; i < NITEMS; i++)
		if (S_ISREG(items[i].type))
			put(items[i].place, crashed[i], crashed_len[i]);
	put("log", crashed_log, log_len);
}

/* Recovery may touch every file, so every file may suffer; what it takes away it says. */
static void judge_crash(const char *kind, const char *detail)
{
	struct kind *x = kind_of(kind);
	enum outcome worst = RIGHT;
	int r;

	if (left_to_others()) {
		restore_crash();
		return;
	}
	r = tk_open(&k, false);
	x->tried++;
	check_count++;
	if (r < 0) {
		x->got[REFUSED]++;
		CHECK(k.sentence[0]);
	}
	for (size_t i = 0; i < NITEMS && r == 0; i++) {
		enum outcome o = tk_look(&k, &items[i]);

		if (o == UNREADABLE && !S_ISREG(items[i].type))
			o = WRONG;
		if (!((LIKE_A_CRASH | MAY(RIGHT) | MAY(UNREADABLE)) & MAY(o)))
			complain(kind, &items[i], o, detail);
		if ((o == ZEROS || o == CUT_OFF) && !tk_named(&k, &items[i]))
			complain("no line of the log", &items[i], o, detail);
		worst = tk_worse(worst, o);
	}
	if (r == 0)
		x->got[worst]++;
	tk_close(&k, true);
	restore_crash();
}

static void log_pages(void)
{
	uint8_t *b = malloc(log_len);
	char detail[32];

	for (size_t p = 0; p < log_used; p++) {
		uint8_t *at = b + p * BLOCK_SIZE;
		size_t other = 2 + pick(log_used - 2);

		snprintf(detail, sizeof(detail), "page %zu", p);
		for (int way = k.pad && p % 2; way < 6; way += 1 + k.pad) {
			memcpy(b, crashed_log, log_len);
			if (way == 0)
				at[pick(p < 2 ? 128 : BLOCK_SIZE)] ^= (uint8_t)(1u << pick(8));
			else if (way == 1)
				memset(at, 0, BLOCK_SIZE);
			else if (way == 2)
				randombytes_buf(at, BLOCK_SIZE);
			else if (way == 3)
				memcpy(at, crashed_log + other * BLOCK_SIZE, BLOCK_SIZE);
			else if (way == 4)
				exchange(at, b + other * BLOCK_SIZE, BLOCK_SIZE);
			else
				memcpy(at, closed_log + p * BLOCK_SIZE, BLOCK_SIZE);
			put("log", b, log_len);
			judge_crash(way == 0   ? "crash, log: a bit flipped"
				    : way == 1 ? "crash, log: a page of zeros"
				    : way == 2 ? "crash, log: a page of noise"
				    : way == 3 ? "crash, log: a copy of another page"
				    : way == 4 ? "crash, log: pages exchanged"
					       : "crash, log: an older page",
				    detail);
		}
	}
	put("log", closed_log, log_len);
	judge_crash("crash, log: all of it older", "");
	memcpy(b, crashed_log, log_len);
	memcpy(b + BLOCK_SIZE * 2, closed_log + BLOCK_SIZE * 2, log_len - BLOCK_SIZE * 2);
	put("log", b, log_len);
	judge_crash("crash, log: an older ring", "");
	memset(b, 0, 2 * BLOCK_SIZE);
	put("log", b, log_len);
	judge_crash("crash, log: no state", "");
	free(b);
}

static void home_pages(void)
{
	for (size_t i = 0; i < NITEMS; i++) {
		struct item *it = &items[i];
		uint8_t *b;

		if (!S_ISREG(it->type))
			continue;
		b = malloc(crashed_len[i] + 1);
		for (size_t p = 0; p * BLOCK_SIZE < crashed_len[i]; p += p < 3 ? 1 : 1 + k.pad) {
			uint8_t *at = b + p * BLOCK_SIZE;
			size_t len = crashed_len[i] - p * BLOCK_SIZE;

			len = len < BLOCK_SIZE ? len : BLOCK_SIZE;
			memcpy(b, crashed[i], crashed_len[i]);
			at[pick(len)] ^= (uint8_t)(1u << pick(8));
			put(it->place, b, crashed_len[i]);
			judge_crash("crash, file: a bit flipped", it->path);
			memset(at, 0, len);
			put(it->place, b, crashed_len[i]);
			judge_crash("crash, file: a page of zeros", it->path);
			memcpy(at, crashed[i] + p * BLOCK_SIZE, len);
			put(it->place, b, p * BLOCK_SIZE);
			judge_crash("crash, file: cut", it->path);
		}
		put(it->place, closed[i], closed_len[i]);
		judge_crash("crash, file: its older version", it->path);
		free(b);
	}
}

/* An entry marked with the epoch of the crash looks like one that was being written. */
static void marked_entries(void)
{
	static const char *const paths[] = { "small", "groups", "sparse" };

	for (size_t i = 0; i < 3; i++) {
		struct item *it = by_path(paths[i]);
		size_t n = (size_t)(it - items);
		uint8_t *b = malloc(crashed_len[n]);

		for (uint64_t block = 0; block < blockmap_count(it->size[1]); block += 7) {
			memcpy(b, crashed[n], crashed_len[n]);
			memcpy(b + blockmap_entry_off(block), b + 32, 4); /* the header's */
			b[blockmap_data_off(block)] ^= 1;
			put(it->place, b, crashed_len[n]);
			judge_crash("crash, entry: marked as unfinished", it->path);
		}
		free(b);
	}
}

/* -- keys, config, settings ----------------------------------------------- */

static json_t *settings;

static void judge_volume(const char *kind, const char *file, const char *detail)
{
	struct kind *x = kind_of(kind);

	if (left_to_others())
		return;
	x->tried++;
	check_count++;
	k.sentence[0] = 0;
	if (tk_open_volume(&k) < 0) {
		x->got[REFUSED]++;
		CHECK(k.sentence[0]);
		return;
	}
	/* Not noticed: then nothing that matters was changed. */
	if (!json_equal(volume_settings(k.v), settings) || tk_open(&k, false) < 0 ||
	    tk_look(&k, by_path("small")) != RIGHT) {
		x->got[WRONG]++;
		complain(kind, by_path("small"), WRONG, file);
	} else {
		x->got[RIGHT]++;
	}
	tk_close(&k, true);
	volume_close(k.v);
	k.v = NULL;
}

static void file_path(const char *name, char out[static 700])
{
	snprintf(out, 700, "%s/%s", k.ws, name);
}

static void write_file(const char *name, const char *bytes, size_t len)
{
	char path[700];
	int fd;

	file_path(name, path);
	(void)remove(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	close(fd);
}

static void other_things(const char *name)
{
	char path[700];

	file_path(name, path);
	for (int way = 0; way < 3; way++) {
		(void)remove(path);
		if (way == 1)
			CHECK_EQ(mkfifo(path, 0600), 0);
		else if (way == 2)
			CHECK_EQ(symlink("/etc/passwd", path), 0);
		judge_volume("keys, settings: removed, or of another type", name, "");
	}
}

static void one_file(const char *name, const char *other_ws)
{
	char path[700], other[900], *was = NULL, *b;
	size_t len = 0, n;

	file_path(name, path);
	CHECK_EQ(fd_read_file(AT_FDCWD, path, 1 << 20, &was, &len, NULL), 0);
	b = malloc(len + 16);
	for (size_t at = 0; at < len; at++) {
		memcpy(b, was, len);
		b[at] ^= (char)(1u << pick(8));
		write_file(name, b, len);
		judge_volume("keys, settings: a bit flipped in each byte", name, "");
	}
	memcpy(b, was, len);
	memset(b + len, 'x', 16);
	for (size_t cut = 0; cut < len; cut += 1 + len / 40) {
		write_file(name, b, cut);
		judge_volume("keys, settings: cut", name, "");
	}
	write_file(name, b, len + 16);
	judge_volume("keys, settings: extended", name, "");
	free(b);
	b = NULL;
	other_things(name);
	snprintf(other, sizeof(other), "%s/%s", other_ws, name);
	if (fd_read_file(AT_FDCWD, other, 1 << 20, &b, &n, NULL) == 0) {
		write_file(name, b, n);
		judge_volume("keys, settings: those of another workspace", name, "");
		free(b);
	}
	write_file(name, was, len);
	free(was);
}

/* The names of the slots differ: take what is there. */
static void the_slots(const char *other_ws)
{
	char path[700], name[400];
	struct dirent *e;
	DIR *d;

	file_path("keys", path);
	d = opendir(path);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.' || !strstr(e->d_name, ".json"))
			continue;
		snprintf(name, sizeof(name), "keys/%s", e->d_name);
		one_file(name, other_ws);
	}
	closedir(d);
}

/* A second way in, whose slot may be damaged without harm. */
static void add_recovery(void)
{
	char text[80], slot[64];
	struct err err = { 0 };

	CHECK_EQ(tk_open(&k, false), 0);
	CHECK_EQ(volume_key_add_recovery(k.v, text, slot, &err), 0);
	CHECK_EQ(store_set_conf_counter(k.s, volume_conf_counter(k.v)), 0);
	tk_close(&k, false);
}

static void exchanged_keys(const char *other_ws)
{
	char mine[700], theirs[900];

	file_path("keys", mine);
	snprintf(theirs, sizeof(theirs), "%s/keys", other_ws);
	CHECK_EQ(renameat2(AT_FDCWD, mine, AT_FDCWD, theirs, 2 /* RENAME_EXCHANGE */), 0);
	judge_volume("keys, settings: all keys of another workspace", "keys", "");
	CHECK_EQ(renameat2(AT_FDCWD, mine, AT_FDCWD, theirs, 2), 0);
	file_path("store", mine);
	snprintf(theirs, sizeof(theirs), "%s/store", other_ws);
	CHECK_EQ(renameat2(AT_FDCWD, mine, AT_FDCWD, theirs, 2), 0);
	CHECK_EQ(tk_open_volume(&k), 0);
	CHECK_EQ(tk_open(&k, false), -EBADMSG);
	CHECK(k.sentence[0]);
	tk_close(&k, true);
	volume_close(k.v);
	k.v = NULL;
	CHECK_EQ(renameat2(AT_FDCWD, mine, AT_FDCWD, theirs, 2), 0);
}

static void the_keys(void)
{
	struct volume_options o = { .cipher = k.cipher, .pad = k.pad, .ring_pages = 128 };
	char id[500], other[300];
	struct err err = { 0 };
	json_t *made = NULL;

	add_recovery();
	settings = json_deep_copy(volume_settings(k.v));
	volume_close(k.v);
	k.v = NULL;
	snprintf(id, sizeof(id), "%s.id", k.ws);
	snprintf(other, sizeof(other), "%s.other", k.ws);
	o.path = other;
	o.identity_path = id;
	CHECK_EQ(volume_create(&o, &made, &err), 0);
	json_decref(made);
	one_file("workspace.json", other);
	one_file("keys/config", other);
	the_slots(other);
	exchanged_keys(other);
	json_decref(settings);
	CHECK_EQ(tk_open_volume(&k), 0);
}

static void try_all(void)
{
	crash();
	restore_crash();
	CHECK_EQ(tk_open(&k, false), 0);
	for (size_t i = 0; i < NITEMS; i++)
		if (synced(i))
			CHECK_EQ(tk_look(&k, &items[i]), RIGHT);
	tk_close(&k, true);
	restore_crash();
	log_pages();
	home_pages();
	marked_entries();
	for (size_t i = 0; i < NITEMS; i++) {
		if (closed[i])
			put(items[i].place, closed[i], closed_len[i]);
		free(closed[i]);
		free(crashed[i]);
		closed[i] = crashed[i] = NULL;
	}
	put("log", closed_log, log_len);
	free(closed_log);
	free(crashed_log);
	the_keys();
}

int main(void)
{
	return campaigns(try_all);
}
