/* Power cuts in the recorded life of a workspace: many states that the disk may be left in, each
 * opened, mended and compared with what was promised.
 *
 *   crash_check [--seed N] [--count N] [--only N] [--keep] [--lie] [--own] [--scratch DIR]
 *               [--database PROGRAM] PLACE
 *
 * PLACE holds ws/ (whose keys open the states), before/, inodes, trace and journal: see
 * tests/lib/crash.py.  Exit code 1 when a state broke a promise. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "fs/cfile.h"
#include "fs/name.h"
#include "fs/out.h"
#include "fs/quota.h"
#include "fs/store.h"
#include "fs/store_io.h"
#include "fs/volume.h"
#include "keys/secret.h"
#include "tests/crash/disk.h"
#include "tests/crash/model.h"

struct check {
	struct volume *vol;
	struct disk *disk;
	struct model *model;
	char scratch[512], dir[600], dump[600];
	bool keep;
	FILE *ask, *answer; /* the program that looks at databases */

	/* One state. */
	struct store *store;
	struct quota *quota;
	struct out *out;
	int fd;
	unsigned number, complaints, lines;
	uint64_t at;
	bool quiet_expected; /* second opening */
	bool *met;           /* by number of the model's path */

	unsigned states, lost, unreadable, emptied, mended;
};

static void complain(struct check *c, const char *path, const char *why)
{
	if (c->complaints++ < 5)
		fprintf(stderr, "state %u, before record %llu: /%s: %s\n", c->number,
			(unsigned long long)c->at, path, why);
	if (strncmp(why, "lost", 4) == 0)
		c->lost++;
	else
		c->unreadable++;
}

static void on_line(void *ctx, const char *line)
{
	struct check *c = ctx;

	if (getenv("CRASH_VERBOSE"))
		fprintf(stderr, "  %s\n", line);
	c->emptied += strstr(line, "never synced") != NULL;
	c->mended += strstr(line, "were not durable") != NULL;
	if (strstr(line, "damaged:") || strstr(line, "left out") || strstr(line, "id is missing") ||
	    c->quiet_expected)
		complain(c, "", line);
}

/* -- the state as a store ------------------------------------------------- */

static int no_sync(void *ctx, int fd)
{
	return 0;
}

/* The state lives in memory, or need not outlive us. */
static struct store_io io_without_syncs(void)
{
	struct store_io io = store_io_system;

	io.fdatasync = io.fsync = io.syncfs = no_sync;
	return io;
}

static int open_state(struct check *c)
{
	static struct store_io io;
	struct store_params sp = { 0 };
	struct out_params op = { 0 };
	struct err err = { 0 };
	int r;

	io = io_without_syncs();
	c->fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0 || quota_new(0, 0, &c->quota) < 0)
		return -EIO;
	volume_store_params(c->vol, &sp);
	sp.quota = c->quota;
	sp.io = &io;
	sp.log = on_line;
	sp.log_ctx = c;
	r = store_open(c->fd, &sp, &c->store, &err);
	if (r == 0) {
		op = (struct out_params){ .store = c->store,
					  .quota = c->quota,
					  .keys = volume_name_keys(c->vol),
					  .flat = volume_flat(c->vol),
					  .log = on_line,
					  .log_ctx = c };
		r = out_new(&op, &c->out, &err);
	}
	if (r < 0)
		complain(c, "", err.text);
	return r;
}

static void close_state(struct check *c)
{
	struct err err = { 0 };

	out_free(c->out);
	c->out = NULL;
	if (c->store && store_close(c->store, &err) < 0)
		complain(c, "", err.text);
	c->store = NULL;
	quota_free(c->quota);
	c->quota = NULL;
	close(c->fd);
}

/* -- looking at everything ------------------------------------------------ */

static void dump_file(struct check *c, const char *path, const uint8_t *data, uint64_t size)
{
	char to[4096];
	const char *name = strrchr(path, '/');
	int fd;

	snprintf(to, sizeof(to), "%s/%s", c->dump, name ? name + 1 : path);
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		fprintf(stderr, "%s: %s\n", to, strerror(errno));
		exit(2);
	}
	close(fd);
}

