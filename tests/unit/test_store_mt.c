/* Many threads on one store: parts of one file each, files of their own, syncs and checkpoints. */
#include <pthread.h>

#include "tests/unit/store_kit.h"

#include <linux/falloc.h>

#define THREADS 4
#define PART    (300u * 1024 + 123) /* not whole blocks: neighbours share one */

static struct kit kit;
static struct cfile *shared;
static unsigned rounds = 60;

struct worker {
	pthread_t thread;
	unsigned index, bad;
	uint64_t rnd;
	uint8_t *mine; /* what this part of the shared file must hold */
};

static void part_step(struct worker *w, uint8_t *buf)
{
	uint64_t base = (uint64_t)w->index * PART;
	uint64_t off = kit_random(&w->rnd) % PART, len = 1 + kit_random(&w->rnd) % 100000;

	if (off + len > PART)
		len = PART - off;
	if (kit_random(&w->rnd) % 3) {
		memset(buf, (int)(kit_random(&w->rnd) % 255) + 1, len);
		w->bad += cfile_write(shared, buf, len, base + off) != (ssize_t)len;
		memcpy(w->mine + off, buf, len);
	} else if (kit_random(&w->rnd) % 4 == 0) {
		w->bad += cfile_allocate(shared, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 base + off, len) != 0;
		memset(w->mine + off, 0, len);
	} else {
		w->bad += cfile_read(shared, buf, len, base + off) != (ssize_t)len;
		w->bad += memcmp(buf, w->mine + off, len) != 0;
	}
}

static void own_file(struct worker *w, unsigned round, uint8_t *buf)
{
	struct cfile *f;
	char name[32];

	snprintf(name, sizeof(name), "own-%u-%u", w->index, round % 5);
	if (kit_open(&kit, name, &f) < 0 && kit_create(&kit, name, &f) < 0) {
		w->bad++;
		return;
	}
	memset(buf, (int)round, 9000);
	w->bad += cfile_truncate(f, 0) != 0;
	w->bad += cfile_write(f, buf, 9000, 0) != 9000;
	if (round % 3 == 0)
		w->bad += cfile_fsync(f, true) != 0;
	cfile_put(f);
	if (kit_open(&kit, name, &f) < 0) {
		w->bad++;
		return;
	}
	w->bad += cfile_read(f, buf, 10000, 0) != 9000 || buf[8999] != (uint8_t)round;
	cfile_put(f);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint8_t *buf = malloc(100000);

	for (unsigned i = 0; i < rounds; i++) {
		part_step(w, buf);
		own_file(w, i, buf);
		switch (kit_random(&w->rnd) % 8) {
		case 0:
			w->bad += cfile_fsync(shared, true) != 0;
			break;
		case 1:
			w->bad += i % 16 == 0 && store_sync(kit.s) != 0;
			break;
		case 2:
			cfile_note_metadata(shared);
			break;
		}
	}
	free(buf);
	return NULL;
}

static void verify(struct worker *w)
{
	uint8_t *buf = malloc(PART);

	for (unsigned i = 0; i < THREADS; i++) {
		CHECK_EQ(cfile_read(shared, buf, PART, (uint64_t)i * PART), PART);
		CHECK(memcmp(buf, w[i].mine, PART) == 0);
	}
	free(buf);
}

/* Bytes appended while everything before them is punched stay, in the same block, too. */
#define APPENDS 4000

static void *append(void *arg)
{
	struct cfile *f = arg;

	for (uint64_t i = 0; i < APPENDS; i++)
		if (cfile_write(f, "xxxxxxx", 7, i * 7) != 7)
			abort();
	return NULL;
}

static void punch_behind(void)
{
	static char buf[APPENDS * 7];
	uint64_t end = 0, lost = 0;
	pthread_t thread;
	struct cfile *f;

	CHECK_EQ(kit_create(&kit, "appended", &f), 0);
	pthread_create(&thread, NULL, append, f);
	while (end < sizeof(buf)) {
		ssize_t n;

		end = cfile_size(f);
		if (end > 0)
			CHECK_EQ(cfile_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
						end),
				 0);
		n = cfile_read(f, buf, sizeof(buf), 0);
		for (ssize_t i = 0; i < n; i++)
			lost += buf[i] != ((uint64_t)i < end ? 0 : 'x');
	}
	pthread_join(thread, NULL);
	CHECK_EQ(lost, 0);
	cfile_put(f);
}

int main(void)
{
	static struct worker w[THREADS];
	struct quota_usage u;
	uint64_t seed = kit_seed(), bytes;

	if (getenv("ROUNDS"))
		rounds = (unsigned)atoi(getenv("ROUNDS"));
	kit_start(&kit, SUITE_XCHACHA20, 1024, NULL);
	CHECK_EQ(kit_create(&kit, "shared", &shared), 0);
	CHECK_EQ(cfile_truncate(shared, THREADS * PART), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .index = i, .rnd = seed + i, .mine = calloc(1, PART) };
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		CHECK_EQ(w[i].bad, 0);
	}
	verify(w);
	quota_get(kit.quota, &u);
	CHECK_EQ(u.files, 1 + THREADS * 5);
	bytes = u.bytes;
	CHECK_EQ(bytes, quota_file_bytes(cfile_mapped(shared)) + THREADS * 5 * quota_file_bytes(3));
	cfile_put(shared);
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(kit_store_open(&kit), 0);
	CHECK_EQ(kit_open(&kit, "shared", &shared), 0);
	verify(w);
	cfile_put(shared);
	punch_behind();
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(kit.lines, 0);
	kit_end(&kit);
	return check_report();
}
