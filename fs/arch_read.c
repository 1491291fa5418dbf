/* One pass over an archive.  The process ends after it, so nothing is freed that the end frees.
 *
 * Index and unpack are the same walk: which members are in place, and the order of the others, is
 * decided by the same code from the same bytes, so the bytes that "unpack" sends are laid out as
 * "index" said. */
#include "fs/arch_read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch_proto.h"

#define READ_BLOCK     (128u * 1024)
#define PROGRESS_EVERY (4u << 20)
#define VERIFY_BYTES   4096u
#define EMPTY_MAX      10240u /* what tar writes for no file at all */

struct reader {
	const struct arch_read_options *o;
	struct archive *a;
	uint64_t file_size;
	bool plain; /* the archive is not compressed */
	bool single;
	uint64_t entries, bytes;
	uint64_t told; /* progress, last */
	uint8_t *out;  /* records gathered for one write */
	size_t used;
};

#define OUT_SIZE (2 * (ARCH_BODY_MAX + ARCH_HEAD_SIZE))

/* -- records --------------------------------------------------------------- */

static void flush(struct reader *r)
{
	if (r->used && fd_write_full(ARCH_FD_OUT, r->out, r->used) < 0)
		_exit(1);
	r->used = 0;
}

static uint8_t *record(struct reader *r, uint8_t kind, size_t body)
{
	uint8_t *p;

	if (r->used + ARCH_HEAD_SIZE + body > OUT_SIZE)
		flush(r);
	p = r->out + r->used;
	le32_store(p, (uint32_t)body);
	p[4] = kind;
	r->used += ARCH_HEAD_SIZE + body;
	return p + ARCH_HEAD_SIZE;
}

static __attribute__((format(printf, 3, 4))) int fail(struct reader *r, enum arch_reason reason,
						      const char *fmt, ...)
{
	char text[ARCH_TEXT_MAX];
	uint8_t *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p = record(r, ARCH_FAIL, 1 + strlen(text));
	p[0] = (uint8_t)reason;
	memcpy(p + 1, text, strlen(text));
	flush(r);
	return 1;
}

static void progress(struct reader *r, uint64_t done)
{
	if (done < r->told + PROGRESS_EVERY)
		return;
	r->told = done;
	le64_store(record(r, ARCH_PROGRESS, 8), done);
	flush(r);
}

static void told_read(struct reader *r)
{
	int64_t n = archive_filter_bytes(r->a, -1);

	if (n > 0 && !r->o->unpack)
		progress(r, (uint64_t)n);
}

static const char *reason_text(struct reader *r)
{
	const char *s = archive_error_string(r->a);

	return s && *s ? s : "it cannot be read";
}

static int broken(struct reader *r)
{
	if (archive_errno(r->a) == ENOMEM)
		return fail(r, ARCH_FAILED, "it needs more memory than the reader may have");
	if (archive_read_has_encrypted_entries(r->a) > 0)
		return fail(r, ARCH_LOCKED, "it is encrypted");
	return fail(r, ARCH_BROKEN, "%s", reason_text(r));
}

/* -- opening --------------------------------------------------------------- */

static void support(struct archive *a, bool single)
{
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_lzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_compress(a);
	if (single) {
		archive_read_support_format_raw(a);
		return;
	}
	archive_read_support_format_tar(a);
	archive_read_support_format_gnutar(a);
	/* By its directory only: read from the front, one that is cut off seems to end there. */
	archive_read_support_format_zip_seekable(a);
	archive_read_support_format_7zip(a);
	archive_read_support_format_iso9660(a);
	archive_read_support_format_cpio(a);
	archive_read_support_format_rar(a);
	archive_read_support_format_rar5(a);
}

static bool is_plain(struct archive *a)
{
	return archive_filter_count(a) == 1 && archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE;
}