static void look_at_file(struct check *c, const char *path, uint64_t nodeid, uint64_t size,
			 struct found *f, uint8_t **ret_buf)
{
	struct node *h;
	uint8_t *buf = *ret_buf = malloc(size + 4096);
	ssize_t n;
	int r = out_open(c->out, nodeid, O_RDONLY, &h);

	if (r < 0) {
		complain(c, path, strerror(-r));
		return;
	}
	n = out_read(h, buf, size + 4096, 0);
	if (n < 0)
		complain(c, path, strerror((int)-n));
	else if ((uint64_t)n != size)
		complain(c, path, "its size is not what can be read");
	out_release(c->out, h, O_RDONLY);
	f->data = buf;
	f->size = n < 0 ? 0 : (uint64_t)n;
}

static void judge(struct check *c, const char *path, const struct found *f)
{
	const char *why;

	for (unsigned i = 0; i < model_paths(c->model); i++) {
		if (strcmp(model_path(c->model, i), path) == 0)
			c->met[i] = true;
	}
	why = model_is_free(c->model, path) ? NULL : model_check(c->model, path, f);
	if (why)
		complain(c, path, why);
}

static void look_at(struct check *c, const char *path, const struct out_entry *e)
{
	char target[4097];
	uint8_t *buf = NULL;
	struct found f = { 0 };
	int r;

	if (S_ISREG(e->st.st_mode)) {
		f.type = 'f';
		look_at_file(c, path, e->nodeid, (uint64_t)e->st.st_size, &f, &buf);
		if (model_is_free(c->model, path))
			dump_file(c, path, buf, f.size);
	} else if (S_ISLNK(e->st.st_mode)) {
		f.type = 'l';
		r = out_readlink(c->out, e->nodeid, target, sizeof(target));
		if (r < 0)
			complain(c, path, strerror(-r));
		f.data = (const uint8_t *)target;
		f.size = r < 0 ? 0 : strlen(target);
	} else {
		f.type = S_ISDIR(e->st.st_mode) ? 'd' : 's';
	}
	judge(c, path, &f);
	free(buf);
}

static void walk(struct check *c, const char *path, uint64_t nodeid)
{
	struct out_dirit it;
	struct out_dirent d;
	struct out_entry e;
	char *below = malloc(4096);
	int r = out_dir_begin(c->out, nodeid, 0, &it);

	if (r < 0) {
		complain(c, path, "the directory cannot be listed");
		free(below);
		return;
	}
	/* One after the other: the directory is locked while it is listed. */
	struct {
		char name[256];
	} *names = NULL;
	size_t n = 0, cap = 0;

	while (out_dir_next(&it, &d)) {
		if (d.is_dot)
			continue;
		if (n == cap)
			names = realloc(names, (cap = cap ? cap * 2 : 16) * sizeof(*names));
		snprintf(names[n++].name, sizeof(names[0].name), "%s", d.name);
	}
	out_dir_end(&it);
	for (size_t i = 0; i < n; i++) {
		snprintf(below, 4096, "%s%s%s", path, *path ? "/" : "", names[i].name);
		r = out_lookup(c->out, nodeid, names[i].name, &e);
		if (r < 0) {
			complain(c, below, strerror(-r));
			continue;
		}
		look_at(c, below, &e);
		if (S_ISDIR(e.st.st_mode))
			walk(c, below, e.nodeid);
		out_forget(c->out, e.nodeid, 1);
	}
	free(names);
	free(below);
}

/* -- the quota's sums ----------------------------------------------------- */

static struct check *counting;
static uint64_t count_bytes, count_files;
static struct {
	uint64_t ino[1024];
	size_t n;
} linked;

static bool counted_before(const struct stat *st)
{
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return false;
	for (size_t i = 0; i < linked.n; i++) {
		if (linked.ino[i] == st->st_ino)
			return true;
	}
	if (linked.n < 1024)
		linked.ino[linked.n++] = st->st_ino;
	return false;
}

