/* One state: opened as the daemon would, everything in it looked at and compared. */
#include "tests/crash/check.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "fs/cfile.h"
#include "fs/name.h"
#include "fs/out.h"
#include "fs/quota.h"
#include "fs/store.h"
#include "fs/store_io.h"
#include "fs/volume.h"

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
	unsigned looked, all;

	if (getenv("CRASH_VERBOSE"))
		fprintf(stderr, "  %s\n", line);
	c->recovered |= strncmp(line, "recovery:", 9) == 0;
	if (sscanf(line, "recovery: %u of %u files looked at,", &looked, &all) == 2)
		c->part += looked < all;
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

/* The state has inodes of its own; the store knew others. */
static uint64_t was_ino(void *ctx, uint64_t ino)
{
	const struct check *c = ctx;

	return disk_was_ino(c->disk, ino);
}

static bool was_bind(void *ctx, uint8_t ret[static 32])
{
	const struct check *c = ctx;

	memcpy(ret, c->bind, sizeof(c->bind));
	return true;
}

/* The state lives in memory, or need not outlive us. */
static struct store_io io_without_syncs(struct check *c)
{
	struct store_io io = store_io_system;

	io.ctx = c;
	io.fdatasync = io.fsync = io.syncfs = no_sync;
	io.was_ino = was_ino;
	io.was_bind = was_bind;
	return io;
}

/* The keys that open the store of this state. */
static int open_volume(struct check *c, struct volume **ret, struct err *err)
{
	const struct volume_unlock unlock = { .no_prompt = true };
	int r;

	*ret = c->vol;
	if (!c->whole)
		return 0;
	r = volume_open(c->dir, &unlock, &c->own, err);
	*ret = c->own;
	return r;
}

/* The setting that the workload changed: MiB of quota are the number of the change. */
static void check_setting(struct check *c)
{
	uint64_t least, most, bytes = 0;
	char why[160];

	if (!c->whole)
		return;
	model_transactions(c->model, &least, &most);
	(void)json_get_u64(volume_settings(c->own), "quota.bytes", &bytes, NULL);
	if (bytes >> 20 >= least && bytes >> 20 <= most)
		return;
	snprintf(why, sizeof(why), "lost: setting %llu, expected %llu to %llu",
		 (unsigned long long)(bytes >> 20), (unsigned long long)least,
		 (unsigned long long)most);
	complain(c, "", why);
}

static int open_store(struct check *c, struct volume *vol, struct err *err)
{
	static struct store_io io;
	struct store_params sp = { 0 };
	struct out_params op = { 0 };
	char path[700];
	int r;

	io = io_without_syncs(c);
	snprintf(path, sizeof(path), "%s%s", c->dir, c->whole ? "/store" : "");
	c->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0 || quota_new(0, 0, &c->quota) < 0)
		return err_set(err, -EIO, "%s", path);
	volume_store_params(vol, &sp);
	sp.quota = c->quota;
	sp.io = &io;
	sp.log = on_line;
	sp.log_ctx = c;
	r = store_open(c->fd, &sp, &c->store, err);
	if (r < 0)
		return r;
	op = (struct out_params){ .store = c->store,
				  .quota = c->quota,
				  .keys = volume_name_keys(vol),
				  .flat = volume_flat(vol),
				  .log = on_line,
				  .log_ctx = c };
	return out_new(&op, &c->out, err);
}

static int open_state(struct check *c)
{
	struct err err = { 0 };
	struct volume *vol;
	int r = open_volume(c, &vol, &err);

	if (r == 0)
		check_setting(c);
	if (r == 0)
		r = open_store(c, vol, &err);
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
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	volume_close(c->own);
	c->own = NULL;
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
	struct found f = { .mode = e->st.st_mode & 07777 };
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
	snprintf(tree, sizeof(tree), "%s%s/t", c->dir, c->whole ? "/store" : "");
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

void check_remove(const char *dir)
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
		check_remove(c->dump);
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

void check_state(struct check *c, uint64_t rnd)
{
	c->complaints = 0;
	c->fd = -1;
	if (mkdir(c->dir, 0700) < 0) {
		fprintf(stderr, "%s: %s\n", c->dir, strerror(errno));
		exit(2);
	}
	disk_build(c->disk, c->dir, &rnd);
	c->states++;
	c->recovered = false;
	if (open_state(c) == 0)
		look_at_all(c);
	c->clean += !c->recovered;
	close_state(c);
	/* Clean now, and the same again. */
	c->quiet_expected = true;
	if (c->complaints == 0) {
		if (open_state(c) == 0)
			look_at_all(c);
		close_state(c);
	}
	c->quiet_expected = false;
	if (!c->keep || c->complaints == 0)
		check_remove(c->dir);
	else
		fprintf(stderr, "kept: %s\n", c->dir);
}
