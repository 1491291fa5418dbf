#include "tests/crash/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/disk_int.h"

#define WORDS 6

/* One file, by whatever names. A byte may be what it was at the last fsync that returned, or what
 * was written since; zero if it was never synced. Values are 0..62, one bit each. */
struct file {
	uint8_t *now;
	uint64_t *may;
	uint64_t size, least, most, cap;
	unsigned modes[64]; /* that it had */
	unsigned nmodes, sure_mode;
};

/* What a name stands for, after one call. */
struct binding {
	char type; /* 0: nothing */
	uint32_t file;
	char *target;
	uint32_t call;
};

struct path {
	char *text;
	struct binding *b;
	size_t n, cap;
	size_t sure; /* the newest that is promised */
};

struct line {
	uint64_t before, after;
	char *text;
	char *w[WORDS];
	unsigned nw;
};

struct half {
	uint64_t key;
	uint32_t line;
	bool end;
};

struct model {
	struct line *lines;
	size_t nlines, caplines;
	struct half *halves;
	size_t nhalves, at;
	struct file *files;
	size_t nfiles, capfiles;
	struct path *paths;
	size_t npaths, cappaths;
	char *free_dir;
	uint64_t least, most; /* transactions */
};

/* -- files ---------------------------------------------------------------- */

static struct file *file_of(struct model *m, const char *id)
{
	size_t i = strtoul(id, NULL, 10);

	while (m->nfiles <= i)
		*PUSH(m->files, m->nfiles, m->capfiles) = (struct file){ 0 };
	return &m->files[i];
}

static void reserve(struct file *f, uint64_t size)
{
	uint64_t cap = f->cap ? f->cap : 4096;

	while (cap < size)
		cap *= 2;
	if (cap == f->cap)
		return;
	f->now = disk_realloc(f->now, cap);
	f->may = disk_realloc(f->may, cap * sizeof(*f->may));
	memset(f->now + f->cap, 0, cap - f->cap);
	for (uint64_t i = f->cap; i < cap; i++)
		f->may[i] = 1;
	f->cap = cap;
}

static void may_write(struct file *f, uint64_t off, uint64_t len, uint8_t value)
{
	reserve(f, off + len);
	memset(f->now + off, value, len);
	for (uint64_t i = off; i < off + len; i++)
		f->may[i] |= UINT64_C(1) << value;
	if (off + len > f->size)
		f->size = off + len;
	if (f->size > f->most)
		f->most = f->size;
}

static void may_cut(struct file *f, uint64_t size)
{
	reserve(f, size);
	for (uint64_t i = size; i < f->cap; i++)
		f->may[i] |= 1;
	if (size < f->size)
		memset(f->now + size, 0, f->size - size);
	f->size = size;
	if (size < f->least)
		f->least = size;
	if (size > f->most)
		f->most = size;
}

static void may_punch(struct file *f, uint64_t off, uint64_t len)
{
	uint64_t end = off + len < f->size ? off + len : f->size;

	reserve(f, f->size);
	for (uint64_t i = off; i < end; i++) {
		f->now[i] = 0;
		f->may[i] |= 1;
	}
}

static void may_chmod(struct file *f, unsigned mode)
{
	if (f->nmodes == 64)
		disk_die("too many modes of one file");
	f->modes[f->nmodes++] = mode;
}

static bool has_mode(const struct file *f, unsigned mode)
{
	for (unsigned i = f->sure_mode; i < f->nmodes; i++) {
		if (f->modes[i] == mode)
			return true;
	}
	return false;
}

static void now_durable(struct file *f)
{
	f->sure_mode = f->nmodes ? f->nmodes - 1 : 0;
	f->least = f->most = f->size;
	for (uint64_t i = 0; i < f->cap; i++)
		f->may[i] = UINT64_C(1) << f->now[i];
}

/* -- names ---------------------------------------------------------------- */

static struct path *path_of(struct model *m, const char *text)
{
	struct path *p;

	for (size_t i = 0; i < m->npaths; i++) {
		if (strcmp(m->paths[i].text, text) == 0)
			return &m->paths[i];
	}
	p = PUSH(m->paths, m->npaths, m->cappaths);
	*p = (struct path){ .text = strdup(text) };
	*PUSH(p->b, p->n, p->cap) = (struct binding){ .call = UINT32_MAX };
	return p;
}

static const struct binding *latest(struct model *m, const char *text)
{
	struct path *p = path_of(m, text);

	return &p->b[p->n - 1];
}

static void bind(struct model *m, const char *text, struct binding b)
{
	struct path *p = path_of(m, text);

	*PUSH(p->b, p->n, p->cap) = b;
}

