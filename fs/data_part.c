/* Datasets of which only a part is shown: is a node, or a name in it, among it?
 *
 * Whether something is shown follows from its path below the top of the dataset, which the tree
 * knows.  Every way to a node asks: lookup, listing, and what is done with a node that was found
 * when the list of datasets was another. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data_filter.h"
#include "fs/data_int.h"

/* The patterns of the dataset that a node is in; false: it is shown whole, or the node is the root
 * or has lost its name. Under tree->lock. */
static bool filter_of(struct data *d, const struct node *n, struct data_filter *ret)
{
	while (n->aliases && n->aliases->parent != d->tree->root)
		n = n->aliases->parent;
	for (size_t i = 0; n->aliases && i < d->nsources; i++) {
		const struct source *s = &d->sources[i];

		if (strcmp(s->name, n->aliases->name) != 0)
			continue;
		*ret = (struct data_filter){ (const char *const *)s->include,
					     (const char *const *)s->exclude };
		return !filter_is_empty(ret);
	}
	return false;
}

/* "a/b/name": where 'name' in node 'n' is below the top of its dataset; NULL: no memory. */
static char *path_of(struct data *d, const struct node *n, const char *name)
{
	size_t len = strlen(name), at;
	const struct node *up;
	char *path;

	for (up = n; up->aliases->parent != d->tree->root; up = up->aliases->parent)
		len += strlen(up->aliases->name) + 1;
	path = malloc(len + 2);
	if (!path)
		return NULL;
	at = len - strlen(name);
	strcpy(path + at, name);
	for (up = n; up->aliases->parent != d->tree->root; up = up->aliases->parent) {
		size_t part = strlen(up->aliases->name);

		if (path[at])
			path[--at] = '/';
		at -= part;
		memcpy(path + at, up->aliases->name, part);
	}
	memmove(path, path + at, strlen(path + at) + 1);
	return path;
}

int part_check(struct data *d, struct node *n, const char *name, bool is_dir)
{
	struct data_filter f;
	char *path = NULL;
	int r = 0;

	if (!atomic_load(&d->has_parts)) /* mostly: every lookup comes by here */
		return 0;
	pthread_mutex_lock(&d->tree->lock);
	if (filter_of(d, n, &f)) {
		path = path_of(d, n, name);
		r = !path ? -ENOMEM : filter_shows(&f, path, is_dir) ? 0 : -ENOENT;
	}
	pthread_mutex_unlock(&d->tree->lock);
	free(path);
	return r;
}

bool part_is(struct data *d, const struct node *n)
{
	struct data_filter f;
	bool part;

	if (!atomic_load(&d->has_parts))
		return false;
	pthread_mutex_lock(&d->tree->lock);
	part = filter_of(d, n, &f);
	pthread_mutex_unlock(&d->tree->lock);
	return part;
}

void part_show(struct data *d, const struct node *n, struct stat *st)
{
	if (!part_is(d, n))
		return;
	/* Links and sizes of directories count what is not shown. */
	st->st_nlink = 1;
	if (S_ISDIR(st->st_mode)) {
		st->st_size = 0;
		st->st_blocks = 0;
	}
}
