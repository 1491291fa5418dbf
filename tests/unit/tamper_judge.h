/* A workspace to tamper with, what may come of each kind of tampering, and the count of it. */
#pragma once

#include "tests/unit/tamper_kit.h"

#include <ftw.h>
#include <sys/xattr.h>
#include <time.h>

#include "keys/cipher.h"

#define NAME160                                                                                    \
	"n23456789012345678901234567890123456789012345678901234567890123456789012345678901"        \
	"234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define NAME200 NAME160 "-and-forty-more-which-makes-it-long-name"

static struct item items[] = {
	{ "empty", S_IFREG, { 0, 0 }, .number = 1 },
	{ "byte", S_IFREG, { 1, 1 }, .number = 2 },
	{ "small", S_IFREG, { 5000, 5000 }, .has_xattr = true, .number = 3 },
	{ "small2", S_IFREG, { 5000, 5000 }, .has_xattr = true, .number = 4 },
	{ "grown", S_IFREG, { 3000, 9000 }, .number = 5 },
	{ "groups", S_IFREG, { 105 * 4096 + 77, 105 * 4096 + 77 }, .number = 6 },
	{ "groups2", S_IFREG, { 105 * 4096 + 77, 105 * 4096 + 77 }, .number = 7 },
	{ "sparse", S_IFREG, { 60 * 4096, 60 * 4096 }, .sparse = true, .number = 8 },
	{ "dir", S_IFDIR, { 0, 0 }, .has_xattr = true, .number = 9 },
	{ "dir/in", S_IFREG, { 4096, 4096 }, .number = 10 },
	{ "dir/deep", S_IFDIR, { 0, 0 }, .number = 11 },
	{ "dir/deep/file", S_IFREG, { 12288, 12288 }, .has_xattr = true, .number = 12 },
	{ "dir2", S_IFDIR, { 0, 0 }, .has_xattr = true, .number = 13 },
	{ "dir2/in", S_IFREG, { 4096, 4096 }, .number = 14 },
	{ NAME160, S_IFREG, { 100, 100 }, .number = 15 },
	{ NAME200, S_IFREG, { 100, 100 }, .number = 16 },
	{ NAME200 "2", S_IFREG, { 100, 100 }, .number = 17 },
	{ "link", S_IFLNK, { 20, 20 }, .number = 18 },
	{ "link2", S_IFLNK, { 20, 20 }, .number = 19 },
	{ "longlink", S_IFLNK, { 3500, 3500 }, .number = 20 },
	{ "longlink2", S_IFLNK, { 4095, 4095 }, .number = 21 },
};
#define NITEMS (sizeof(items) / sizeof(items[0]))

static struct tk k = { .store_fd = -1, .items = items, .nitems = NITEMS };
static char top[64];
static uint64_t rnd;
static uint8_t *log_bytes[VERSIONS];
static size_t log_len;

static uint64_t pick(uint64_t n)
{
	uint64_t z = (rnd += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (z ^ (z >> 31)) % n;
}

/* -- what was tried, and what came of it ---------------------------------- */

struct kind {
	const char *name;
	unsigned allowed; /* of what was tampered with; besides RIGHT, UNREADABLE and LEFT_OUT */
	unsigned long tried, got[OUTCOMES];
};

static struct kind kinds[64];

static struct kind *kind_of(const char *name)
{
	struct kind *x = kinds;

	while (x->name && strcmp(x->name, name) != 0)
		x++;
	x->name = name;
	return x;
}

static bool below(const struct item *it, const struct item *dir)
{
	size_t n = dir ? strlen(dir->path) : 0;

	return dir && (it == dir || (S_ISDIR(dir->type) && strncmp(it->path, dir->path, n) == 0 &&
				     it->path[n] == '/'));
}

static void complain(const char *kind, const struct item *it, enum outcome o, const char *detail)
{
	check_failures++;
	fprintf(stderr, "%s, %s (%s): %.20s (%s) is %s\n%s", kind, detail, k.cipher, it->path,
		it->place, outcome_names[o], k.lines);
}

/* In a slow build some of them will do. */
static bool left_to_others(void)
{
	static unsigned n;

	return CHECK_SANITIZED && ++n % 5 != 0;
}

/* The store is tampered with: 'a' and 'b' (may be NULL) may suffer, nothing else. */
static void judge(const char *kind, unsigned allowed, const struct item *a, const struct item *b,
		  const char *detail)
{
	struct kind *x = kind_of(kind);
	enum outcome worst = RIGHT;
	int r;

	if (left_to_others())
		return;
	r = tk_open(&k, false);
	x->tried++;
	check_count++;
	if (r < 0) {
		x->got[REFUSED]++;
		if (!(allowed & MAY(REFUSED)) || !k.sentence[0])
			complain(kind, a, REFUSED, detail);
		tk_close(&k, true);
		return;
	}
	for (size_t i = 0; i < NITEMS; i++) {
		bool mine = below(&items[i], a) || below(&items[i], b);
		enum outcome o;

		/* What was not touched is looked at every few times. */
		if (!mine && (x->tried + i) % 8 != 0)
			continue;
		o = tk_look(&k, &items[i]);
		if (o != RIGHT &&
		    (!mine || !((allowed | MAY(UNREADABLE) | MAY(LEFT_OUT)) & MAY(o))))
			complain(kind, &items[i], o, detail);
		if (mine)
			worst = tk_worse(worst, o);
	}
	x->got[worst]++;
	tk_close(&k, true);
}

static void report(void)
{
	unsigned long tried = 0;

	printf("%-44s %6s", "", "tried");
	for (int o = 0; o < OUTCOMES; o++)
		printf(" %9s", outcome_names[o]);
	for (struct kind *x = kinds; x->name; x++) {
		printf("\n%-44s %6lu", x->name, x->tried);
		for (int o = 0; o < OUTCOMES; o++)
			printf(" %9lu", x->got[o]);
		tried += x->tried;
	}
	printf("\n%lu tamperings\n", tried);
}

/* -- the store as files --------------------------------------------------- */

static struct item *by_path(const char *path)
{
	for (size_t i = 0; i < NITEMS; i++)
		if (strcmp(items[i].path, path) == 0)
			return &items[i];
	abort();
}

static void full_path(const char *place, char out[static 1600])
{
	snprintf(out, 1600, "%s/store/%s", k.ws, place);
}

static uint8_t *slurp(const char *place, size_t *ret_len)
{
	char path[1600];
	struct stat st;
	uint8_t *b;
	int fd;

	full_path(place, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	b = malloc((size_t)st.st_size + 1);
	if (read(fd, b, (size_t)st.st_size) != st.st_size)
		abort();
	close(fd);
	*ret_len = (size_t)st.st_size;
	return b;
}

static inline void put(const char *place, const uint8_t *bytes, size_t len)
{
	char path[1600];
	int fd;

	full_path(place, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || ftruncate(fd, (off_t)len) < 0)
		abort();
	close(fd);
}

/* Opening a store writes its state; everything else is as it was after judge(). */
static void restore(const struct item *it)
{
	char path[1600];
	int fd;

	if (it)
		put(it->place, it->bytes[1], it->len[1]);
	full_path("log", path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, log_bytes[1], 8192, 0) != 8192)
		abort();
	close(fd);
}

static int locate_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *place = path + strlen(k.ws) + strlen("/store/");

	for (size_t i = 0; i < NITEMS; i++)
		if (items[i].ino == st->st_ino)
			snprintf(items[i].place, sizeof(items[i].place), "%s", place);
	return 0;
}

