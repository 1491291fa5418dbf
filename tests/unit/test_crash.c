/* Power cuts at random moments: nothing that was synced is lost, nothing is unreadable.
 *
 * For every byte of every file the model knows which values it may have after a crash: the one of
 * the last fsync that returned, and each one written since.  A crash is tried in a forked child:
 * it builds what the disk may hold, opens the store, compares; sometimes it crashes again while the
 * store recovers. */
#include "tests/unit/crash_sim.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/wait.h>

#include "fs/blockmap.h"

#define NFILES   3
#define FILE_MAX (48u * 4096)

struct model {
	char name[16];
	bool exists, synced;
	uint8_t *now;
	uint64_t *allowed;       /* bit v: the byte may be v */
	uint64_t size, min_size; /* min: since the last fsync */
	uint64_t max_size;       /* same */
	struct cfile *f;
};

static struct model models[NFILES];
static struct sim sim;
static uint64_t rnd;
static unsigned tried, bad, per_mille = 50;
static struct kit kit;
static uint8_t suite = SUITE_XCHACHA20;
static bool armed;

static uint64_t pick(uint64_t n)
{
	return kit_random(&rnd) % n;
}

static int complain(const char *name, const char *what, uint64_t at, uint64_t a, uint64_t b)
{
	fprintf(stderr, "%s: %s at %llu: %llu, %llu\n", name, what, (unsigned long long)at,
		(unsigned long long)a, (unsigned long long)b);
	return 1;
}

