/* The list of datasets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arch.h"
#include "fs/data_int.h"

static void strings_free(char **v)
{
	for (char **s = v; s && *s; s++)
		free(*s);
	free(v);
}

/* NULL-terminated; NULL: no memory. */
static char **strings_copy(const char *const *v)
{
	size_t n = 0;
	char **copy;

	while (v && v[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(v[i]);
		if (!copy[i]) {
			strings_free(copy);
			return NULL;
		}
	}
	return copy;
}

void data_sources_free(struct source *s, size_t n)
{
	for (size_t i = 0; s && i < n; i++) {
		strings_free(s[i].include);
		strings_free(s[i].exclude);
		pin_unref(s[i].pin);
		free(s[i].name);
		free(s[i].path);
	}
	free(s);
}

int data_set_sources(struct data *d, const struct data_source *s, size_t n)
{
	struct source *list = calloc(n + 1, sizeof(*list)), *old;
	bool parts = false, pins = false;
	size_t nold;

	for (size_t i = 0; list && i < n; i++) {
		list[i] = (struct source){
			.name = strdup(s[i].name),
			.path = strdup(s[i].source),
			.what = s[i].what,
			.include = strings_copy(s[i].include),
			.exclude = strings_copy(s[i].exclude),
			.pinned = s[i].pinned,
			.pin = pin_ref(s[i].pin),
		};
		if (!list[i].name || !list[i].path || !list[i].include || !list[i].exclude) {
			data_sources_free(list, n);
			return -ENOMEM;
		}
		parts |= *list[i].include || *list[i].exclude;
		pins |= list[i].pinned;
		list[i].base = strrchr(list[i].path, '/') ? strrchr(list[i].path, '/') + 1 : "";
	}
	if (!list)
		return -ENOMEM;
	pthread_mutex_lock(&d->tree->lock);
	old = d->sources;
	nold = d->nsources;
	d->sources = list;
	d->nsources = n;
	atomic_store(&d->has_parts, parts);
	atomic_store(&d->has_pins, pins);
	pthread_mutex_unlock(&d->tree->lock);
	data_sources_free(old, nold);
	return 0;
}

struct pin *data_pin_now(struct data *d, const char *name, const uint8_t *table)
{
	struct pin *p = NULL;

	pthread_mutex_lock(&d->tree->lock);
	for (size_t i = 0; i < d->nsources; i++)
		if (d->sources[i].pin && strcmp(d->sources[i].name, name) == 0 &&
		    pin_is(d->sources[i].pin, table))
			p = pin_ref(d->sources[i].pin);
	pthread_mutex_unlock(&d->tree->lock);
	return p;
}