static void promise_call(struct model *m, uint32_t call)
{
	for (size_t i = 0; i < m->npaths; i++) {
		struct path *p = &m->paths[i];

		for (size_t k = p->sure + 1; k < p->n; k++) {
			if (p->b[k].call == call)
				p->sure = k;
		}
	}
}

/* The newest that this name stands for, with all the call did, and the directories above it. */
static void promise(struct model *m, const char *text)
{
	char up[4096];

	snprintf(up, sizeof(up), "%s", text);
	for (;;) {
		const struct binding *b = latest(m, up);
		char *slash = strrchr(up, '/');

		if (b->call != UINT32_MAX)
			promise_call(m, b->call);
		if (!slash)
			return;
		*slash = '\0';
	}
}

static bool is_below(const char *text, const char *dir)
{
	size_t n = strlen(dir);

	return n == 0 || (strncmp(text, dir, n) == 0 && text[n] == '/');
}

static void promise_dir(struct model *m, const char *dir)
{
	size_t n = strlen(dir), skip = n ? n + 1 : 0;

	for (size_t i = 0; i < m->npaths; i++) {
		const char *t = m->paths[i].text;

		if (is_below(t, dir) && !strchr(t + skip, '/'))
			promise(m, t);
	}
	if (n)
		promise(m, dir);
}

static void promise_file(struct model *m, uint32_t file)
{
	for (size_t i = 0; i < m->npaths; i++) {
		const struct path *p = &m->paths[i];
		const struct binding *b = &p->b[p->n - 1];

		if (b->type == 'f' && b->file == file)
			promise(m, p->text);
	}
}

static void may_rename(struct model *m, const char *from, const char *to, uint32_t call)
{
	struct binding b = *latest(m, from);
	size_t n = m->npaths;
	char moved[4096];

	b.call = call;
	bind(m, from, (struct binding){ .call = call });
	bind(m, to, b);
	for (size_t i = 0; i < n && b.type == 'd'; i++) {
		struct binding below = m->paths[i].b[m->paths[i].n - 1];

		if (!is_below(m->paths[i].text, from) || !below.type)
			continue;
		below.call = call;
		snprintf(moved, sizeof(moved), "%s%s", to, m->paths[i].text + strlen(from));
		bind(m, m->paths[i].text, (struct binding){ .call = call });
		bind(m, moved, below);
	}
}

/* -- the journal ---------------------------------------------------------- */

static uint64_t num(const struct line *l, unsigned i)
{
	return l->w[i] ? strtoull(l->w[i], NULL, 10) : 0;
}

static bool is(const struct line *l, const char *op)
{
	return strcmp(l->w[0], op) == 0;
}

/* From now on it may have happened. */
static void begins(struct model *m, const struct line *l, uint32_t call)
{
	if (is(l, "create"))
		may_chmod(file_of(m, l->w[2]), 0644);
	if (is(l, "create"))
		bind(m, l->w[1],
		     (struct binding){ .type = 'f', .file = (uint32_t)num(l, 2), .call = call });
	else if (is(l, "link"))
		bind(m, l->w[2],
		     (struct binding){ .type = 'f', .file = (uint32_t)num(l, 1), .call = call });
	else if (is(l, "mkdir"))
		bind(m, l->w[1], (struct binding){ .type = 'd', .call = call });
	else if (is(l, "mkfifo"))
		bind(m, l->w[1], (struct binding){ .type = 's', .call = call });
	else if (is(l, "symlink"))
		bind(m, l->w[1], (struct binding){ .type = 'l', .target = l->w[2], .call = call });
	else if (is(l, "unlink") || is(l, "rmdir"))
		bind(m, l->w[1], (struct binding){ .call = call });
	else if (is(l, "rename"))
		may_rename(m, l->w[1], l->w[2], call);
	else if (is(l, "write"))
		may_write(file_of(m, l->w[1]), num(l, 2), num(l, 3), (uint8_t)num(l, 4));
	else if (is(l, "chmod"))
		may_chmod(file_of(m, l->w[1]), (unsigned)num(l, 2));
	else if (is(l, "cut"))
		may_cut(file_of(m, l->w[1]), num(l, 2));
	else if (is(l, "punch"))
		may_punch(file_of(m, l->w[1]), num(l, 2), num(l, 3));
	else if (is(l, "commit"))
		m->most = num(l, 1);
	else if (!is(l, "fsync") && !is(l, "fsyncdir") && !is(l, "end"))
		disk_die("the journal says '%s', which is not known", l->w[0]);
}