/* Every file of the tree opens and reads, whoever it was. */
static int check_tree(struct kit *k, uint64_t *mapped)
{
	DIR *d = fdopendir(openat(k->dirfd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	uint8_t *buf = malloc(FILE_MAX);
	struct dirent *e;
	int bad_here = 0;

	*mapped = 0;
	while ((e = readdir(d)) && !bad_here) {
		struct cfile *f;

		if (e->d_name[0] == '.')
			continue;
		if (kit_open(k, e->d_name, &f) < 0)
			return complain(e->d_name, "does not open", 0, 0, 0);
		*mapped += quota_file_bytes(cfile_mapped(f));
		if (cfile_read(f, buf, FILE_MAX, 0) != (ssize_t)cfile_size(f))
			bad_here = complain(e->d_name, "does not read", 0, 0, 0);
		cfile_put(f);
	}
	closedir(d);
	free(buf);
	return bad_here;
}

static int check_file(struct kit *k, const struct model *m)
{
	uint8_t *buf = malloc(FILE_MAX);
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
	free(buf);
	return 0;
}

static int check_dir(const char *dir, int depth, uint64_t seed);

static void again(struct sim *s, void *ctx)
{
	int depth = *(int *)ctx, status;
	char dir[256];
	pid_t pid;

	if (sim_pick(s, 20) != 0)
		return;
	sim_build(s, dir);
	pid = fork();
	if (pid == 0)
		_exit(check_dir(dir, depth - 1, s->rnd));
	waitpid(pid, &status, 0);
	kit_remove_dir(dir);
	if (status != 0) {
		fprintf(stderr, "... after a second crash\n");
		_exit(1);
	}
}

/* Open the directory as a store and compare; with 'depth', crash inside the recovery, too. */
static int check_dir(const char *dir, int depth, uint64_t seed)
{
	static struct sim inner;
	struct kit k = kit;
	uint64_t mapped = 0;
	struct quota_usage u;
	int bad_here = 0;

	sim_start(&inner, dir, seed);
	sim_add(&inner, "log");
	sim_add_tree(&inner);
	if (depth > 0) {
		inner.moment = again;
		inner.ctx = &depth;
	}
	snprintf(k.dir, sizeof(k.dir), "%s", dir);
	quota_new(0, 0, &k.quota);
	kit_params(&k, suite, &inner.io);
	k.p.log_ctx = &k;
	k.s = NULL;
	kit_open_dir(&k);
	if (kit_store_open(&k) < 0)
		return 1;
	for (int i = 0; i < NFILES; i++)
		bad_here |= check_file(&k, &models[i]);
	bad_here |= check_tree(&k, &mapped);
	quota_get(k.quota, &u);
	if (u.bytes != mapped)
		bad_here |= complain("quota", "recount", 0, u.bytes, mapped);
	/* Clean now, and the same again. */
	if (kit_close(&k) < 0 || kit_store_open(&k) < 0)
		return 1;
	for (int i = 0; i < NFILES; i++)
		bad_here |= check_file(&k, &models[i]);
	return bad_here | (kit_close(&k) < 0);
}

static void moment(struct sim *s, void *ctx)
{
	char dir[256];
	int status;
	pid_t pid;

	if (!armed || sim_pick(s, 1000) >= per_mille)
		return;
	sim_build(s, dir);
	tried++;
	pid = fork();
	if (pid == 0)
		_exit(check_dir(dir, sim_pick(s, 3) == 0, s->rnd));
	waitpid(pid, &status, 0);
	if (status != 0) {
		bad++;
		fprintf(stderr, "crash %u at operation %llu: %s\n", tried,
			(unsigned long long)s->nops, dir);
	}
	if (status == 0 || !getenv("KIT_KEEP"))
		kit_remove_dir(dir);
}

static void note_write(struct model *m, uint64_t off, uint64_t len, uint8_t value)
{
	if (off + len > m->max_size)
		m->max_size = off + len;
	for (uint64_t i = off; i < off + len; i++)
		m->allowed[i] |= UINT64_C(1) << value;
}

static void do_write(struct model *m)
{
	static uint8_t buf[FILE_MAX];
	static uint8_t counter;
	uint64_t off = pick(3) ? pick(m->size + 1) : pick(FILE_MAX - 1);
	uint64_t len = pick(3) ? 1 + pick(300) : 1 + pick(30000);

	if (pick(3) == 0) {
		off &= ~UINT64_C(4095);
		len = 4096 * (1 + pick(6));
	}
	if (off + len > FILE_MAX)
		len = FILE_MAX - off;
	if (len == 0)
		return;
	counter = counter % 62 + 1;
	memset(buf, counter, len);
	note_write(m, off, len, counter);
	CHECK_EQ(cfile_write(m->f, buf, len, off), len);
	memset(m->now + off, counter, len);
	if (off + len > m->size)
		m->size = off + len;
}

static void do_truncate(struct model *m)
{
	uint64_t size = pick(4) == 0 ? 0 : pick(2) ? pick(m->size + 1) : pick(FILE_MAX);

	if (size < m->min_size)
		m->min_size = size;
	if (size > m->max_size)
		m->max_size = size;
	for (uint64_t i = size; i < FILE_MAX; i++)
		m->allowed[i] |= 1;
	CHECK_EQ(cfile_truncate(m->f, size), 0);
	if (size < m->size)
		memset(m->now + size, 0, m->size - size);
	m->size = size;
}

static void do_punch(struct model *m)
{
	uint64_t off = pick(m->size + 1), len = 1 + pick(40000);

	for (uint64_t i = off; i < off + len && i < FILE_MAX; i++)
		m->allowed[i] |= 1;
	CHECK_EQ(cfile_allocate(m->f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len), 0);
	if (off < m->size)
		memset(m->now + off, 0, off + len > m->size ? m->size - off : len);
}

static void now_durable(struct model *m)
{
	m->synced = true;
	m->min_size = m->max_size = m->size;
	for (uint64_t i = 0; i < FILE_MAX; i++)
		m->allowed[i] = UINT64_C(1) << m->now[i];
}

/* The slot takes a new file, of a new name. */
static void reset(struct model *m)
{
	static unsigned names;

	m->exists = m->synced = false;
	m->size = m->min_size = m->max_size = 0;
	snprintf(m->name, sizeof(m->name), "f%u", names++);
	memset(m->now, 0, FILE_MAX);
	for (uint64_t k = 0; k < FILE_MAX; k++)
		m->allowed[k] = 1;
}

static void do_reopen(struct model *m)
{
	cfile_put(m->f);
	CHECK_EQ(kit_open(&kit, m->name, &m->f), 0);
}

/* Maybe while it is still open, as temporary files are. */
static void do_unlink(struct model *m)
{
	char path[32];

	m->synced = false; /* it may be gone from now on */
	snprintf(path, sizeof(path), "t/%s", m->name);
	sim_unlink(&sim, path);
	cfile_note_unlinked(m->f);
	if (pick(2))
		do_write(m);
	cfile_put(m->f);
	reset(m);
}

static void remount(void)
{
	for (int i = 0; i < NFILES; i++) {
		if (models[i].exists)
			cfile_put(models[i].f);
	}
	CHECK_EQ(kit_close(&kit), 0);
	for (int i = 0; i < NFILES; i++) {
		if (models[i].exists)
			now_durable(&models[i]);
	}
	CHECK_EQ(kit_store_open(&kit), 0);
	for (int i = 0; i < NFILES; i++) {
		if (models[i].exists)
			CHECK_EQ(kit_open(&kit, models[i].name, &models[i].f), 0);
	}
}

static void step(void)
{
	struct model *m = &models[pick(NFILES)];
	uint64_t op = pick(100);

	if (getenv("KIT_VERBOSE"))
		fprintf(stderr, "%s: %llu, size %llu\n", m->name, (unsigned long long)op,
			(unsigned long long)m->size);
	if (!m->exists) {
		CHECK_EQ(kit_create(&kit, m->name, &m->f), 0);
		m->exists = true;
		return;
	}
	if (op < 55) {
		do_write(m);
	} else if (op < 63) {
		do_truncate(m);
	} else if (op < 68) {
		do_punch(m);
	} else if (op < 84) {
		CHECK_EQ(cfile_fsync(m->f, pick(2)), 0);
		now_durable(m);
	} else if (op < 92) {
		do_reopen(m);
	} else if (op < 93) {
		CHECK_EQ(store_sync(kit.s), 0);
		for (int i = 0; i < NFILES; i++) {
			if (models[i].exists)
				now_durable(&models[i]);
		}
	} else if (op < 95) {
		do_unlink(m);
	} else if (op < 96 && pick(4) == 0) {
		remount();
	}
}

static void campaign(uint8_t with, uint32_t ring, unsigned steps)
{
	suite = with;
	kit_start(&kit, suite, ring, NULL);
	kit_close(&kit);
	sim_start(&sim, kit.dir, kit_random(&rnd));
	sim_add(&sim, "log");
	sim.moment = moment;
	for (int i = 0; i < NFILES; i++) {
		struct model *m = &models[i];

		m->now = malloc(FILE_MAX);
		m->allowed = malloc(FILE_MAX * sizeof(uint64_t));
		reset(m);
	}
	kit.p.io = &sim.io;
	armed = true;
	CHECK_EQ(kit_store_open(&kit), 0);
	for (unsigned i = 0; i < steps && !bad && !check_failures; i++)
		step();
	for (int i = 0; i < NFILES; i++) {
		if (models[i].exists)
			cfile_put(models[i].f);
	}
	kit_close(&kit);
	armed = false;
	for (int i = 0; i < NFILES; i++) {
		free(models[i].now);
		free(models[i].allowed);
	}
	sim_end(&sim);
	kit_end(&kit);
}

int main(void)
{
	unsigned steps = getenv("CRASH_STEPS") ? (unsigned)atoi(getenv("CRASH_STEPS")) : 250;

	if (getenv("CRASH_PER_MILLE"))
		per_mille = (unsigned)atoi(getenv("CRASH_PER_MILLE"));
	rnd = kit_seed();
	for (int i = 0; i < 8 && !bad; i++)
		campaign(i == 3 && block_suite_available(SUITE_AES_GCM) ? SUITE_AES_GCM
									: SUITE_XCHACHA20,
			 i % 2 ? 128 : 512, steps);
	CHECK_EQ(bad, 0);
	printf("%u crashes tried\n", tried);
	return check_report();
}
