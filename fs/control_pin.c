/* Requests about pins.  The work is a job of the client's own (fs/pin_job.h): it asks again until
 * it is done, and when it leaves, the job ends and leaves nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fs/arch.h"
#include "fs/control_int.h"
#include "fs/msglog.h"
#include "fs/pin.h"
#include "fs/pin_job.h"
#include "fs/volume.h"

#define FINDINGS_AT_ONCE 24 /* they must fit into a message */

/* -- WS/pins --------------------------------------------------------------- */

static int pins_dir(struct fsd *d, bool make)
{
	struct stat st;

	if (d->pins >= 0)
		return d->pins;
	if (make && mkdirat(volume_dirfd(d->vol), PIN_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	d->pins = openat(volume_dirfd(d->vol), PIN_DIR,
			 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (d->pins >= 0 && make &&
	    (fstat(d->pins, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 077)) {
		close(d->pins);
		d->pins = -1;
		return -EACCES; /* names and digests are nobody else's business */
	}
	return d->pins < 0 ? -errno : d->pins;
}

static int pin_file(struct fsd *d, const char *name, const uint8_t *table, struct pin **ret,
		    struct err *err)
{
	char file[PIN_FILE_NAME];
	autoclose int fd = -1;
	int dir = pins_dir(d, false), r;

	pin_file_name(name, file);
	if (dir < 0)
		return err_set(err, dir, "open '" PIN_DIR "'");
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open '" PIN_DIR "/%s'", file);
	r = pin_open(fd, name, table, ret, err);
	if (r == -EBADMSG)
		return err_set(err, r,
			       "'" PIN_DIR "/%s' is not the file that was written: take it "
			       "from a copy of the workspace.",
			       file);
	if (r == 0)
		(void)take_fd(&fd);
	return r;
}

struct pin *pins_open(struct fsd *d, const json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	uint8_t table[PIN_HASH];
	struct err err = { 0 };
	struct pin *p = NULL;
	char line[ERR_TEXT_MAX + 200];

	if (json_get_hex(row, "pin.table", table, sizeof(table), &err) == 0) {
		p = data_pin_now(d->data, name, table);
		if (p || pin_file(d, name, table, &p, &err) == 0)
			return p;
	}
	snprintf(line, sizeof(line), "dataset '%s' cannot be shown, its pin is damaged: %s", name,
		 err.text);
	msglog_add(d->log, line);
	return NULL;
}

void pins_remove(struct fsd *d, const char *name)
{
	char file[PIN_FILE_NAME];

	pin_file_name(name, file);
	if (pins_dir(d, false) >= 0)
		(void)unlinkat(d->pins, file, 0);
}

static bool has_end(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

static void sweep_pins(struct fsd *d, const json_t *rows)
{
	int fd = pins_dir(d, false) >= 0 ? openat(d->pins, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
					 : -1;
	autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		bool keep = false;
		json_t *row;
		size_t i;

		json_array_foreach (rows, i, row) {
			char file[PIN_FILE_NAME];

			pin_file_name(json_string_value(json_object_get(row, "name")), file);
			keep |= json_object_get(row, "pin") && strcmp(file, e->d_name) == 0;
		}
		if (!keep && (has_end(e->d_name, ".pin") || has_end(e->d_name, ".pin.new")))
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
}

void datasets_sweep(struct fsd *d)
{
	json_t *rows = json_object_get(volume_settings(d->vol), "datasets"), *row;
	autofree const char **names = calloc(json_array_size(rows) + 1, sizeof(*names));
	size_t i, n = 0;

	json_array_foreach (rows, i, row) {
		struct data_source s = dataset_source(row);

		if (names && s.what == DATA_IS_ARCHIVE)
			names[n++] = s.name;
	}
	if (names)
		arch_cache_sweep(d->archives, names, n);
	sweep_pins(d, rows);
}

/* -- the job of a client --------------------------------------------------- */

static void job_drop(struct conn *c)
{
	pin_job_end(c->job);
	free(c->job_for);
	c->job = NULL;
	c->job_for = NULL;
}

void control_forget(struct fsd *d, struct conn *c)
{
	const json_t *rows = json_object_get(volume_settings(d->vol), "datasets");

	job_drop(c);
	if (c->indexed[0] && dataset_find(rows, c->indexed) == json_array_size(rows))
		arch_cache_remove(d->archives, c->indexed);
}

static int job_start(struct work *w, const struct data_source *s, struct arch *arch,
		     struct pin *pin, const char *what, struct err *err)
{
	struct pin_job_params p = { .source = s, .arch = arch, .pin = pin };
	int r = 0;

	job_drop(w->c);
	data_own_devices(w->d->data, p.own);
	if (!pin) {
		p.dir = r = pins_dir(w->d, true);
		if (r < 0)
			return err_set(err, r, "open '" PIN_DIR "' of the workspace");
	}
	w->c->job_for = strdup(what);
	return !w->c->job_for ? err_set(err, -ENOMEM, "read the dataset")
			      : pin_job_start(w->d->pin_jobs, &p, &w->c->job, err);
}

/* How far it is goes into the answer: 0 when it is done. */
static int job_ask(struct work *w, struct answer *a, struct err *err)
{
	struct pin_progress p;
	int r = pin_job_state(w->c->job, &p, err);

	if (r < 0 && r != -EINPROGRESS) {
		job_drop(w->c);
		return r;
	}
	json_object_set_new(a->j, "state", json_string(r < 0 ? "running" : "done"));
	json_object_set_new(a->j, "done", json_integer((json_int_t)p.done));
	json_object_set_new(a->j, "total", json_integer((json_int_t)p.total));
	json_object_set_new(a->j, "files", json_integer((json_int_t)p.files));
	json_object_set_new(a->j, "total_files", json_integer((json_int_t)p.total_files));
	return r;
}

static void time_text(char out[static 32])
{
	time_t now = time(NULL);
	struct tm tm;

	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

/* -- pin ------------------------------------------------------------------- */

/* All that a pin depends on. */
static char *pin_for(const struct request *q)
{
	autojson json_t *j =
		json_pack("{s:s, s:s, s:s?, s:O?, s:O?}", "name", q->name, "source", q->source,
			  "kind", q->kind, "include", q->include, "exclude", q->exclude);

	return j ? json_canonical(j) : NULL;
}

static int pin_start(struct work *w, const char *what, struct err *err)
{
	const struct request *q = w->req;
	autofree const char **include = dataset_strings(q->include);
	autofree const char **exclude = dataset_strings(q->exclude);
	autofree char *path = NULL;
	autojson json_t *row = NULL;
	struct arch *arch = NULL;
	struct data_source s;
	const char *kind = NULL;
	bool is_file = false;
	int r = include && exclude ? dataset_name_free(w, err) : -ENOMEM;

	if (r == 0)
		r = dataset_source_check(w->d, q->source, &path, &is_file, err);
	if (r == 0)
		r = dataset_check_kind(w, path, is_file, &kind, err);
	if (r < 0)
		return r;
	row = json_pack("{s:s, s:s, s:s}", "name", q->name, "source", path, "kind", kind);
	if (!row)
		return err_set(err, -EINVAL, "the path '%s' is not UTF-8.", path);
	s = dataset_source(row);
	s.include = include;
	s.exclude = exclude;
	if (s.what == DATA_IS_ARCHIVE)
		r = dataset_archive(w->d, q->name, path, false, &arch, NULL, err);
	if (r == 0)
		r = job_start(w, &s, arch, NULL, what, err);
	arch_unref(arch, 1);
	return r;
}

int control_dataset_pin(struct work *w, struct answer *a, struct err *err)
{
	autofree char *what = pin_for(w->req);
	int r = what ? 0 : err_set(err, -EINVAL, "the request cannot be read.");

	if (r == 0 && (!w->c->job || strcmp(w->c->job_for, what) != 0))
		r = pin_start(w, what, err);
	if (r == 0)
		r = job_ask(w, a, err);
	return r == -EINPROGRESS ? 0 : r;
}

int pins_commit(struct work *w, json_t *row, struct err *err)
{
	autofree char *what = pin_for(w->req);
	char digest[2 * PIN_HASH + 1], table[2 * PIN_HASH + 1], now[32];
	struct pin_progress p;
	struct pin_made made;
	int r;

	if (!what || !w->c->job || strcmp(w->c->job_for, what) != 0 ||
	    pin_job_state(w->c->job, &p, NULL) != 0)
		return err_set(err, -EINVAL, "'%s' was not pinned before it is added.",
			       w->req->name);
	r = pin_job_commit(w->c->job, w->req->name, err);
	if (r < 0)
		return r;
	pin_job_made(w->c->job, &made);
	job_drop(w->c);
	hex_encode(made.digest, PIN_HASH, digest);
	hex_encode(made.table, PIN_HASH, table);
	time_text(now);
	json_object_set_new(row, "pin",
			    json_pack("{s:s, s:s, s:I, s:I, s:s}", "digest", digest, "table", table,
				      "files", (json_int_t)made.files, "bytes",
				      (json_int_t)made.bytes, "made", now));
	return 0;
}

/* -- verify ---------------------------------------------------------------- */

static int verify_start(struct work *w, json_t *row, const char *what, struct answer *a,
			bool *ret_unreadable, struct err *err)
{
	struct data_source s = dataset_source(row);
	autofree const char **include = dataset_strings(json_object_get(row, "include"));
	autofree const char **exclude = dataset_strings(json_object_get(row, "exclude"));
	struct pin *pin = NULL;
	struct arch *arch = NULL;
	uint8_t table[PIN_HASH];
	int r = include && exclude ? 0 : -ENOMEM;

	s.include = include;
	s.exclude = exclude;
	if (r == 0)
		r = json_get_hex(row, "pin.table", table, sizeof(table), err);
	if (r == 0)
		r = pin_file(w->d, s.name, table, &pin, err);
	if (r < 0)
		return r;
	if (s.what == DATA_IS_ARCHIVE) {
		r = dataset_archive(w->d, s.name, s.source, true, &arch, NULL, err);
		*ret_unreadable = r < 0 && r != -EINPROGRESS && r != -ENOMEM;
	}
	if (r == 0)
		r = job_start(w, &s, arch, pin, what, err);
	arch_unref(arch, 1);
	pin_unref(pin);
	if (r == -EINPROGRESS) /* it is being indexed */
		json_object_set_new(a->j, "state", json_string("running"));
	return r;
}

/* In the settings, when they may be written. */
static bool verify_record(struct work *w, uint64_t found, const char *now)
{
	autojson json_t *s = control_settings(w->d);
	json_t *rows = json_object_get(s, "datasets");
	json_t *pin =
		json_object_get(json_array_get(rows, dataset_find(rows, w->req->name)), "pin");
	struct err err = { 0 };

	if (volume_read_only(w->d->vol) || !pin)
		return false;
	json_object_set_new(pin, "verified", json_string(now));
	json_object_set_new(pin, "damaged", json_integer((json_int_t)found));
	if (control_settings_put(w->d, s, &err) == 0)
		return true;
	msglog_add(w->d->log, err.text);
	return false;
}

static void verify_done(struct work *w, struct answer *a)
{
	uint64_t found = pin_job_found(w->c->job);
	char now[32];

	time_text(now);
	json_object_set_new(a->j, "found", json_integer((json_int_t)found));
	json_object_set_new(a->j, "verified", json_string(now));
	json_object_set_new(a->j, "recorded", json_boolean(verify_record(w, found, now)));
	job_drop(w->c);
}

/* An archive that cannot be read any more has no job: this one finding is all. */
static int verify_unreadable(struct work *w, struct answer *a, const struct err *why)
{
	char now[32], text[ERR_TEXT_MAX];

	time_text(now);
	str_printable(why->text, text, sizeof(text));
	json_object_set_new(a->j, "state", json_string("done"));
	json_object_set_new(a->j, "findings",
			    json_pack("[{s:s, s:s, s:s+}]", "kind", "unreadable", "path", ".",
				      "what", "cannot be read: ", text));
	json_object_set_new(a->j, "found", json_integer(1));
	json_object_set_new(a->j, "verified", json_string(now));
	json_object_set_new(a->j, "recorded", json_boolean(verify_record(w, 1, now)));
	return 0;
}

int control_dataset_verify(struct work *w, struct answer *a, struct err *err)
{
	json_t *rows = json_object_get(volume_settings(w->d->vol), "datasets");
	json_t *row = json_array_get(rows, dataset_find(rows, w->req->name)), *findings;
	const char *table = json_string_value(json_at(row, "pin.table"));
	autofree char *what = str_printf("verify %s %s", w->req->name, table ? table : "");
	int r;

	if (!row)
		return err_set(err, -ENOENT, "there is no dataset '%s'.", w->req->name);
	if (!json_object_get(row, "pin"))
		return err_set(
			err, -ENODATA,
			"dataset '%s' is not pinned, so there is nothing to compare it with: "
			"remove it and add it again with --pin.",
			w->req->name);
	if (!w->c->job || !what || strcmp(w->c->job_for, what) != 0) {
		bool unreadable = false;

		r = verify_start(w, row, what ? what : "", a, &unreadable, err);
		if (r == -EINPROGRESS)
			return 0;
		if (unreadable)
			return verify_unreadable(w, a, err);
		if (r < 0)
			return r;
	}
	r = job_ask(w, a, err);
	if (r < 0 && r != -EINPROGRESS)
		return r;
	findings = pin_job_findings(w->c->job, FINDINGS_AT_ONCE);
	json_object_set_new(a->j, "findings", findings);
	if (r == 0 && json_array_size(findings) == FINDINGS_AT_ONCE)
		json_object_set_new(a->j, "state", json_string("running")); /* there may be more */
	else if (r == 0)
		verify_done(w, a);
	return 0;
}