/* Open and read the first header: the format is known only then. */
static int open_as(struct reader *r, bool single, struct archive_entry **ret)
{
	if (r->a)
		archive_read_free(r->a);
	if (lseek(ARCH_FD_SOURCE, 0, SEEK_SET) < 0)
		return ARCHIVE_FATAL;
	r->a = archive_read_new();
	if (!r->a)
		return ARCHIVE_FATAL;
	support(r->a, single);
	if (archive_read_open_fd(r->a, ARCH_FD_SOURCE, READ_BLOCK) != ARCHIVE_OK)
		return ARCHIVE_FATAL;
	r->single = single;
	return archive_read_next_header(r->a, ret);
}

/* -- members --------------------------------------------------------------- */

/* The bytes of this member in the archive itself, if they lie there in one piece.  Where is what
 * the library says, checked against what it reads there. 1: they do; 0: no; -1: it said wrong, and
 * what was read for the check is gone. */
static int find_place(struct reader *r, struct archive_entry *e, uint64_t *ret)
{
	uint8_t seen[VERIFY_BYTES];
	const void *block;
	int64_t at = archive_filter_bytes(r->a, 0), from;
	uint64_t size = (uint64_t)archive_entry_size(e);
	size_t len, n;

	if (!r->plain || archive_entry_sparse_count(e) > 0 ||
	    (archive_format(r->a) & ARCHIVE_FORMAT_BASE_MASK) != ARCHIVE_FORMAT_TAR)
		return 0;
	if (at < 0 || (uint64_t)at > r->file_size || size > r->file_size - (uint64_t)at ||
	    archive_read_data_block(r->a, &block, &len, &from) != ARCHIVE_OK || from != 0)
		return -1;
	n = MIN(MIN(len, sizeof(seen)), size);
	if (fd_pread_full(ARCH_FD_SOURCE, seen, n, (uint64_t)at) != (ssize_t)n ||
	    memcmp(seen, block, n) != 0)
		return -1;
	*ret = (uint64_t)at;
	return 1;
}

static void send_bytes(struct reader *r, const uint8_t *p, uint64_t len)
{
	while (len > 0) {
		size_t n = MIN(len, ARCH_DATA_MAX);

		if (p)
			memcpy(record(r, ARCH_DATA, n), p, n);
		else
			memset(record(r, ARCH_DATA, n), 0, n);
		p = p ? p + n : NULL;
		len -= n;
	}
}

/* All bytes of a member: counted, and sent if asked.  'size': at most so many, UINT64_MAX: unknown.
 * 0 at its end, 1 after fail(). */
static int read_member(struct reader *r, const char *name, uint64_t size, uint64_t *ret)
{
	uint64_t done = 0;

	for (;;) {
		const void *block;
		size_t len;
		int64_t at;
		int got = archive_read_data_block(r->a, &block, &len, &at);

		if (got == ARCHIVE_EOF)
			break;
		if (got != ARCHIVE_OK)
			return broken(r);
		if (at < 0 || (uint64_t)at < done || (uint64_t)at > size ||
		    len > size - (uint64_t)at)
			return fail(r, ARCH_BROKEN, "the member '%.200s' is not what was announced",
				    name);
		if (r->bytes + (uint64_t)at + len > r->o->max_bytes)
			return fail(r, ARCH_TOO_BIG, "unpacked it is larger than the cache may be");
		if (r->o->unpack) {
			send_bytes(r, NULL, (uint64_t)at - done);
			send_bytes(r, block, len);
		}
		done = (uint64_t)at + len;
		told_read(r);
	}
	if (r->o->unpack && size != UINT64_MAX)
		send_bytes(r, NULL, size - done); /* it ends with a hole */
	*ret = size != UINT64_MAX ? size : done;
	return 0;
}

static enum arch_type type_of(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return ARCH_HARDLINK;
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return ARCH_FILE;
	case AE_IFDIR:
		return ARCH_DIR;
	case AE_IFLNK:
		return ARCH_SYMLINK;
	case 0: /* raw and some zip files do not say */
		return ARCH_FILE;
	default:
		return ARCH_OTHER;
	}
}

