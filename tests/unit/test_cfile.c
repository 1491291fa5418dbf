/* An encrypted file against a plain array: random operations, reopened and remounted in between. */
#include "tests/unit/store_kit.h"

#include <linux/falloc.h>

#include "fs/blockmap.h"

#define MODEL_MAX (3u << 20)

struct model {
	uint8_t *data;
	uint64_t size;
};

static uint64_t rnd;

static uint64_t pick(uint64_t n)
{
	return kit_random(&rnd) % n;
}

static void verify(struct cfile *f, const struct model *m, const char *when)
{
	uint8_t *buf = malloc(MODEL_MAX);
	ssize_t n = cfile_read(f, buf, MODEL_MAX, 0);

	CHECK_EQ(cfile_size(f), m->size);
	CHECK_EQ(n, m->size);
	if (n == (ssize_t)m->size && memcmp(buf, m->data, m->size) != 0) {
		uint64_t i = 0;

		while (buf[i] == m->data[i])
			i++;
		fprintf(stderr, "%s: first difference at %llu of %llu\n", when,
			(unsigned long long)i, (unsigned long long)m->size);
		CHECK(!"content equals the model");
	}
	free(buf);
}

static void do_write(struct cfile *f, struct model *m)
{
	static uint8_t buf[700000];
	uint64_t off = pick(4) ? pick(m->size + 1) : pick(MODEL_MAX / 2), len;

	switch (pick(4)) {
	case 0:
		len = 1 + pick(100);
		break;
	case 1:
		off &= ~UINT64_C(4095);
		len = 4096 * (1 + pick(4));
		break;
	case 2:
		off &= ~UINT64_C(4095);
		len = 4096 * (1 + pick(170));
		break;
	default:
		len = 1 + pick(sizeof(buf));
	}
	len = len > sizeof(buf) ? sizeof(buf) : len;
	if (off + len > MODEL_MAX)
		len = MODEL_MAX - off;
	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t v = kit_random(&rnd);

		memcpy(buf + i, &v, len - i < 8 ? len - i : 8);
	}
	CHECK_EQ(cfile_write(f, buf, len, off), len);
	memcpy(m->data + off, buf, len);
	if (off + len > m->size)
		m->size = off + len;
}

static void do_truncate(struct cfile *f, struct model *m)
{
	uint64_t size = pick(3) ? pick(m->size + 5000) : pick(MODEL_MAX);

	if (size > MODEL_MAX)
		size = MODEL_MAX;
	if (pick(8) == 0)
		size = 0;
	CHECK_EQ(cfile_truncate(f, size), 0);
	if (size < m->size)
		memset(m->data + size, 0, m->size - size);
	m->size = size;
}

static void do_punch(struct cfile *f, struct model *m)
{
	uint64_t off = pick(m->size + 1), len = 1 + pick(300000);
	int mode = pick(2) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
			   : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	CHECK_EQ(cfile_allocate(f, mode, off, len), 0);
	if (off < m->size)
		memset(m->data + off, 0, off + len > m->size ? m->size - off : len);
}

/* Mapped blocks must contain every byte that is not zero, and the quota follows them. */
static void check_seek(struct kit *k, struct cfile *f, const struct model *m)
{
	uint64_t at = 0, mapped = 0;
	struct quota_usage u;

	while (at < m->size) {
		off_t data = cfile_seek(f, at, SEEK_DATA);
		uint64_t stop = data < 0 ? m->size : (uint64_t)data;
		off_t hole;

		CHECK(data >= 0 || data == -ENXIO);
		for (uint64_t i = at; i < stop; i++) {
			if (m->data[i]) {
				CHECK(!"a hole reads as zeros");
				break;
			}
		}
		if (data < 0)
			break;
		hole = cfile_seek(f, stop, SEEK_HOLE);
		CHECK(hole > data);
		mapped += blockmap_count((uint64_t)hole) - stop / BLOCK_SIZE;
		at = (uint64_t)hole;
	}
	CHECK_EQ(cfile_mapped(f), mapped);
	quota_get(k->quota, &u);
	CHECK_EQ(u.bytes, quota_file_bytes(mapped));
	CHECK_EQ(u.files, 1);
}

static void reopen(struct kit *k, struct cfile **f, bool remount)
{
	struct stat st;
	uint64_t size = cfile_size(*f);

	cfile_put(*f);
	if (remount) {
		CHECK_EQ(kit_close(k), 0);
		CHECK_EQ(fstatat(k->tree, "f", &st, 0), 0);
		CHECK_EQ(st.st_size, blockmap_backing_size(size, k->p.pad));
		quota_set_used(k->quota, 0, 0);
		CHECK_EQ(kit_store_open(k), 0);
	}
	CHECK_EQ(kit_open(k, "f", f), 0);
	CHECK_EQ(cfile_size(*f), size);
}

static void one_file(uint8_t suite, bool pad, uint32_t ring, unsigned ops)
{
	struct model m = { calloc(1, MODEL_MAX), 0 };
	struct cfile *f;
	struct kit k;

	kit_start(&k, suite, ring, NULL);
	kit_close(&k);
	k.p.pad = pad;
	kit_store_open(&k);
	CHECK_EQ(kit_create(&k, "f", &f), 0);
	for (unsigned i = 0; i < ops && !check_failures; i++) {
		uint64_t op = pick(100);

		if (getenv("KIT_VERBOSE"))
			fprintf(stderr, "op %u: %llu size %llu\n", i, (unsigned long long)op,
				(unsigned long long)m.size);
		if (op < 50)
			do_write(f, &m);
		else if (op < 62)
			do_truncate(f, &m);
		else if (op < 70)
			do_punch(f, &m);
		else if (op < 80)
			CHECK_EQ(cfile_fsync(f, pick(2)), 0);
		else if (op < 86)
			reopen(&k, &f, false);
		else if (op < 90)
			reopen(&k, &f, true);
		else if (op < 93)
			CHECK_EQ(store_sync(k.s), 0);
		verify(f, &m, "during");
		if (pick(4) == 0)
			check_seek(&k, f, &m);
	}
	reopen(&k, &f, true);
	verify(f, &m, "after the last mount");
	cfile_put(f);
	CHECK_EQ(kit_close(&k), 0);
	CHECK_EQ(k.lines, 0);
	kit_end(&k);
	free(m.data);
}

int main(void)
{
	rnd = kit_seed();
	one_file(SUITE_XCHACHA20, false, 2048, 300);
	one_file(SUITE_XCHACHA20, true, 1024, 200);
	one_file(SUITE_XCHACHA20, false, 128, 300);
	if (block_suite_available(SUITE_AES_GCM))
		one_file(SUITE_AES_GCM, false, 4096, 300);
	return check_report();
}
