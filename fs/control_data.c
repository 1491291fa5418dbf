/* Requests about datasets. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fs/arch.h"
#include "fs/arch_index.h"
#include "fs/control_int.h"
#include "fs/data.h"
#include "fs/pin.h"
#include "fs/volume.h"
#include "keys/identity.h"

static enum data_what what_of(const char *kind)
{
	if (kind && strcmp(kind, "archive") == 0)
		return DATA_IS_ARCHIVE;
	return kind && strcmp(kind, "file") == 0 ? DATA_IS_FILE : DATA_IS_DIR;
}

struct data_source dataset_source(const json_t *row)
{
	return (struct data_source){
		.name = json_string_value(json_object_get(row, "name")),
		.source = json_string_value(json_object_get(row, "source")),
		.what = what_of(json_string_value(json_object_get(row, "kind"))),
	};
}

/* The strings of an array, NULL-terminated; they stay the array's. NULL: no memory. */
const char **dataset_strings(const json_t *array)
{
	size_t n = json_array_size(array);
	const char **v = calloc(n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++)
		v[i] = json_string_value(json_array_get(array, i));
	return v;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The archive behind a path without links, as arch_get(). */
int dataset_archive(struct fsd *d, const char *name, const char *path, bool start,
		    struct arch **ret, struct arch_progress *progress, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "'%s' is not a file.", path);
	r = arch_get(d->archives, name, base_of(path), fd, start, ret, progress, err);
	return r < 0 && r != -EINPROGRESS ? err_wrap(err, r, "archive '%s'", path) : r;
}

static void tell_archive(json_t *row, struct arch *a)
{
	const struct arch_head *h = arch_index_of(a)->head;
	struct arch_progress p;

	arch_unpacked(a, &p);
	json_object_set_new(row, "format", json_string(h->format));
	json_object_set_new(row, "files", json_integer(h->files));
	json_object_set_new(row, "bytes", json_integer((json_int_t)h->bytes));
	json_object_set_new(
		row, "unpacked",
		json_pack("{s:I, s:I}", "done", (json_int_t)p.done, "total", (json_int_t)p.total));
	json_object_set_new(row, "left_out",
			    json_pack("{s:I, s:I, s:I, s:I}", "names", (json_int_t)h->left_names,
				      "kinds", (json_int_t)h->left_kinds, "links",
				      (json_int_t)h->left_links, "replaced",
				      (json_int_t)h->replaced));
}

/* What people ask for; the table is of use to us only. */
static void tell_pin(json_t *row)
{
	json_t *pin = json_object_get(row, "pin");

	if (!pin)
		return;
	json_object_del(pin, "table");
	/* Of an archive its index says the same. */
	json_object_set(row, "files", json_object_get(pin, "files"));
	json_object_set(row, "bytes", json_object_get(pin, "bytes"));
}

json_t *control_dataset_rows(struct fsd *d)
{
	json_t *rows = json_deep_copy(json_object_get(volume_settings(d->vol), "datasets")), *row;
	size_t i;

	if (!rows)
		return json_array();
	json_array_foreach (rows, i, row) {
		struct data_source s = dataset_source(row);
		struct arch *a = NULL;

		json_object_set_new(row, "reachable", json_boolean(data_reachable(&s)));
		tell_pin(row);
		if (s.what != DATA_IS_ARCHIVE ||
		    dataset_archive(d, s.name, s.source, false, &a, NULL, NULL) < 0)
			continue;
		tell_archive(row, a);
		arch_unref(a, 1);
	}
	return rows;
}

int control_dataset_list(struct work *w, struct answer *a, struct err *err)
{
	return json_object_set_new(a->j, "datasets", control_dataset_rows(w->d)) < 0 ? -ENOMEM : 0;
}