static int count_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct cfile_stat cs;
	int fd;

	if (ftw->level == 0 || name_is_sidecar(path + ftw->base) || counted_before(st))
		return 0;
	count_files++;
	count_bytes += QUOTA_PAGE;
	if (!S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && cfile_peek(counting->store, fd, &cs) == 0)
		count_bytes += quota_file_bytes(cs.mapped) - QUOTA_PAGE;
	if (fd >= 0)
		close(fd);
	return 0;
}

static void recount(struct check *c)
{
	struct quota_usage u;
	char tree[700], why[200];

	counting = c;
	count_bytes = count_files = linked.n = 0;
	snprintf(tree, sizeof(tree), "%s/t", c->dir);
	nftw(tree, count_one, 32, FTW_PHYS);
	quota_get(c->quota, &u);
	if (u.bytes == count_bytes && u.files == count_files)
		return;
	snprintf(why, sizeof(why), "the quota says %llu bytes, %llu files; there are %llu and %llu",
		 (unsigned long long)u.bytes, (unsigned long long)u.files,
		 (unsigned long long)count_bytes, (unsigned long long)count_files);
	complain(c, "", why);
}

/* -- one state ------------------------------------------------------------ */

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void remove_dir(const char *dir)
{
	nftw(dir, rm_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* The database in the dump, as another program sees it. */
static void check_database(struct check *c)
{
	uint64_t least, most, n;
	char line[512];

	model_transactions(c->model, &least, &most);
	fprintf(c->ask, "%s\n", c->dump);
	fflush(c->ask);
	if (!fgets(line, sizeof(line), c->answer)) {
		fprintf(stderr, "the program that looks at databases has ended\n");
		exit(2);
	}
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "ok ", 3) != 0) {
		complain(c, "database", line);
		return;
	}
	n = strtoull(line + 3, NULL, 10);
	if (n < least || n > most) {
		snprintf(line, sizeof(line), "lost: %llu transactions, expected %llu to %llu",
			 (unsigned long long)n, (unsigned long long)least,
			 (unsigned long long)most);
		complain(c, "database", line);
	}
}

static void look_at_all(struct check *c)
{
	const struct found nothing = { 0 };

	memset(c->met, 0, model_paths(c->model) * sizeof(*c->met));
	if (c->ask) {
		remove_dir(c->dump);
		mkdir(c->dump, 0700);
	}
	walk(c, "", 1);
	for (unsigned i = 0; i < model_paths(c->model); i++) {
		if (!c->met[i])
			judge(c, model_path(c->model, i), &nothing);
	}
	recount(c);
	if (c->ask)
		check_database(c);
}

static void check_state(struct check *c, uint64_t rnd)
{
	c->complaints = 0;
	if (mkdir(c->dir, 0700) < 0) {
		fprintf(stderr, "%s: %s\n", c->dir, strerror(errno));
		exit(2);
	}
	disk_build(c->disk, c->dir, &rnd);
	c->states++;
	if (open_state(c) == 0)
		look_at_all(c);
	close_state(c);
	/* Clean now, and the same again. */
	c->quiet_expected = true;
	if (c->complaints == 0 && open_state(c) == 0)
		look_at_all(c);
	if (c->store)
		close_state(c);
	c->quiet_expected = false;
	if (!c->keep || c->complaints == 0)
		remove_dir(c->dir);
	else
		fprintf(stderr, "kept: %s\n", c->dir);
}

/* -- all ------------------------------------------------------------------ */

struct options {
	uint64_t seed;
	unsigned count;
	long only;
	bool lie, own;
	const char *place, *scratch, *database;
};