static void locate(void)
{
	char tree[500];

	for (size_t i = 0; i < NITEMS; i++) {
		struct out_entry e;

		CHECK_EQ(tk_lookup(&k, items[i].path, &e), 0);
		items[i].ino = e.st.st_ino;
	}
	snprintf(tree, sizeof(tree), "%s/store/t", k.ws);
	nftw(tree, locate_one, 16, FTW_PHYS);
}

static void snapshot(unsigned version)
{
	for (size_t i = 0; i < NITEMS; i++)
		if (S_ISREG(items[i].type))
			items[i].bytes[version] = slurp(items[i].place, &items[i].len[version]);
	log_bytes[version] = slurp("log", &log_len);
}

static void make(const char *cipher, bool pad)
{
	char id[500];
	struct volume_options o = {
		.path = k.ws, .cipher = cipher, .pad = pad, .ring_pages = 256, .identity_path = id
	};
	struct err err = { 0 };
	json_t *r = NULL;

	snprintf(k.ws, sizeof(k.ws), "%s/%s-%d", top, cipher, pad);
	snprintf(id, sizeof(id), "%s.id", k.ws);
	k.cipher = cipher;
	k.pad = pad;
	if (volume_create(&o, &r, &err) < 0 || tk_open_volume(&k) < 0) {
		fprintf(stderr, "%s: %s %s\n", cipher, err.text, k.sentence);
		exit(99);
	}
	json_decref(r);
	CHECK_EQ(tk_open(&k, false), 0);
	for (size_t i = 0; i < NITEMS; i++)
		tk_make(&k, &items[i]);
	locate();
	tk_close(&k, false);
	snapshot(0);
	CHECK_EQ(tk_open(&k, false), 0);
	for (size_t i = 0; i < NITEMS; i++)
		tk_change(&k, &items[i]);
	locate();
	tk_close(&k, false);
	snapshot(1);
	judge("nothing", 0, NULL, NULL, "");
	restore(NULL);
	CHECK_EQ(kind_of("nothing")->got[RIGHT], kind_of("nothing")->tried);
}

static void unmake(void)
{
	volume_close(k.v);
	for (size_t i = 0; i < NITEMS; i++)
		for (unsigned v = 0; v < VERSIONS; v++)
			free(items[i].bytes[v]), items[i].bytes[v] = NULL;
	free(log_bytes[0]);
	free(log_bytes[1]);
}

static inline void exchange(uint8_t *a, uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = a[i];

		a[i] = b[i];
		b[i] = c;
	}
}

/* -- campaigns ------------------------------------------------------------ */

static int rm(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static bool make_top(const char *base)
{
	snprintf(top, sizeof(top), "%s/sbx-tamper-XXXXXX", base);
	if (!mkdtemp(top))
		return false;
	if (setxattr(top, "user.sbx", "x", 1, 0) == 0)
		return true;
	rmdir(top);
	return false;
}

/* 'try_all' on each cipher that is here, with and without PAD. */
static int campaigns(void (*try_all)(void))
{
	static const struct {
		const char *cipher;
		bool pad;
	} rows[] = { { "xchacha20", false }, { "aes-gcm", true }, { "aegis", false } };
	const char *seed = getenv("SEED"), *why;

	rnd = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)rnd);
	secret_setup(NULL);
	if (!make_top("/dev/shm") && !make_top("/tmp"))
		CHECK_SKIP("no directory with user attributes");
	if (quota_new(0, 0, &k.q) < 0)
		return 99;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!cipher_available(cipher_by_name(rows[i].cipher), &why)) {
			printf("%s: %s\n", rows[i].cipher, why);
			continue;
		}
		make(rows[i].cipher, rows[i].pad);
		try_all();
		unmake();
	}
	quota_free(k.q);
	nftw(top, rm, 16, FTW_DEPTH | FTW_PHYS);
	report();
	return check_report();
}