struct member {
	enum arch_type type;
	const char *name, *target;
	uint64_t size, place;
	bool in_place;
};

static void send_entry(struct reader *r, const struct member *m, struct archive_entry *e)
{
	size_t nlen = strlen(m->name), tlen = strlen(m->target);
	uint8_t *p;

	/* Too long for any filesystem: the other side leaves it out, and counts it. */
	nlen = MIN(nlen, ARCH_PATH_MAX + 1);
	tlen = MIN(tlen, ARCH_PATH_MAX + 1);
	p = record(r, ARCH_ENTRY, ARCH_ENTRY_SIZE + nlen + tlen);
	p[0] = (uint8_t)m->type;
	p[1] = m->in_place ? ARCH_IN_PLACE : 0;
	le16_store(p + 2, archive_entry_perm(e) & 0777);
	le64_store(p + 4, m->size);
	le64_store(p + 12, m->place);
	le64_store(p + 20, archive_entry_mtime_is_set(e) ? (uint64_t)archive_entry_mtime(e) : 0);
	le32_store(p + 28,
		   archive_entry_mtime_is_set(e) ? (uint32_t)archive_entry_mtime_nsec(e) : 0);
	le16_store(p + 32, (uint16_t)nlen);
	le16_store(p + 34, (uint16_t)tlen);
	memcpy(p + ARCH_ENTRY_SIZE, m->name, nlen);
	memcpy(p + ARCH_ENTRY_SIZE + nlen, m->target, tlen);
}

/* The size of a file, its place or its bytes. */
static int member_bytes(struct reader *r, struct member *m, struct archive_entry *e)
{
	bool known = archive_entry_size_is_set(e);
	int place;

	m->size = known ? (uint64_t)archive_entry_size(e) : UINT64_MAX;
	if (known && archive_entry_size(e) <= 0) {
		m->size = 0;
		return 0;
	}
	if (archive_entry_is_encrypted(e))
		return fail(r, ARCH_LOCKED, "'%.200s' in it is encrypted", m->name);
	place = known ? find_place(r, e, &m->place) : 0;
	if (place < 0)
		return fail(r, ARCH_BROKEN, "the bytes of '%.200s' are not all there", m->name);
	m->in_place = place == 1;
	if (m->in_place)
		return 0;
	if (known && (m->size > r->o->max_bytes || r->bytes > r->o->max_bytes - m->size))
		return fail(r, ARCH_TOO_BIG, "unpacked it is larger than the cache may be");
	/* A compressed archive is read through in any case: so its end is known to be there. Of the
	 * others, members are skipped. */
	if (r->o->unpack || !known || !r->plain) {
		if (read_member(r, m->name, m->size, &m->size) != 0)
			return 1;
	}
	r->bytes += m->size;
	return 0;
}

static int one(struct reader *r, struct archive_entry *e)
{
	struct member m = { .type = type_of(e), .target = "" };
	const char *name = archive_entry_pathname(e), *target = NULL;

	if (++r->entries > r->o->max_entries)
		return fail(r, ARCH_TOO_BIG, "it has more than %llu entries",
			    (unsigned long long)r->o->max_entries);
	if (!name)
		name = archive_entry_pathname_utf8(e);
	m.name = name ? name : ""; /* cannot be said in any charset: left out */
	if (m.type == ARCH_HARDLINK)
		target = archive_entry_hardlink(e);
	else if (m.type == ARCH_SYMLINK)
		target = archive_entry_symlink(e);
	m.target = target ? target : "";
	if ((m.type == ARCH_FILE || m.type == ARCH_HARDLINK) && member_bytes(r, &m, e) != 0)
		return 1;
	if (!r->o->unpack)
		send_entry(r, &m, e);
	return 0;
}

/* -- the walk -------------------------------------------------------------- */