static uint64_t mix(uint64_t z)
{
	z += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void run(struct check *c, const struct options *o)
{
	uint64_t records = disk_records(c->disk), *at = malloc((o->count + 1) * sizeof(*at));

	for (unsigned i = 0; i < o->count; i++)
		at[i] = mix(o->seed * 1000003 + i) % (records + 1);
	qsort(at, o->count, sizeof(*at), by_value);
	for (unsigned i = 0; i < o->count; i++) {
		if (o->only >= 0 && i != (unsigned)o->only)
			continue;
		c->number = i;
		c->at = at[i];
		disk_advance(c->disk, at[i]);
		model_advance(c->model, at[i]);
		free(c->met);
		c->met = calloc(model_paths(c->model) + 1, sizeof(*c->met));
		snprintf(c->dir, sizeof(c->dir), "%s/%u", c->scratch, i);
		check_state(c, mix(o->seed ^ mix(i)));
	}
	free(at);
}

/* In memory where that has xattrs, else beside the workspace. */
static void make_scratch(struct check *c, const struct options *o)
{
	const char *const bases[] = { o->scratch, "/dev/shm", o->place };

	for (size_t i = o->scratch ? 0 : 1; i < 3; i++) {
		snprintf(c->scratch, sizeof(c->scratch), "%s/sbx-crash-XXXXXX", bases[i]);
		if (!mkdtemp(c->scratch))
			continue;
		if (setxattr(c->scratch, "user.sbx", "x", 1, 0) == 0) {
			snprintf(c->dump, sizeof(c->dump), "%s/dump", c->scratch);
			return;
		}
		rmdir(c->scratch);
	}
	fprintf(stderr, "no directory with user xattrs for the states\n");
	exit(77);
}

static void start_database(struct check *c, const char *program)
{
	int to[2], from[2];

	if (!program)
		return;
	if (pipe(to) < 0 || pipe(from) < 0)
		exit(2);
	if (fork() == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execlp("python3", "python3", program, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	c->ask = fdopen(to[1], "w");
	c->answer = fdopen(from[0], "r");
}

static const char *in_place(const struct options *o, const char *name)
{
	char *s = malloc(strlen(o->place) + strlen(name) + 2);

	sprintf(s, "%s/%s", o->place, name);
	return s;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: crash_check [--seed N] [--count N] [--only N] [--keep] [--lie] [--own] "
		"[--scratch DIR] [--database PROGRAM] PLACE\n");
	return 2;
}

static int parse(int argc, char **argv, struct options *o, struct check *c)
{
	static const struct option table[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'n' },
		{ "only", required_argument, NULL, 'o' },
		{ "scratch", required_argument, NULL, 'd' },
		{ "database", required_argument, NULL, 'b' },
		{ "keep", no_argument, NULL, 'k' },
		{ "lie", no_argument, NULL, 'l' },
		{ "own", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (opt == 's')
			o->seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			o->count = (unsigned)strtoul(optarg, NULL, 0);
		else if (opt == 'o')
			o->only = strtol(optarg, NULL, 0);
		else if (opt == 'd')
			o->scratch = optarg;
		else if (opt == 'b')
			o->database = optarg;
		else if (opt == 'k')
			c->keep = true;
		else if (opt == 'l')
			o->lie = true;
		else if (opt == 'w')
			o->own = true;
		else
			return usage();
	}
	o->place = argv[optind];
	return optind + 1 == argc ? 0 : usage();
}

int main(int argc, char **argv)
{
	const struct volume_unlock unlock = { .no_prompt = true };
	struct options o = { .seed = 1, .count = 100, .only = -1 };
	struct check c = { 0 };
	struct err err = { 0 };

	if (parse(argc, argv, &o, &c) != 0)
		return 2;
	secret_setup(NULL);
	if (volume_open(in_place(&o, "ws"), &unlock, &c.vol, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	c.disk = disk_load(in_place(&o, "trace"), in_place(&o, "before"), in_place(&o, "inodes"));
	c.model = model_load(in_place(&o, "journal"));
	if (o.own)
		disk_own(c.disk);
	if (o.lie)
		disk_lie(c.disk);
	make_scratch(&c, &o);
	start_database(&c, o.database);
	run(&c, &o);
	remove_dir(c.dump);
	rmdir(c.scratch);
	printf("%u states of %llu records: %u lost, %u unreadable; %u files emptied, %u mended\n",
	       c.states, (unsigned long long)disk_records(c.disk), c.lost, c.unreadable, c.emptied,
	       c.mended);
	volume_close(c.vol);
	return c.lost || c.unreadable;
}
