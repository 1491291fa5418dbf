/* Whoever can write the store changes it while nobody serves the workspace: every page, every field
 * of headers and entries, whole files, the log.  What is read afterwards is the right data, or EIO
 * with a line that names the place; where a kind of tampering may lead to something else (an older
 * version put back, a file removed), the call says so, and doc/threat-model.md, too.  Never other
 * data. */
#include "tests/unit/tamper_judge.h"

/* -- pages of files ------------------------------------------------------- */

/* 'bytes' stand in place of the file. */
static void try_bytes(const char *kind, unsigned allowed, struct item *it, const uint8_t *bytes,
		      size_t len, size_t at)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "at %zu", at);
	put(it->place, bytes, len);
	judge(kind, allowed | (it->sparse ? MAY(ZEROS) : 0), it, NULL, detail);
	restore(it);
}

static uint8_t *copy_of(const struct item *it)
{
	uint8_t *b = malloc(it->len[1] + 65536);

	memcpy(b, it->bytes[1], it->len[1]);
	memset(b + it->len[1], 0xee, 65536);
	return b;
}

static size_t page_len(const struct item *it, size_t p)
{
	size_t left = it->len[1] - p * BLOCK_SIZE;

	return left < BLOCK_SIZE ? left : BLOCK_SIZE;
}

static void page(struct item *it, struct item *partner, size_t p)
{
	size_t pages = (it->len[1] + BLOCK_SIZE - 1) / BLOCK_SIZE, len = page_len(it, p), other;
	uint8_t *b = copy_of(it), *at = b + p * BLOCK_SIZE;
	size_t bit = pick(len * 8);

	at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	try_bytes("page: a bit flipped", 0, it, b, it->len[1], p * BLOCK_SIZE + bit / 8);
	memset(at, 0, len);
	try_bytes("page: zeros", 0, it, b, it->len[1], p * BLOCK_SIZE);
	randombytes_buf(at, len);
	try_bytes("page: noise", 0, it, b, it->len[1], p * BLOCK_SIZE);
	memcpy(at, it->bytes[1] + p * BLOCK_SIZE, len);
	if (p * BLOCK_SIZE + len <= it->len[0]) {
		memcpy(at, it->bytes[0] + p * BLOCK_SIZE, len);
		try_bytes("page: its older version", MAY(OLDER), it, b, it->len[1], p * BLOCK_SIZE);
		memcpy(at, it->bytes[1] + p * BLOCK_SIZE, len);
	}
	if (partner && p * BLOCK_SIZE + len <= partner->len[1]) {
		memcpy(at, partner->bytes[1] + p * BLOCK_SIZE, len);
		try_bytes("page: that of another file", 0, it, b, it->len[1], p * BLOCK_SIZE);
		memcpy(at, it->bytes[1] + p * BLOCK_SIZE, len);
	}
	for (unsigned i = 0; i < 2 && pages > 1; i++) {
		other = i ? pick(pages) : (p + 1) % pages;
		len = page_len(it, other) < page_len(it, p) ? page_len(it, other) : page_len(it, p);
		exchange(at, b + other * BLOCK_SIZE, len);
		try_bytes("page: exchanged with another", 0, it, b, it->len[1], p * BLOCK_SIZE);
		exchange(at, b + other * BLOCK_SIZE, len);
	}
	free(b);
}

static void all_pages(void)
{
	for (size_t i = 0; i < NITEMS; i++) {
		struct item *it = &items[i], *partner = i + 1 < NITEMS ? &items[i + 1] : NULL;

		if (!S_ISREG(it->type))
			continue;
		if (partner && !S_ISREG(partner->type))
			partner = NULL;
		for (size_t p = 0; p * BLOCK_SIZE < it->len[1]; p++)
			page(it, partner, p);
	}
}

/* -- header and entries --------------------------------------------------- */

static void header_bytes(struct item *it)
{
	uint8_t *b = copy_of(it);

	for (size_t at = 0; at < 256; at++) {
		b[at] ^= (uint8_t)(1u << pick(8));
		try_bytes("header: a bit flipped in each byte", 0, it, b, it->len[1], at);
		b[at] = it->bytes[1][at];
	}
	for (size_t at = 256; at < HEAD_ENTRIES_AT; at += 199) {
		b[at] ^= 1;
		try_bytes("header: bytes without meaning", 0, it, b, it->len[1], at);
		b[at] = it->bytes[1][at];
	}
	memcpy(b, it->bytes[0], 256);
	try_bytes("header: its older version", MAY(OLDER) | MAY(CUT_OFF), it, b, it->len[1], 0);
	free(b);
}

static void header_of(struct item *it, struct item *from)
{
	uint8_t *b = copy_of(it);

	memcpy(b, from->bytes[1], 256);
	try_bytes("header: that of another file", 0, it, b, it->len[1], 0);
	free(b);
}

