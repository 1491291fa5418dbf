/* The names of a dataset with those that were pinned. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "fs/pin_job_int.h"

#define PATH_TEXT 512 /* several of them must fit into a message */

static int find(struct pin_job *j, enum pin_finding_kind kind, bool pinned, uint32_t i, uint64_t a,
		uint64_t b)
{
	return job_find(j, &(struct pin_finding){ kind, pinned, i, a, b });
}

/* The record 'i' of the tree, and record 'p' of the pin, whose names are the same. */
static int compare_one(struct pin_job *j, uint32_t i, uint32_t p, const struct pin_record *want)
{
	const struct pin_record *is = &j->tree.rec[i];
	int r = 0;

	if (is->type != want->type)
		return find(j, PIN_OTHER_TYPE, false, i, want->type, is->type);
	if (is->mode != want->mode)
		r = find(j, PIN_OTHER_MODE, false, i, want->mode, is->mode);
	if (r < 0)
		return r;
	if (is->type == 'l')
		return memcmp(is->digest, want->digest, PIN_HASH) == 0
			       ? 0
			       : find(j, PIN_OTHER_TARGET, false, i, 0, 0);
	if (is->type == 'f' && is->size != want->size)
		return find(j, PIN_OTHER_SIZE, false, i, want->size, is->size);
	j->match[i] = p;
	return 0;
}

/* What was pinned in a directory that is not there any more goes with it: one finding. */
static int compare_dir(struct pin_job *j, uint32_t i, const struct pin_record *dir)
{
	const struct pin_tree *t = &j->tree;
	uint32_t a = t->rec[i].first, a_end = a + t->rec[i].count;
	uint32_t b = dir->first, b_end = b + dir->count;
	struct pin_record want;
	char name[256] = "";
	int r = 0;

	while (r == 0 && (a < a_end || b < b_end)) {
		int c = -1; /* only here */

		if (b < b_end) {
			r = pin_record(j->pin, b, &want);
			if (r == 0)
				r = pin_name(j->pin, &want, name);
			if (r < 0)
				return job_fail(j, r, "read the pin");
			c = 1;
		}
		if (a < a_end && b < b_end) {
			const char *is = pin_tree_name(t, a);

			c = memcmp(is, name, MIN(t->rec[a].name_len, want.name_len));
			if (c == 0)
				c = (int)t->rec[a].name_len - (int)want.name_len;
		}
		if (c == 0)
			r = compare_one(j, a++, b++, &want);
		else if (c < 0)
			r = find(j, PIN_ADDED, false, a++, 0, 0);
		else
			r = find(j, PIN_MISSING, true, b++, 0, 0);
	}
	return r;
}

/* An unreadable directory was told already. */
static bool was_told(struct pin_job *j, uint32_t i)
{
	for (size_t k = 0; k < j->nfound; k++)
		if (j->found[k].kind == PIN_UNREADABLE && j->found[k].i == i)
			return true;
	return false;
}

int pin_compare_names(struct pin_job *j)
{
	struct pin_tree *t = &j->tree;
	struct pin_record rec;
	uint64_t unreadable;
	int r;

	pthread_mutex_lock(&j->lock);
	unreadable = j->nfound;
	pthread_mutex_unlock(&j->lock);
	j->match = malloc((size_t)t->n * sizeof(*j->match));
	if (!j->match)
		return job_fail(j, -ENOMEM, "compare with the pin");
	memset(j->match, 0xff, (size_t)t->n * sizeof(*j->match));
	r = pin_record(j->pin, 0, &rec);
	if (r < 0)
		return job_fail(j, r, "read the pin");
	r = compare_one(j, 0, 0, &rec);
	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		if (t->rec[i].type != 'd' || j->match[i] == PIN_NO_RECORD ||
		    (unreadable > 0 && was_told(j, i)))
			continue;
		r = pin_record(j->pin, j->match[i], &rec);
		r = r < 0 ? job_fail(j, r, "read the pin") : compare_dir(j, i, &rec);
		if (r == 0 && job_cancelled(j))
			r = -ECANCELED;
	}
	return r;
}

/* -- what is told of it ---------------------------------------------------- */

static const char *type_word(uint64_t type)
{
	switch (type) {
	case 'd':
		return "a directory";
	case 'f':
		return "a file";
	case 'l':
		return "a symlink";
	case 'p':
		return "a fifo";
	case 's':
		return "a socket";
	default:
		return "a device";
	}
}

static char *what_text(const struct pin_finding *f, const struct pin_record *rec)
{
	unsigned long long a = f->a, b = f->b;

	switch (f->kind) {
	case PIN_MISSING:
		return str_printf("is gone; %s was pinned", type_word(rec->type));
	case PIN_ADDED:
		return str_printf("was not there when it was pinned; it is not shown");
	case PIN_OTHER_TYPE:
		return str_printf("is %s; %s was pinned", type_word(b), type_word(a));
	case PIN_OTHER_MODE:
		return str_printf("has mode %04llo; %04llo was pinned", b, a);
	case PIN_OTHER_SIZE:
		return str_printf("has %llu bytes; %llu were pinned", b, a);
	case PIN_OTHER_TARGET:
		return str_printf("points elsewhere than when it was pinned");
	case PIN_OTHER_CONTENT:
		return str_printf("%llu of %llu blocks of %u bytes differ, the first from byte "
				  "%llu on",
				  a, (unsigned long long)pin_leaves(rec->size), PIN_LEAF,
				  b * PIN_LEAF);
	case PIN_UNREADABLE:
		return str_printf("cannot be read: %s", strerror((int)f->b));
	}
	return NULL;
}

json_t *pin_finding_json(struct pin_job *j, const struct pin_finding *f)
{
	static const char *const words[] = {
		[PIN_MISSING] = "missing",       [PIN_ADDED] = "added",
		[PIN_OTHER_TYPE] = "type",       [PIN_OTHER_MODE] = "mode",
		[PIN_OTHER_SIZE] = "size",       [PIN_OTHER_TARGET] = "target",
		[PIN_OTHER_CONTENT] = "content", [PIN_UNREADABLE] = "unreadable",
	};
	char raw[PATH_TEXT], path[PATH_TEXT * 2] = "?";
	struct pin_record rec = { .type = 'f' };
	autofree char *text = NULL;

	if (f->pinned) {
		pin_path(j->pin, f->i, raw, sizeof(raw));
		(void)pin_record(j->pin, f->i, &rec);
		str_printable(raw, path, sizeof(path));
	} else {
		autofree char *p = pin_tree_path(&j->tree, f->i);

		rec = j->tree.rec[f->i];
		if (p)
			str_printable(*p ? p : ".", path, sizeof(path));
	}
	text = what_text(f, &rec);
	return json_pack("{s:s, s:s, s:s}", "kind", words[f->kind], "path", path, "what",
			 text ? text : "");
}
