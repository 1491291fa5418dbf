/* Power cuts at random moments: nothing that was synced is lost, nothing is unreadable.
 *
 * For every byte of every file the model knows which values it may have after a crash: the one of
 * the last fsync that returned, and each one written since.  At a crash the state that the disk may
 * hold is built, opened as a store, and compared; sometimes it crashes again while it recovers.
 * That happens in a thread of its own, while the one that met the moment holds the simulator's
 * lock: nothing else changes meanwhile, for the models change under that lock, too.
 *
 * Random alone proves little: the situations that matter are counted (crash_seen.h), and one that
 * was never reached is a failure. */
#include <stdatomic.h>

#include "fs/blockmap.h"
#include "tests/unit/crash_model.h"
#include "tests/unit/crash_seen.h"
#include "tests/unit/fsck_kit.h"

/* What is done, and how often of a hundred. The rest: opening again, now and then all of it. */
struct mix {
	const char *name;
	unsigned write, truncate, punch, sync, unlink, retire;
	unsigned often; /* how many crashes, as a factor */
};

static uint64_t rnd;
static unsigned tried, bad, per_mille = 30;
static bool idle; /* clean states between any two changes */
static const struct mix *mix;
static bool armed;
static atomic_bool workers_ended;

static int complain(const char *name, const char *what, uint64_t at, uint64_t a, uint64_t b)
{
	fprintf(stderr, "%s: %s at %llu: %llu, %llu\n", name, what, (unsigned long long)at,
		(unsigned long long)a, (unsigned long long)b);
	return 1;
}

/* -- after the crash ------------------------------------------------------ */

struct visit {
	const char *dir;
	const struct sim_map *map;
	int depth;  /* crashes inside the recovery that may follow */
	bool inner; /* this one was inside a recovery */
	uint64_t seed;
	int bad;
};