/* A tar ends with a block of zeros: without one it was cut off between two members, which the
 * library takes for an end. */
static int check_end(struct reader *r, int64_t before)
{
	int64_t after = archive_filter_bytes(r->a, 0);

	if ((archive_format(r->a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR &&
	    after <= before)
		return fail(r, ARCH_BROKEN, "it has no end: it was cut off");
	return 0;
}

static int say_end(struct reader *r)
{
	char text[ARCH_TEXT_MAX];
	const char *format = r->single ? "" : archive_format_name(r->a);
	uint8_t *p;

	snprintf(text, sizeof(text), "%s", format ? format : "");
	for (int i = 0; i < archive_filter_count(r->a) - 1; i++) {
		const char *f = archive_filter_name(r->a, i);
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", f ? f : "?");
	}
	p = record(r, ARCH_END, 1 + strlen(text));
	p[0] = r->single ? ARCH_SINGLE : 0;
	memcpy(p + 1, text, strlen(text));
	flush(r);
	return 0;
}

static int walk(struct reader *r, struct archive_entry *e, int got)
{
	int64_t before = 0;

	for (; got == ARCHIVE_OK || got == ARCHIVE_WARN; got = archive_read_next_header(r->a, &e)) {
		if (one(r, e) != 0)
			return 1;
		got = archive_read_data_skip(r->a);
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN && got != ARCHIVE_EOF)
			return broken(r);
		before = archive_filter_bytes(r->a, 0);
		told_read(r);
	}
	if (got != ARCHIVE_EOF)
		return broken(r);
	/* Nothing but zeros: an empty tar, or any file that begins with many. */
	if (r->entries == 0 && r->plain && r->file_size > EMPTY_MAX)
		return fail(r, ARCH_NOT, "it is no archive");
	if (archive_read_has_encrypted_entries(r->a) > 0)
		return fail(r, ARCH_LOCKED, "it is encrypted");
	return r->entries > 0 && check_end(r, before) != 0 ? 1 : say_end(r);
}

/* Nothing but zeros, compressed: an empty tar, or any file that begins with many? */
static bool is_empty_tar(struct reader *r)
{
	struct archive_entry *e;
	uint64_t n = 0;
	const void *block;
	size_t len;
	int64_t at;

	if (open_as(r, true, &e) != ARCHIVE_OK)
		return false;
	while (n <= EMPTY_MAX && archive_read_data_block(r->a, &block, &len, &at) == ARCHIVE_OK)
		n = (uint64_t)at + len;
	return n <= EMPTY_MAX;
}

static bool looks_like_zip(void)
{
	char head[4];

	return fd_pread_full(ARCH_FD_SOURCE, head, 4, 0) == 4 && memcmp(head, "PK\3\4", 4) == 0;
}

int arch_read(const struct arch_read_options *o)
{
	struct reader r = { .o = o, .out = malloc(OUT_SIZE) };
	struct archive_entry *e = NULL;
	struct stat st;
	int got;

	if (!r.out || fstat(ARCH_FD_SOURCE, &st) < 0)
		return 1;
	r.file_size = (uint64_t)st.st_size;
	got = open_as(&r, false, &e);
	if (got == ARCHIVE_FATAL && r.a && archive_format(r.a) == 0) {
		/* No format knows it. Compressed, it is one file. */
		got = open_as(&r, true, &e);
		if (r.file_size == 0 || (got == ARCHIVE_OK && archive_filter_count(r.a) < 2))
			return looks_like_zip() ? fail(&r, ARCH_BROKEN, "its directory is missing")
						: fail(&r, ARCH_NOT, "it is no archive");
	}
	if (r.a && got == ARCHIVE_EOF && archive_filter_count(r.a) > 1)
		got = open_as(&r, !is_empty_tar(&r), &e);
	if (!r.a)
		return fail(&r, ARCH_FAILED, "no memory");
	r.plain = is_plain(r.a);
	return walk(&r, e, got);
}
