/* A small workspace with a bit of everything, of which the test knows every byte in two versions;
 * and what a reader of it may get to see after somebody changed the store. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "fs/blockmap.h"
#include "fs/out.h"
#include "fs/quota.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "fs/volume.h"
#include "keys/secret.h"
#include "tests/check.h"

#define VERSIONS  2
#define VALUE_MAX 64

/* What one thing of the workspace looked like.  RIGHT and EIO are always allowed, LEFT_OUT (not
 * listed, and a line says so) for what a directory holds; the rest only where a kind of tampering
 * says so: doc/format.md section 9 does not promise them on a live volume. */
enum outcome {
	RIGHT,
	UNREADABLE, /* EIO and a line that names it */
	LEFT_OUT,   /* not in the listing any more, and a line that names it */
	OLDER,      /* an older version of itself, whole or by blocks */
	ZEROS,      /* blocks of a file that may have holes read as zeros */
	CUT_OFF,    /* shorter: recovery after a crash, with a line */
	EXCHANGED,  /* something else of this workspace stands under this name, whole */
	REMOVED,    /* gone without a line: who can write the store can delete */
	REFUSED,    /* the workspace does not open, and a sentence says why */
	WRONG,      /* never */
	OUTCOMES
};
static const char *const outcome_names[OUTCOMES] = { "right",   "EIO",     "left out",  "older",
						     "zeros",   "cut off", "exchanged", "removed",
						     "refused", "WRONG" };
#define MAY(o) (1u << (o))

struct item {
	const char *path; /* plaintext, from the root of the outputs */
	mode_t type;      /* S_IFREG, S_IFDIR, S_IFLNK */
	uint64_t size[VERSIONS];
	bool sparse;    /* every third block only */
	bool has_xattr; /* "user.tag" and "user.other" */
	uint8_t number;

	/* Found by tk_locate(). */
	char place[900]; /* below store/ */
	uint64_t ino;
	uint8_t *bytes[VERSIONS]; /* of the backing file */
	size_t len[VERSIONS];
	uint8_t *plain[VERSIONS]; /* size[] bytes, then a block of zeros */
};

struct tk {
	char ws[200];
	const char *cipher;
	bool pad;
	const struct store_io *io; /* NULL: the system's */
	struct volume *v;
	struct store *s;
	struct out *o;
	struct quota *q;
	int store_fd;
	char lines[65536];
	size_t used;
	char sentence[ERR_TEXT_MAX]; /* why it did not open */
	struct item *items;
	size_t nitems;
};

/* -- what is in it -------------------------------------------------------- */

static inline uint8_t tk_byte(const struct item *it, unsigned version, uint64_t off)
{
	uint64_t z = (off / 8 + 1) * UINT64_C(0x9E3779B97F4A7C15) + it->number * 1000003u +
		     version * UINT64_C(0x94D049BB133111EB);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z ^= z >> 29;
	return (uint8_t)(z >> (off % 8 * 8)) | 1; /* never zero: zeros are told apart */
}

static inline bool tk_hole(const struct item *it, uint64_t block)
{
	return it->sparse && block % 3 != 0;
}

static inline const uint8_t *tk_plain(struct item *it, unsigned version)
{
	if (!it->plain[version]) {
		uint8_t *p = calloc(1, it->size[version] + BLOCK_SIZE);

		for (uint64_t i = 0; i < it->size[version]; i++)
			p[i] = tk_hole(it, i / BLOCK_SIZE) ? 0 : tk_byte(it, version, i);
		it->plain[version] = p;
	}
	return it->plain[version];
}

/* size[] characters; slashes, so that it could be a path. */
static inline void tk_target(const struct item *it, unsigned version, char *out)
{
	for (uint64_t i = 0; i < it->size[version]; i++)
		out[i] = i % 40 == 0 ? '/' : (char)('a' + tk_byte(it, version, i) % 26);
	out[it->size[version]] = 0;
}

static inline void tk_value(const struct item *it, const char *name, unsigned version, char *out)
{
	snprintf(out, VALUE_MAX, "%s of %d in version %u", name, it->number, version);
}

/* -- opening -------------------------------------------------------------- */

static inline void tk_line(void *ctx, const char *line)
{
	struct tk *k = ctx;
	size_t n = strlen(line);

	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "log: %s\n", line);
	if (k->used + n + 2 > sizeof(k->lines))
		return;
	memcpy(k->lines + k->used, line, n);
	k->lines[k->used + n] = '\n';
	k->used += n + 1;
	k->lines[k->used] = 0;
}