/* Every file of the tree opens and reads, whoever it was. */
static int check_tree(struct kit *k, uint8_t *buf, uint64_t *mapped)
{
	DIR *d = fdopendir(openat(k->dirfd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	int bad_here = 0;

	*mapped = 0;
	while ((e = readdir(d)) && !bad_here) {
		struct cfile *f;

		if (e->d_name[0] == '.')
			continue;
		if (kit_open(k, e->d_name, &f) < 0) {
			bad_here = complain(e->d_name, "does not open", 0, 0, 0);
			break;
		}
		*mapped += quota_file_bytes(cfile_mapped(f));
		if (cfile_read(f, buf, FILE_MAX, 0) != (ssize_t)cfile_size(f))
			bad_here = complain(e->d_name, "does not read", 0, 0, 0);
		cfile_put(f);
	}
	closedir(d);
	return bad_here;
}

static int check_file(struct kit *k, const struct model *m, uint8_t *buf)
{
	struct cfile *f;
	uint64_t size;
	ssize_t n;
	int r = kit_open(k, m->name, &f);

	if (r == -ENOENT)
		return m->synced ? complain(m->name, "lost, though synced", 0, 0, 0) : 0;
	if (r < 0)
		return complain(m->name, "does not open", 0, (uint64_t)-r, 0);
	size = cfile_size(f);
	n = cfile_read(f, buf, FILE_MAX, 0);
	cfile_put(f);
	if (n != (ssize_t)size)
		return complain(m->name, "read", 0, (uint64_t)n, size);
	if ((m->synced && size < m->min_size) || size > m->max_size)
		return complain(m->name, "size", size, m->min_size, m->max_size);
	for (uint64_t i = 0; i < size; i++) {
		if (!(m->allowed[i] >> buf[i] & 1))
			return complain(m->name, "byte", i, buf[i], m->allowed[i]);
	}
	return 0;
}

static int check_store(struct kit *k)
{
	uint8_t *buf = malloc(FILE_MAX);
	struct quota_usage u;
	uint64_t mapped = 0;
	int bad_here = 0;

	for (int i = 0; i < NFILES; i++)
		bad_here |= check_file(k, &models[i], buf);
	bad_here |= check_tree(k, buf, &mapped);
	quota_get(k->quota, &u);
	if (u.bytes != mapped)
		bad_here |= complain("quota", "recount", 0, u.bytes, mapped);
	free(buf);
	return bad_here;
}

/* The check tells what a crash took from damage, and finds nothing after recovery. */
static int check_fsck(const struct kit *k, bool crashed)
{
	struct fsck_seen found = { 0 };
	unsigned wrong;
	int r = fsck_kit_run(k, false, &found);

	wrong = found.damage + found.unreadable + found.quota;
	if (!crashed)
		wrong += found.unsynced + found.unclean;
	if (r == 0 && wrong == 0)
		return 0;
	fprintf(stderr, "fsck (%s): %s\n", crashed ? "crashed" : "clean", found.first);
	return 1;
}

static void *visit_main(void *arg);

/* A thread has its own work space: that of the interrupted operation stays as it is. */
static int visit_dir(const char *dir, const struct sim_map *map, int depth, bool inside,
		     uint64_t seed)
{
	struct visit v = {
		.dir = dir, .map = map, .depth = depth, .inner = inside, .seed = seed, .bad = 1
	};
	pthread_t t;

	if (pthread_create(&t, NULL, visit_main, &v) == 0)
		pthread_join(t, NULL);
	return v.bad;
}

static void again(struct sim *s, void *ctx)
{
	struct visit *v = ctx;
	struct sim_map map;
	char dir[256];

	if (sim_pick(s, 40) != 0)
		return;
	sim_build(s, dir, &map);
	seen[SEEN_AGAIN]++;
	if (visit_dir(dir, &map, v->depth - 1, true, s->rnd)) {
		fprintf(stderr, "... after a second crash: %s\n", dir);
		v->bad = 1;
	}
	kit_remove_dir(dir);
}

/* How many files recovery looked at. */
static void on_line(void *ctx, const char *line)
{
	const struct visit *v = ctx;
	unsigned looked, all;

	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "store: %s\n", line);
	if (sscanf(line, "recovery: %u of %u files looked at,", &looked, &all) == 2 && looked < all)
		seen[v->inner ? SEEN_PART_AGAIN : SEEN_PART]++;
}

/* Open the directory as a store and compare; with 'depth', crash inside the recovery, too. */
static void *visit_main(void *arg)
{
	struct visit *v = arg;
	struct sim *inner = malloc(sizeof(*inner));
	struct kit k = kit;
	bool pad = kit.p.pad;

	v->bad = 0;
	sim_start(inner, v->dir, v->seed);
	inner->map = v->map;
	sim_add(inner, "log");
	sim_add_tree(inner);
	if (v->depth > 0) {
		inner->moment = again;
		inner->ctx = v;
	}
	snprintf(k.dir, sizeof(k.dir), "%s", v->dir);
	quota_new(0, 0, &k.quota);
	kit_params(&k, kit.p.suite, &inner->io);
	k.p.pad = pad;
	k.p.log = on_line;
	k.p.log_ctx = v;
	k.s = NULL;
	kit_open_dir(&k);
	v->bad |= check_fsck(&k, true);
	if (kit_store_open(&k) < 0)
		v->bad = 1;
	else
		v->bad |= check_store(&k) | (kit_close(&k) < 0);
	v->bad |= check_fsck(&k, false);
	/* Clean now, and the same again. */
	if (!v->bad && kit_store_open(&k) < 0)
		v->bad = 1;
	else if (!v->bad)
		v->bad |= check_store(&k) | (kit_close(&k) < 0);
	close(k.dirfd);
	close(k.tree);
	quota_free(k.quota);
	sim_end(inner);
	free(inner);
	return NULL;
}

static void moment(struct sim *s, void *ctx)
{
	struct sim_map map;
	char dir[256];

	if (!armed || sim_pick(s, 1000) >= per_mille * mix->often)
		return;
	sim_build(s, dir, &map);
	tried++;
	seen_note(s, dir, &kit.p, kit.s && atomic_load(&kit.s->shut));
	if (visit_dir(dir, &map, sim_pick(s, 3) == 0, false, s->rnd)) {
		bad++;
		fprintf(stderr, "%s, crash %u at operation %llu: %s\n", mix->name, tried,
			(unsigned long long)s->nops, dir);
		if (getenv("KIT_KEEP"))
			return;
	}
	kit_remove_dir(dir);
}

/* -- before it ------------------------------------------------------------ */

static void step(struct model *m)
{
	unsigned op = (unsigned)pick(&m->rnd, 100);

	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "%s: %u, size %llu\n", m->name, op, (unsigned long long)m->size);
	if (idle && pick(&m->rnd, 12) == 0)
		CHECK_EQ(store_sync(kit.s), 0); /* beside others: it promises them nothing */
	if (!m->exists) {
		do_create(m);
	} else if (op < mix->write) {
		do_write(m);
	} else if ((op -= mix->write) < mix->truncate) {
		do_truncate(m);
	} else if ((op -= mix->truncate) < mix->punch) {
		do_punch(m);
	} else if ((op -= mix->punch) < mix->sync) {
		do_sync(m);
	} else if ((op -= mix->sync) < mix->unlink) {
		do_unlink(m);
	} else if ((op -= mix->unlink) < mix->retire) {
		/* As when much was logged past a cut: DEAD, and the log is not reclaimed. */
		CHECK_EQ(cfile_retire(m->f), 0);
	} else {
		do_reopen(m);
	}
}