static void entry_fields(struct item *it, uint64_t block)
{
	/* epoch, len, flags, zero, nonce, tag, and what is zero behind a short tag */
	static const uint8_t places[] = {
		0, 1, 3, 4, 5, 6, 7, 8, 15, 16, 24, 31, 32, 40, 47, 48, 63
	};
	size_t at = blockmap_entry_off(block);
	uint8_t *b = copy_of(it), *e = b + at;
	const uint8_t *was = it->bytes[1] + at;
	uint64_t n = blockmap_count(it->size[1]), other = pick(n);
	uint8_t *f = b + blockmap_entry_off(other);

	for (size_t i = 0; i < sizeof(places); i++) {
		e[places[i]] ^= (uint8_t)(1u << pick(8));
		try_bytes("entry: a bit flipped in each field", 0, it, b, it->len[1],
			  at + places[i]);
		e[places[i]] = was[places[i]];
	}
	for (unsigned len = 0; len < 3; len++) {
		e[4] = (uint8_t)(len == 2 ? 1 : 0), e[5] = (uint8_t)(len == 1 ? 0xff : 0);
		try_bytes("entry: another length", 0, it, b, it->len[1], at);
		memcpy(e, was, ENTRY_SIZE);
	}
	memset(e, 0, ENTRY_SIZE);
	try_bytes("entry: zeros", 0, it, b, it->len[1], at);
	memcpy(e, was, ENTRY_SIZE);
	exchange(e, f, ENTRY_SIZE);
	try_bytes("entry: exchanged with another", 0, it, b, it->len[1], at);
	exchange(e, f, ENTRY_SIZE);
	/* With its block, to another place of the file. */
	if (block + 1 < n && other + 1 < n) {
		exchange(e, f, ENTRY_SIZE);
		exchange(b + blockmap_data_off(block), b + blockmap_data_off(other), BLOCK_SIZE);
		try_bytes("entry and block: moved within the file", 0, it, b, it->len[1], at);
	}
	free(b);
}

/* Entry and block of another file, or older ones: what belongs together stays together. */
static void entry_with_block(struct item *it, uint64_t block, const uint8_t *from, const char *kind,
			     unsigned allowed)
{
	size_t at = blockmap_entry_off(block), data = blockmap_data_off(block);
	size_t len = it->len[1] - data < BLOCK_SIZE ? it->len[1] - data : BLOCK_SIZE;
	uint8_t *b = copy_of(it);

	memcpy(b + at, from + at, ENTRY_SIZE);
	memcpy(b + data, from + data, len);
	try_bytes(kind, allowed, it, b, it->len[1], at);
	free(b);
}

static void all_fields(void)
{
	static const uint64_t blocks[] = { 0, 3, 31, 32, 33, 95, 96, 105 };
	struct item *groups = by_path("groups"), *groups2 = by_path("groups2");
	struct item *sparse = by_path("sparse"), *small = by_path("small");

	header_bytes(by_path("empty"));
	header_bytes(small);
	header_bytes(by_path("grown"));
	header_bytes(sparse);
	header_of(small, by_path("small2"));
	header_of(groups, groups2);
	header_of(small, by_path("grown"));
	header_of(by_path("empty"), small);
	header_of(sparse, groups);
	entry_fields(small, 0);
	entry_fields(small, 1);
	entry_fields(sparse, 3);
	entry_fields(sparse, 4); /* a hole */
	entry_fields(sparse, 57);
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		entry_fields(groups, blocks[i]);
		entry_with_block(groups, blocks[i], groups2->bytes[1],
				 "entry and block: those of another file", 0);
		entry_with_block(groups, blocks[i], groups->bytes[0], "entry and block: older ones",
				 MAY(OLDER));
	}
}

/* -- whole files ---------------------------------------------------------- */

static void sizes(struct item *it)
{
	static const long near[] = { -4096, -100, -1, 1, 100, 4095, 4096, 8192, 60000 };
	uint8_t *b = copy_of(it);

	for (size_t len = 0; len<it->len[1]; len += it->len[1]> 65536 ? 8 * BLOCK_SIZE : 1024) {
		try_bytes("file: cut", 0, it, b, len, len);
		if (len)
			try_bytes("file: cut", 0, it, b, len - 1, len - 1);
	}
	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
		size_t len = (size_t)((long)it->len[1] + near[i]);

		if ((long)len >= 0)
			try_bytes(near[i] < 0 ? "file: cut" : "file: extended", 0, it, b, len, len);
		memset(b + it->len[1], 0, 65536);
		if (near[i] > 0)
			try_bytes("file: extended by zeros", 0, it, b, len, len);
		memset(b + it->len[1], 0xee, 65536);
	}
	memset(b, 0, it->len[1]);
	try_bytes("file: zeros", 0, it, b, it->len[1], 0);
	randombytes_buf(b, it->len[1]);
	try_bytes("file: noise", 0, it, b, it->len[1], 0);
	free(b);
	try_bytes("file: its older version", MAY(OLDER), it, it->bytes[0], it->len[0], 0);
}