int datasets_apply(struct fsd *d, struct err *err)
{
	const json_t *rows = json_object_get(volume_settings(d->vol), "datasets");
	size_t n = json_array_size(rows);
	autofree struct data_source *list = calloc(n + 1, sizeof(*list));
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const json_t *row = json_array_get(rows, i);

		list[i] = dataset_source(row);
		list[i].include = dataset_strings(json_object_get(row, "include"));
		list[i].exclude = dataset_strings(json_object_get(row, "exclude"));
		list[i].pinned = json_object_get(row, "pin");
		list[i].pin = list[i].pinned ? pins_open(d, row) : NULL;
		if (!list[i].include || !list[i].exclude)
			r = -ENOMEM;
	}
	if (r == 0)
		r = data_set_sources(d->data, list, n);
	for (size_t i = 0; list && i < n; i++) {
		free((void *)list[i].include);
		free((void *)list[i].exclude);
		pin_unref(list[i].pin);
	}
	return r < 0 ? err_set(err, r, "read the list of datasets") : 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 &&
	       (path[len] == '\0' || path[len] == '/' || strcmp(dir, "/") == 0);
}

/* Code inside reads every dataset: neither the store nor the keys to it may be among them. */
static int source_allowed(struct fsd *d, const char *typed, const char *path, struct err *err)
{
	char identity[4096];

	if (is_below(path, volume_path(d->vol)) || is_below(volume_path(d->vol), path))
		return err_set(
			err, -EINVAL,
			"'%s' contains the workspace or is part of it: give a directory apart "
			"from it.",
			typed);
	if (d->mounts.kind == MOUNTED_HOST &&
	    (is_below(path, d->mounts.dir) || is_below(d->mounts.dir, path)))
		return err_set(err, -EINVAL, "'%s' and the mount on '%s' contain one another.",
			       typed, d->mounts.dir);
	if (identity_default_path(identity, sizeof(identity), NULL) == 0) {
		autofree char *real = realpath(identity, NULL);

		if (real && is_below(real, path))
			return err_set(
				err, -EINVAL,
				"'%s' contains your identity ('%s'): code inside could read the "
				"keys; give a directory below it.",
				typed, real);
	}
	return 0;
}

int dataset_source_check(struct fsd *d, const char *typed, char **ret_path, bool *ret_is_file,
			 struct err *err)
{
	autofree char *path = NULL;
	struct stat st;
	int r;

	if (typed[0] != '/')
		return err_set(err, -EINVAL, "'%s' is not an absolute path.", typed);
	path = realpath(typed, NULL);
	if (!path || stat(path, &st) < 0)
		return err_set(err, -errno, "dataset source '%s'", typed);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "'%s' is neither a directory nor a file.", typed);
	r = source_allowed(d, typed, path, err);
	if (r < 0)
		return r;
	if (access(path, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0)
		return err_set(err, -errno, "read dataset source '%s'", typed);
	*ret_is_file = S_ISREG(st.st_mode);
	*ret_path = take_ptr(path);
	return 0;
}

size_t dataset_find(const json_t *rows, const char *name)
{
	size_t i, n = json_array_size(rows);

	for (i = 0; i < n; i++) {
		const char *have =
			json_string_value(json_object_get(json_array_get(rows, i), "name"));

		if (have && strcmp(have, name) == 0)
			break;
	}
	return i;
}

int datasets_put(struct work *w, const json_t *settings, struct answer *a, struct err *err)
{
	int r = control_settings_put(w->d, settings, err);

	if (r == 0)
		r = datasets_apply(w->d, err);
	return r < 0 ? r : control_dataset_list(w, a, err);
}

int dataset_name_free(struct work *w, struct err *err)
{
	const json_t *rows = json_object_get(volume_settings(w->d->vol), "datasets");

	if (dataset_find(rows, w->req->name) == json_array_size(rows))
		return 0;
	return err_set(err, -EEXIST,
		       "there is a dataset '%s' already: remove it first, or use another name.",
		       w->req->name);
}