/* -- campaigns ------------------------------------------------------------ */

struct worker {
	int first, count; /* of the models */
	unsigned steps;
	uint64_t rnd;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->steps && !bad && !check_failures; i++)
		step(&models[w->first + (int)pick(&w->rnd, (uint64_t)w->count)]);
	return NULL;
}

static void for_all(void (*fn)(struct model *m))
{
	for (int i = 0; i < NFILES; i++) {
		if (models[i].exists)
			fn(&models[i]);
	}
}

static void put_one(struct model *m)
{
	cfile_put(m->f);
}

static void open_one(struct model *m)
{
	CHECK_EQ(kit_open(&kit, m->name, &m->f), 0);
}

/* Between two rounds nobody else runs: all of it synced, or even closed and opened. */
static void pause_all(void)
{
	switch (pick(&rnd, 4)) {
	case 0:
		CHECK_EQ(store_sync(kit.s), 0);
		for_all(now_durable);
		break;
	case 1:
		for_all(put_one);
		CHECK_EQ(kit_close(&kit), 0);
		for_all(now_durable);
		CHECK_EQ(kit_store_open(&kit), 0);
		for_all(open_one);
		break;
	}
}

/* Syncs files while others write them. */
static void *race(void *arg)
{
	uint64_t r = *(uint64_t *)arg;

	while (!atomic_load(&workers_ended) && !bad && !check_failures) {
		race_sync(&models[pick(&r, NFILES)], pick(&r, 2));
		usleep((useconds_t)pick(&r, 500));
	}
	return NULL;
}

static void one_round(int threads, unsigned steps, bool racing)
{
	struct worker w[2];
	uint64_t seed = kit_random(&rnd);
	pthread_t t[2], racer;

	atomic_store(&workers_ended, false);
	if (racing)
		pthread_create(&racer, NULL, race, &seed);
	for (int i = 0; i < threads; i++) {
		w[i] = (struct worker){ i * (NFILES / 2), NFILES / threads,
					steps / (unsigned)threads, kit_random(&rnd) };
		pthread_create(&t[i], NULL, work, &w[i]);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	atomic_store(&workers_ended, true);
	if (racing)
		pthread_join(racer, NULL);
}

static void campaign(const struct mix *x, uint8_t suite, uint32_t ring, bool pad, int threads,
		     unsigned steps)
{
	mix = x;
	kit_begin(&kit, suite, ring, pad, kit_numbered_io(KIT_APART));
	kit_close(&kit);
	sim_start(&sim, kit.dir, kit_random(&rnd));
	sim_add(&sim, "log");
	sim.moment = moment;
	start_models(&rnd);
	kit.p.io = &sim.io;
	kit.p.idle_ms = idle ? 1 : 0;
	armed = true;
	CHECK_EQ(kit_store_open(&kit), 0);
	for (int round = 0; round < 4 && !bad && !check_failures; round++) {
		one_round(threads, steps / 4, round % 2);
		pause_all();
	}
	for_all(put_one);
	kit_close(&kit);
	armed = false;
	end_models();
	sim_end(&sim);
	kit_end(&kit);
}

/* With the instruments of a sanitizer every step takes several times as long. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STEPS 160
#endif
#endif
#ifndef STEPS
#define STEPS 400
#endif

static const struct mix mixes[] = {
	{ "anything", 55, 8, 5, 18, 3, 1, 1 },
	{ "overwriting", 70, 2, 2, 20, 0, 2, 2 }, /* the log fills */
	{ "removing", 50, 6, 2, 20, 12, 1, 1 },
	{ "cutting", 45, 20, 10, 13, 2, 6, 2 }, /* then direct writes again, beside DEAD */
};

int main(void)
{
	unsigned steps = getenv("CRASH_STEPS") ? (unsigned)atoi(getenv("CRASH_STEPS")) : STEPS;

	if (getenv("CRASH_PER_MILLE"))
		per_mille = (unsigned)atoi(getenv("CRASH_PER_MILLE"));
	rnd = kit_seed();
	/* More than twelve only while something that must be met was not. */
	for (unsigned i = 0; i < 48 && !bad && !check_failures && (i < 12 || !seen_all()); i++) {
		idle = i / 2 % 2;
		campaign(&mixes[i % 4],
			 i % 5 == 3 && block_suite_available(SUITE_AES_GCM) ? SUITE_AES_GCM
									    : SUITE_XCHACHA20,
			 i % 3 == 2 ? 512 : 128, i % 3 == 1, 1 + i % 2, steps);
	}
	CHECK_EQ(bad, 0);
	printf("%u crashes tried\n", tried);
	if (per_mille > 0 && !bad && !check_failures)
		seen_report();
	return check_report();
}