/* a's backing file, or what replaces it. */
static void replaced(struct item *a, const char *by)
{
	char path[1600], kept[1700];

	full_path(a->place, path);
	snprintf(kept, sizeof(kept), "%s/kept", top);
	CHECK_EQ(rename(path, kept), 0);
	if (strcmp(by, "a directory") == 0)
		CHECK_EQ(mkdir(path, 0700), 0);
	else if (strcmp(by, "a fifo") == 0)
		CHECK_EQ(mkfifo(path, 0600), 0);
	else if (strcmp(by, "a symlink") == 0)
		CHECK_EQ(symlink("/etc/passwd", path), 0);
	/* Types are not sealed: an empty thing of another type may stand there, or nothing. */
	judge(strcmp(by, "nothing") == 0 ? "file or directory: removed"
					 : "anything: of another type",
	      MAY(EXCHANGED) | MAY(REMOVED), a, NULL, by);
	(void)remove(path);
	CHECK_EQ(rename(kept, path), 0);
	restore(NULL);
}

static void whole_files(void)
{
	static const char *const types[] = { "nothing", "a directory", "a fifo", "a symlink" };
	struct item *small2 = by_path("small2"), *groups2 = by_path("groups2");

	for (size_t i = 0; i < NITEMS; i++) {
		if (S_ISREG(items[i].type))
			sizes(&items[i]);
		for (size_t t = 0; t < 4; t++)
			if (!S_ISDIR(items[i].type) || t != 1)
				replaced(&items[i], types[t]);
	}
	/* Attributes are sealed for the file's id: those of the first are not the copy's. */
	try_bytes("file: a copy of another", MAY(EXCHANGED) | MAY(REMOVED), by_path("small"),
		  small2->bytes[1], small2->len[1], 0);
	try_bytes("file: a copy of another", MAY(EXCHANGED), by_path("groups"), groups2->bytes[1],
		  groups2->len[1], 0);
	try_bytes("file: a copy of another", MAY(EXCHANGED), by_path("empty"), small2->bytes[1],
		  small2->len[1], 0);
	try_bytes("file: a copy of another, older", MAY(EXCHANGED) | MAY(REMOVED), by_path("small"),
		  small2->bytes[0], small2->len[0], 0);
}

/* -- the log of a store that was closed ----------------------------------- */

static void try_log(const char *kind, unsigned allowed, const uint8_t *bytes, size_t len)
{
	put("log", bytes, len);
	for (size_t i = 0; i < 1; i++)
		judge(kind, allowed | MAY(REFUSED), by_path("small"), NULL, "log");
	put("log", log_bytes[1], log_len);
}

static void the_log(void)
{
	uint8_t *b = malloc(log_len + 4096);

	memcpy(b, log_bytes[1], log_len);
	for (size_t at = 0; at < 128; at++) {
		b[at] ^= (uint8_t)(1u << pick(8));
		try_log("state: a bit flipped in one slot", 0, b, log_len);
		b[BLOCK_SIZE + at] ^= (uint8_t)(1u << pick(8));
		try_log("state: a bit flipped in both slots", 0, b, log_len);
		memcpy(b, log_bytes[1], 2 * BLOCK_SIZE);
	}
	for (size_t at = 2 * BLOCK_SIZE; at < log_len; at += BLOCK_SIZE) {
		b[at + pick(BLOCK_SIZE)] ^= 1;
		if (at % (16 * BLOCK_SIZE) == 0)
			try_log("log: a bit flipped", 0, b, log_len);
	}
	memset(b, 0, log_len);
	try_log("log: zeros", 0, b, log_len);
	try_log("log: cut", 0, log_bytes[1], 0);
	try_log("log: cut", 0, log_bytes[1], 4096);
	try_log("log: cut", 0, log_bytes[1], 8192);
	try_log("log: cut", 0, log_bytes[1], log_len - 1);
	memcpy(b, log_bytes[1], log_len);
	try_log("log: extended", 0, b, log_len + 4096);
	free(b);
}

/* The state before the last session: everything that was written since is newer than it. */
static void older_log(void)
{
	put("log", log_bytes[0], log_len);
	k.used = 0;
	if (tk_open(&k, false) < 0) {
		kind_of("log: its older version")->got[REFUSED]++;
	} else {
		for (size_t i = 0; i < NITEMS; i++) {
			enum outcome o = tk_look(&k, &items[i]);

			kind_of("log: its older version")->got[o]++;
			if (o == WRONG)
				complain("log: its older version", &items[i], o, "");
		}
	}
	kind_of("log: its older version")->tried++;
	tk_close(&k, true);
	put("log", log_bytes[1], log_len);
}

static void try_all(void)
{
	all_pages();
	all_fields();
	whole_files();
	the_log();
	older_log();
}

int main(void)
{
	return campaigns(try_all);
}