static inline void tk_sentence(struct tk *k, const struct err *err)
{
	snprintf(k->sentence, sizeof(k->sentence), "%s", err->text);
}

static inline int tk_open_volume(struct tk *k)
{
	char id[500];
	struct volume_unlock u = { .identity_path = id, .no_prompt = true };
	struct err err = { 0 };
	int r;

	snprintf(id, sizeof(id), "%s.id", k->ws);
	r = volume_open(k->ws, &u, &k->v, &err);
	if (r < 0)
		tk_sentence(k, &err);
	return r;
}

/* The store and the tree over it; the volume is open. */
static inline int tk_open(struct tk *k, bool read_only)
{
	struct store_params p = { 0 };
	struct out_params op;
	struct err err = { 0 };
	int r;

	k->used = 0;
	k->lines[0] = 0;
	volume_store_params(k->v, &p);
	p.quota = k->q;
	p.log = tk_line;
	p.log_ctx = k;
	p.read_only = read_only;
	p.io = k->io;
	k->store_fd = openat(volume_dirfd(k->v), "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = store_open(dup(k->store_fd), &p, &k->s, &err);
	if (r < 0) {
		k->s = NULL;
		tk_sentence(k, &err);
		return r;
	}
	op = (struct out_params){ .store = k->s,
				  .quota = k->q,
				  .keys = volume_name_keys(k->v),
				  .flat = volume_flat(k->v),
				  .read_only = read_only,
				  .log = tk_line,
				  .log_ctx = k };
	r = out_new(&op, &k->o, &err);
	if (r < 0)
		tk_sentence(k, &err);
	return r;
}

static inline void tk_close(struct tk *k, bool crash)
{
	struct err err = { 0 };

	if (k->o)
		out_free(k->o);
	k->o = NULL;
	if (k->s && crash)
		store_abandon(k->s);
	else if (k->s)
		CHECK_EQ(store_close(k->s, &err), 0);
	k->s = NULL;
	if (k->store_fd >= 0)
		close(k->store_fd);
	k->store_fd = -1;
}

/* -- making it ------------------------------------------------------------ */

static inline int tk_parent(struct tk *k, const char *path, uint64_t *ret, const char **ret_name)
{
	const char *slash;

	*ret = TREE_ROOT_ID;
	while ((slash = strchr(path, '/'))) {
		char part[300];
		struct out_entry e;
		int r;

		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = 0;
		r = out_lookup(k->o, *ret, part, &e);
		if (r < 0)
			return r;
		*ret = e.nodeid;
		path = slash + 1;
	}
	*ret_name = path;
	return 0;
}

static inline int tk_lookup(struct tk *k, const char *path, struct out_entry *ret)
{
	const char *name = NULL;
	uint64_t dir;
	int r = tk_parent(k, path, &dir, &name);

	return r < 0 ? r : out_lookup(k->o, dir, name, ret);
}

static inline void tk_write(struct tk *k, struct item *it, unsigned version, uint64_t id, bool sync)
{
	const uint8_t *plain = tk_plain(it, version);
	struct node *n;

	CHECK_EQ(out_open(k->o, id, O_RDWR, &n), 0);
	for (uint64_t off = 0; off < it->size[version]; off += BLOCK_SIZE) {
		uint64_t left = it->size[version] - off;
		size_t len = left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE;

		if (!tk_hole(it, off / BLOCK_SIZE))
			CHECK_EQ(out_write(n, plain + off, len, off), len);
	}
	if (sync)
		CHECK_EQ(out_fsync(k->o, n, true), 0);
	out_release(k->o, n, O_RDWR);
}

static inline void tk_set_xattrs(struct tk *k, const struct item *it, unsigned version, uint64_t id)
{
	char value[VALUE_MAX];

	if (!it->has_xattr)
		return;
	tk_value(it, "tag", version, value);
	CHECK_EQ(out_setxattr(k->o, id, "user.tag", value, strlen(value), 0), 0);
	tk_value(it, "other", version, value);
	CHECK_EQ(out_setxattr(k->o, id, "user.other", value, strlen(value), 0), 0);
}

static const struct out_who tk_who;

static inline void tk_make(struct tk *k, struct item *it)
{
	const char *name = NULL;
	struct out_attr cut = { .valid = OUT_SET_SIZE };
	char target[4200];
	struct out_entry e;
	struct stat st;
	struct node *n;
	uint64_t dir;

	CHECK_EQ(tk_parent(k, it->path, &dir, &name), 0);
	if (S_ISDIR(it->type)) {
		CHECK_EQ(out_mkdir(k->o, dir, name, 0755, &tk_who, &e), 0);
	} else if (S_ISLNK(it->type)) {
		tk_target(it, 0, target);
		CHECK_EQ(out_symlink(k->o, dir, name, target, &tk_who, &e), 0);
		return;
	} else {
		CHECK_EQ(out_create(k->o, dir, name, 0644, O_RDWR, &tk_who, &e, &n), 0);
		out_release(k->o, n, O_RDWR);
		cut.size = it->size[0];
		CHECK_EQ(out_setattr(k->o, e.nodeid, &cut, &st), 0);
		tk_write(k, it, 0, e.nodeid, true);
	}
	tk_set_xattrs(k, it, 0, e.nodeid);
}

/* To version 1: files in place, symlinks anew. */
static inline void tk_change(struct tk *k, struct item *it)
{
	struct out_attr cut = { .valid = OUT_SET_SIZE, .size = it->size[1] };
	const char *name = NULL;
	struct out_entry e;
	char target[4200];
	struct stat st;
	uint64_t dir;
	int late;

	CHECK_EQ(tk_parent(k, it->path, &dir, &name), 0);
	if (S_ISLNK(it->type)) {
		tk_target(it, 1, target);
		CHECK_EQ(out_unlink(k->o, dir, name, &late), 0);
		CHECK_EQ(out_symlink(k->o, dir, name, target, &tk_who, &e), 0);
		return;
	}
	CHECK_EQ(out_lookup(k->o, dir, name, &e), 0);
	if (S_ISREG(it->type)) {
		tk_write(k, it, 1, e.nodeid, false);
		CHECK_EQ(out_setattr(k->o, e.nodeid, &cut, &st), 0);
	}
	tk_set_xattrs(k, it, 1, e.nodeid);
}

/* -- what one gets to see ------------------------------------------------- */

/* Does a line name its place, or that of a directory above it? */
static inline bool tk_named(const struct tk *k, const struct item *it)
{
	char place[1000];
	size_t n = strlen(it->place);

	memcpy(place, it->place, n + 1);
	for (;;) {
		strcpy(place + n, ":");
		if (strstr(k->lines, place))
			return true;
		place[n] = 0;
		if (!strrchr(place, '/'))
			return false;
		n = (size_t)(strrchr(place, '/') - place);
	}
}

/* Does a line name something that its directory, or one above it, does not list?  The stored name
 * may be any by now. */
static inline bool tk_left_out(const struct tk *k, const struct item *it)
{
	char dir[1000];

	strcpy(dir, it->place);
	for (char *slash; (slash = strrchr(dir, '/')); *slash = 0) {
		slash[1] = 0;
		if (strstr(k->lines, dir))
			return true;
	}
	return false;
}

static inline bool tk_is(struct item *it, unsigned version, const uint8_t *got, uint64_t off,
			 size_t n)
{
	return off + n <= it->size[version] && memcmp(got, tk_plain(it, version) + off, n) == 0;
}

static inline bool tk_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* The whole of another file of this workspace? */
static inline bool tk_is_other(const struct tk *k, const uint8_t *got, uint64_t size)
{
	for (size_t i = 0; i < k->nitems; i++)
		for (unsigned v = 0; v < VERSIONS && S_ISREG(k->items[i].type); v++)
			if (k->items[i].size[v] == size && tk_is(&k->items[i], v, got, 0, size))
				return true;
	return false;
}

/* Block by block: right, older, zeros. */
static inline enum outcome tk_judge(const struct tk *k, struct item *it, const uint8_t *got,
				    uint64_t size)
{
	enum outcome worst = RIGHT;

	if (size == it->size[1] && tk_is(it, 1, got, 0, size))
		return RIGHT;
	if (size == 0)
		return CUT_OFF;
	if (size != it->size[1])
		worst = size == it->size[0] ? OLDER : CUT_OFF;
	for (uint64_t off = 0; off < size; off += BLOCK_SIZE) {
		size_t n = size - off < BLOCK_SIZE ? (size_t)(size - off) : BLOCK_SIZE;
		enum outcome o = tk_is(it, 1, got + off, off, n)   ? RIGHT
				 : tk_is(it, 0, got + off, off, n) ? OLDER
				 : tk_zero(got + off, n)           ? ZEROS
								   : WRONG;

		worst = o > worst ? o : worst;
	}
	return (worst == WRONG || worst == CUT_OFF) && tk_is_other(k, got, size) ? EXCHANGED
										 : worst;
}

static inline enum outcome tk_file(struct tk *k, struct item *it, uint64_t id)
{
	static uint8_t buf[1 << 20];
	enum outcome o;
	struct node *n;
	ssize_t got;
	int r = out_open(k->o, id, O_RDONLY, &n);

	if (r < 0)
		return r == -EIO ? UNREADABLE : WRONG;
	got = out_read(n, buf, sizeof(buf), 0);
	o = got == -EIO ? UNREADABLE : got < 0 ? WRONG : tk_judge(k, it, buf, (uint64_t)got);
	if (got == -EIO) { /* none of its other blocks may be false either */
		for (uint64_t off = 0; off < it->size[1] && o == UNREADABLE; off += BLOCK_SIZE) {
			got = out_read(n, buf, BLOCK_SIZE, off);
			if (got != -EIO &&
			    (got <= 0 || (!tk_is(it, 1, buf, off, (size_t)got) &&
					  !tk_is(it, 0, buf, off, (size_t)got) &&
					  !(it->sparse && tk_zero(buf, (size_t)got)))))
				o = WRONG;
		}
	}
	out_release(k->o, n, O_RDONLY);
	return o;
}

static inline enum outcome tk_link(struct tk *k, const struct item *it, uint64_t id)
{
	char got[4200], want[4200];
	int r = out_readlink(k->o, id, got, sizeof(got));

	if (r < 0)
		return r == -EIO ? UNREADABLE : WRONG;
	for (unsigned v = VERSIONS; v-- > 0;) {
		tk_target(it, v, want);
		if (strcmp(got, want) == 0)
			return v == 1 ? RIGHT : OLDER;
	}
	for (size_t i = 0; i < k->nitems; i++) {
		for (unsigned v = 0; v < VERSIONS && S_ISLNK(k->items[i].type); v++) {
			tk_target(&k->items[i], v, want);
			if (strcmp(got, want) == 0)
				return EXCHANGED;
		}
	}
	return WRONG;
}

static inline enum outcome tk_xattr(struct tk *k, const struct item *it, uint64_t id,
				    const char *name)
{
	char full[32], got[VALUE_MAX], want[VALUE_MAX];
	ssize_t n;

	snprintf(full, sizeof(full), "user.%s", name);
	n = out_getxattr(k->o, id, full, got, sizeof(got) - 1);
	if (n == -ENODATA)
		return REMOVED;
	if (n < 0)
		return n == -EIO ? UNREADABLE : WRONG;
	got[n] = 0;
	for (unsigned v = VERSIONS; v-- > 0;) {
		tk_value(it, name, v, want);
		if (strcmp(got, want) == 0)
			return v == 1 ? RIGHT : OLDER;
	}
	for (size_t i = 0; i < k->nitems; i++) { /* with the whole file that it belongs to */
		tk_value(&k->items[i], name, 1, want);
		if (k->items[i].has_xattr && strcmp(got, want) == 0)
			return EXCHANGED;
	}
	return WRONG;
}

static inline enum outcome tk_worse(enum outcome a, enum outcome b)
{
	return a > b ? a : b;
}

/* One thing of the workspace, as a reader meets it. */
static inline enum outcome tk_look(struct tk *k, struct item *it)
{
	struct out_entry e;
	enum outcome o;
	int r = tk_lookup(k, it->path, &e);

	if (r == -ENOTDIR)
		return EXCHANGED;
	if (r == -ENOENT)
		return tk_left_out(k, it) ? LEFT_OUT : REMOVED;
	if (r < 0)
		return r == -EIO && tk_named(k, it) ? UNREADABLE : WRONG;
	if ((e.st.st_mode & S_IFMT) != it->type)
		return EXCHANGED; /* an empty directory or a fifo in its place holds no data */
	o = S_ISREG(it->type)   ? tk_file(k, it, e.nodeid)
	    : S_ISLNK(it->type) ? tk_link(k, it, e.nodeid)
				: RIGHT;
	if (it->has_xattr && o != UNREADABLE) {
		o = tk_worse(o, tk_xattr(k, it, e.nodeid, "tag"));
		o = tk_worse(o, tk_xattr(k, it, e.nodeid, "other"));
	}
	if (o == UNREADABLE && !tk_named(k, it))
		return WRONG; /* an error that nobody can look up */
	return o;
}
