#include "shell/kspec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

#define SPEC_MAX 1048576

static const char *const logos[] = { "logo-32x32.png", "logo-64x64.png", "logo-svg.svg" };

static void add_place(struct kspec_places *p, char *dir)
{
	if (dir && p->n < KSPEC_PLACES_MAX)
		p->dir[p->n++] = dir;
	else
		free(dir);
}

char *kspec_prefix_place(const char *prefix)
{
	return str_printf("%s/share/jupyter/kernels", prefix);
}

char *kspec_user_place(void)
{
	const char *data = getenv("JUPYTER_DATA_DIR"), *home = getenv("HOME");

	if (data && *data)
		return str_printf("%s/kernels", data);
	return str_printf("%s/.local/share/jupyter/kernels", home ? home : "");
}

/* As jupyter_core does; the prefix of a virtual environment or of conda is the one in use. */
void kspec_places(struct kspec_places *ret)
{
	static const char *const prefixes[] = { "VIRTUAL_ENV", "CONDA_PREFIX" };
	const char *path = getenv("JUPYTER_PATH");

	*ret = (struct kspec_places){ 0 };
	for (; path && *path; path += strspn(path, ":")) {
		size_t n = strcspn(path, ":");

		add_place(ret, str_printf("%.*s/kernels", (int)n, path));
		path += n;
	}
	add_place(ret, kspec_user_place());
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (getenv(prefixes[i]))
			add_place(ret, kspec_prefix_place(getenv(prefixes[i])));
	add_place(ret, kspec_prefix_place("/usr/local"));
	add_place(ret, kspec_prefix_place("/usr"));
}

void kspec_places_free(struct kspec_places *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->dir[i]);
	p->n = 0;
}

void kspec_free(struct kspec *k)
{
	free(k->dir);
	json_decref(k->json);
	*k = (struct kspec){ 0 };
}

static int check_spec(const struct kspec *k, struct err *err)
{
	const json_t *argv = json_object_get(k->json, "argv");
	const json_t *v;
	size_t i;

	if (!json_is_array(argv) || json_array_size(argv) == 0)
		return err_set(err, -EINVAL, "'%s/kernel.json' has no argv.", k->dir);
	json_array_foreach (argv, i, v)
		if (!json_is_string(v))
			return err_set(err, -EINVAL, "'%s/kernel.json': argv is not all text.",
				       k->dir);
	return 0;
}

int kspec_read(const char *place, const char *name, struct kspec *ret, struct err *err)
{
	struct kspec k = { .dir = str_printf("%s/%s", place, name) };
	autofree char *path = str_printf("%s/%s/kernel.json", place, name), *text = NULL;
	size_t len;
	int r = 0;

	if (!k.dir || !path)
		r = err_set(err, -ENOMEM, "read the kernel '%s'", name);
	if (r == 0 && access(path, F_OK) < 0)
		r = -ENOENT;
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, SPEC_MAX, &text, &len, err);
	if (r == 0)
		r = json_parse(text, len, path, &k.json, err);
	if (r == 0)
		r = check_spec(&k, err);
	if (r < 0)
		kspec_free(&k);
	else
		*ret = k;
	return r;
}

/* The names in all places, for a sentence. */
static void name_them(const struct kspec_places *p, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < p->n; i++) {
		autoclosedir DIR *d = opendir(p->dir[i]);
		const struct dirent *e;

		while (d && (e = readdir(d)) && len < size)
			if (e->d_name[0] != '.')
				len += (size_t)snprintf(out + len, size - len, "%s%s",
							len ? ", " : "", e->d_name);
	}
}

int kspec_find(const char *name, struct kspec *ret, struct err *err)
{
	struct kspec_places p;
	char names[400];
	int r = -ENOENT;

	if (!name_is_plain(name))
		return err_set(err, -EINVAL, "'%s' is not a name of a kernel.", name);
	kspec_places(&p);
	for (size_t i = 0; i < p.n && r == -ENOENT; i++)
		r = kspec_read(p.dir[i], name, ret, err);
	name_them(&p, names, sizeof(names));
	kspec_places_free(&p);
	if (r != -ENOENT)
		return r;
	if (!names[0])
		return err_set(err, r,
			       "no Jupyter kernel is installed here; for Python install the "
			       "package ipykernel (Debian: python3-ipykernel).");
	return err_set(err, r, "there is no kernel '%s'; installed are: %s.", name, names);
}

const char *kspec_workspace(const struct kspec *k)
{
	const char *ws = NULL;

	return json_get_str(k->json, "metadata.sbx.workspace", &ws, NULL) == 0 ? ws : NULL;
}

static int make_dirs(const char *dir, struct err *err)
{
	autofree char *path = strdup(dir);

	if (!path)
		return err_set(err, -ENOMEM, "make '%s'", dir);
	for (char *p = path + 1;; p++) {
		char was = *p;

		if (was && was != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_set(err, -errno, "make '%s'", path);
		*p = was;
		if (!was)
			return 0;
	}
}

/* A kernel without its picture is a kernel. */
static void copy_logos(int dir, const char *from)
{
	for (size_t i = 0; from && i < ARRAY_LEN(logos); i++) {
		autofree char *path = str_printf("%s/%s", from, logos[i]), *bytes = NULL;
		size_t len;

		if (path && fd_read_file(AT_FDCWD, path, SPEC_MAX, &bytes, &len, NULL) == 0)
			fd_replace_file(dir, logos[i], bytes, len, 0644, NULL);
	}
}

int kspec_write(const char *place, const char *name, const json_t *json, const char *from,
		struct err *err)
{
	autofree char *path = str_printf("%s/%s", place, name), *text = json_pretty(json);
	autoclose int dir = -1;
	int r;

	if (!path || !text)
		return err_set(err, -ENOMEM, "install the kernel '%s'", name);
	r = make_dirs(path, err);
	if (r < 0)
		return r;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, -errno, "open '%s'", path);
	copy_logos(dir, from);
	return fd_replace_file(dir, "kernel.json", text, strlen(text), 0644, err);
}

int kspec_remove(const struct kspec *k, struct err *err)
{
	autoclose int dir = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || unlinkat(dir, "kernel.json", 0) < 0)
		return err_set(err, -errno, "remove '%s/kernel.json'", k->dir);
	for (size_t i = 0; i < ARRAY_LEN(logos); i++)
		unlinkat(dir, logos[i], 0);
	/* What somebody else put there stays, and the directory with it. */
	if (rmdir(k->dir) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return err_set(err, -errno, "remove '%s'", k->dir);
	return 0;
}