/* Answers at once: whoever asks comes again until the index is there. */
int control_dataset_index(struct work *w, struct answer *a, struct err *err)
{
	bool forced = w->req->kind && strcmp(w->req->kind, "archive") == 0;
	struct arch_progress p = { 0 };
	struct arch *found = NULL;
	autofree char *path = NULL;
	bool is_file = false, document;
	int r = dataset_name_free(w, err);

	if (r == 0)
		r = dataset_source_check(w->d, w->req->source, &path, &is_file, err);
	if (r == 0 && !is_file)
		r = err_set(err, -EISDIR, "'%s' is a directory.", path);
	if (r == 0) {
		/* Until it is added, the index goes with this client. */
		snprintf(w->c->indexed, sizeof(w->c->indexed), "%s", w->req->name);
		r = dataset_archive(w->d, w->req->name, path, true, &found, &p, err);
	}
	if (r == -EINPROGRESS) {
		json_object_set_new(a->j, "state", json_string("running"));
		json_object_set_new(a->j, "done", json_integer((json_int_t)p.done));
		json_object_set_new(a->j, "total", json_integer((json_int_t)p.total));
		json_object_set_new(a->j, "entries", json_integer((json_int_t)p.entries));
		return 0;
	}
	document = r == 0 && !forced && arch_is_document(found);
	if ((r == -ENOEXEC && !forced) || document) {
		arch_unref(found, 1);
		arch_cache_remove(w->d->archives, w->req->name);
		json_object_set_new(a->j, "state", json_string("file"));
		return 0;
	}
	if (r < 0) {
		arch_retry(w->d->archives, w->req->name);
		return r;
	}
	json_object_set_new(a->j, "state", json_string("archive"));
	tell_archive(a->j, found);
	arch_unref(found, 1);
	return 0;
}

int dataset_check_kind(struct work *w, const char *path, bool is_file, const char **ret,
		       struct err *err)
{
	const char *kind = w->req->kind;
	struct arch *a = NULL;
	int r;

	*ret = is_file ? "file" : "dir";
	if (!kind || strcmp(kind, *ret) == 0)
		return 0;
	if (strcmp(kind, "archive") != 0 || !is_file)
		return err_set(err, -EINVAL, "'%s' is not of the kind '%.20s'.", path, kind);
	r = dataset_archive(w->d, w->req->name, path, false, &a, NULL, err);
	if (r == -EINPROGRESS)
		return err_set(err, r, "'%s' is still being indexed.", path);
	if (r < 0)
		return r;
	arch_unref(a, 1);
	*ret = kind;
	return 0;
}

/* Without any there is no key. */
static void add_patterns(json_t *row, const char *key, const json_t *patterns)
{
	if (json_array_size(patterns) > 0)
		json_object_set_new(row, key, json_deep_copy(patterns));
}

/* Not among the settings: they could not be written. */
static bool name_is_unused(const struct work *w)
{
	const json_t *rows = json_object_get(volume_settings(w->d->vol), "datasets");

	return dataset_find(rows, w->req->name) == json_array_size(rows);
}

int control_dataset_add(struct work *w, struct answer *a, struct err *err)
{
	autojson json_t *s = control_settings(w->d);
	json_t *rows = json_object_get(s, "datasets");
	const char *kind = NULL;
	autofree char *path = NULL;
	bool is_file = false;
	json_t *row;
	int r = dataset_name_free(w, err);

	if (r == 0)
		r = dataset_source_check(w->d, w->req->source, &path, &is_file, err);
	if (r == 0)
		r = dataset_check_kind(w, path, is_file, &kind, err);
	if (r < 0)
		return r;
	row = json_pack("{s:s, s:s, s:s}", "name", w->req->name, "source", path, "kind", kind);
	if (json_array_append_new(rows, row) < 0)
		return err_set(err, -EINVAL, "the path '%s' is not UTF-8.", path);
	add_patterns(row, "include", w->req->include);
	add_patterns(row, "exclude", w->req->exclude);
	if (!w->req->pin)
		return datasets_put(w, s, a, err);
	r = pins_commit(w, row, err);
	if (r < 0)
		return r;
	r = datasets_put(w, s, a, err);
	if (r < 0 && name_is_unused(w))
		pins_remove(w->d, w->req->name);
	return r;
}

int control_dataset_remove(struct work *w, struct answer *a, struct err *err)
{
	autojson json_t *s = control_settings(w->d);
	json_t *rows = json_object_get(s, "datasets");
	size_t i = dataset_find(rows, w->req->name);
	int r;

	if (i >= json_array_size(rows))
		return err_set(err, -ENOENT, "there is no dataset '%s'.", w->req->name);
	json_array_remove(rows, i);
	r = datasets_put(w, s, a, err);
	if (r == 0) {
		arch_cache_remove(w->d->archives, w->req->name);
		pins_remove(w->d, w->req->name);
	}
	return r;
}