/* It has returned. */
static void returned(struct model *m, const struct line *l)
{
	if (is(l, "fsync")) {
		now_durable(file_of(m, l->w[1]));
		promise_file(m, (uint32_t)num(l, 1));
	} else if (is(l, "fsyncdir")) {
		promise_dir(m, l->w[1] ? l->w[1] : "");
	} else if (is(l, "commit")) {
		m->least = num(l, 1);
	} else if (is(l, "end")) {
		for (size_t i = 0; i < m->nfiles; i++)
			now_durable(&m->files[i]);
		for (size_t i = 0; i < m->npaths; i++)
			m->paths[i].sure = m->paths[i].n - 1;
	}
}

void model_advance(struct model *m, uint64_t upto)
{
	for (; m->at < m->nhalves && m->halves[m->at].key <= upto; m->at++) {
		const struct half *h = &m->halves[m->at];

		if (h->end)
			returned(m, &m->lines[h->line]);
		else
			begins(m, &m->lines[h->line], h->line);
	}
}

static int by_key(const void *a, const void *b)
{
	const struct half *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->end - y->end;
}

static void add_line(struct model *m, char *text)
{
	struct line l = { .text = strdup(text) };
	char *save = NULL, *p = l.text, *word;

	l.before = strtoull(p, &p, 10);
	l.after = strtoull(p, &p, 10);
	for (word = strtok_r(p, "\t\n", &save); word && l.nw < WORDS;
	     word = strtok_r(NULL, "\t\n", &save))
		l.w[l.nw++] = word;
	if (l.nw == 0)
		disk_die("the journal has an empty line");
	if (strcmp(l.w[0], "free") == 0)
		m->free_dir = l.w[1];
	else
		*PUSH(m->lines, m->nlines, m->caplines) = l;
}

struct model *model_load(const char *journal)
{
	struct model *m = calloc(1, sizeof(*m));
	FILE *f = fopen(journal, "re");
	static char text[65536];

	if (!m || !f)
		disk_die("%s cannot be read", journal);
	while (fgets(text, sizeof(text), f))
		add_line(m, text);
	fclose(f);
	m->halves = disk_realloc(NULL, (2 * m->nlines + 1) * sizeof(*m->halves));
	for (uint32_t i = 0; i < m->nlines; i++) {
		const struct line *l = &m->lines[i];
		uint64_t end = l->after > l->before ? l->after : l->before + 1;

		m->halves[m->nhalves++] = (struct half){ l->before + 1, i, false };
		m->halves[m->nhalves++] = (struct half){ end, i, true };
	}
	qsort(m->halves, m->nhalves, sizeof(*m->halves), by_key);
	return m;
}

/* -- judging -------------------------------------------------------------- */

bool model_is_free(const struct model *m, const char *path)
{
	return m->free_dir && (strcmp(path, m->free_dir) == 0 || is_below(path, m->free_dir));
}

void model_transactions(const struct model *m, uint64_t *ret_least, uint64_t *ret_most)
{
	*ret_least = m->least;
	*ret_most = m->most;
}

unsigned model_paths(const struct model *m)
{
	return (unsigned)m->npaths;
}

const char *model_path(const struct model *m, unsigned i)
{
	return m->paths[i].text;
}

static const char *check_content(const struct file *f, const struct found *found)
{
	static char why[160];

	if (found->size < f->least || found->size > f->most) {
		snprintf(why, sizeof(why), "lost: its size is %llu, not %llu to %llu",
			 (unsigned long long)found->size, (unsigned long long)f->least,
			 (unsigned long long)f->most);
		return why;
	}
	if (!has_mode(f, found->mode)) {
		snprintf(why, sizeof(why), "lost: its mode is %o", found->mode);
		return why;
	}
	for (uint64_t i = 0; i < found->size; i++) {
		if (found->data[i] < 63 && f->may[i] >> found->data[i] & 1)
			continue;
		snprintf(why, sizeof(why), "lost: byte %llu is %u, allowed is the set 0x%llx",
			 (unsigned long long)i, found->data[i], (unsigned long long)f->may[i]);
		return why;
	}
	return NULL;
}

static const char *check_binding(const struct model *m, const struct binding *b,
				 const struct found *found)
{
	if (b->type != found->type)
		return found->type ? "lost: it is not what it was" : "lost: it is not there";
	if (b->type == 'f')
		return check_content(&m->files[b->file], found);
	if (b->type == 'l' &&
	    (strlen(b->target) != found->size || memcmp(b->target, found->data, found->size) != 0))
		return "lost: its target is another";
	return NULL;
}

const char *model_check(const struct model *m, const char *path, const struct found *found)
{
	const char *why = "it was never made";

	for (size_t i = 0; i < m->npaths; i++) {
		const struct path *p = &m->paths[i];

		if (strcmp(p->text, path) != 0)
			continue;
		for (size_t k = p->n; k-- > p->sure;) {
			why = check_binding(m, &p->b[k], found);
			if (!why)
				return NULL;
		}
	}
	return why;
}
