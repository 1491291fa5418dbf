#include "shell/opt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

const char *const opt_words_none[] = { "none", NULL };
const char *const opt_words_half[] = { "half", "none", NULL };
const char *const opt_words_all[] = { "all", "none", NULL };

/* Every command has these two without naming them. */
static const char *const common_names[] = { "help", "version" };

static const struct {
	int (*parse)(const char *s, uint64_t *ret);
	const char *what;
} numbers[] = {
	[OPT_SIZE] = { parse_size, "a size such as 512M or 2G" },
	[OPT_TIME] = { parse_duration, "a time such as 500ms, 30s, 5m or 1h" },
	[OPT_COUNT] = { parse_u64, "a whole number" },
	[OPT_MILLI] = { parse_milli, "a number such as 2 or 0.5" },
};

/* ", none or half": the words that stand for a number, for the end of a sentence. */
static void words_text(const char *const *words, const char *first, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; words && words[i] && len < size; i++) {
		const char *sep = i == 0 ? first : words[i + 1] ? ", " : " or ";

		len += (size_t)snprintf(out + len, size - len, "%s%s", sep, words[i]);
	}
}

/* A limit in the unit the person typed it in. */
static void range_text(const struct opt *o, uint64_t v, char out[static 24])
{
	if (o->kind == OPT_SIZE)
		format_size(v, out);
	else if (o->kind == OPT_TIME)
		format_duration(v, out);
	else if (o->kind == OPT_MILLI)
		snprintf(out, 24, "%g", (double)v / 1000);
	else
		snprintf(out, 24, "%llu", (unsigned long long)v);
}

static int parse_number(const struct opt *o, const char *what, const char *text, struct opt_u64 *v,
			struct err *err)
{
	char words[80], low[24], high[24];
	uint64_t value;
	int r;

	for (size_t i = 0; o->words && o->words[i]; i++)
		if (!strcmp(text, o->words[i])) {
			bool none = !strcmp(text, "none") || !strcmp(text, "all");

			*v = (struct opt_u64){ .set = true, .none = none, .word = o->words[i] };
			return 0;
		}
	r = numbers[o->kind].parse(text, &value);
	words_text(o->words, ", or ", words, sizeof(words));
	if (r == -ERANGE)
		return err_set(err, r, "%s: '%s' is too large.", what, text);
	if (r < 0)
		return err_set(err, r, "%s: '%s' is not %s%s.", what, text, numbers[o->kind].what,
			       words);
	if (value < o->min || (o->max && value > o->max)) {
		range_text(o, o->min, low);
		range_text(o, o->max, high);
		if (o->max)
			return err_set(err, -ERANGE, "%s: '%s' is out of range (%s to %s%s).", what,
				       text, low, high, words);
		return err_set(err, -ERANGE, "%s: '%s' is too small (at least %s%s).", what, text,
			       low, words);
	}
	*v = (struct opt_u64){ .set = true, .value = value };
	return 0;
}

static int parse_choice(const struct opt *o, const char *what, const char *text, const char **ret,
			struct err *err)
{
	char words[200];

	for (size_t i = 0; o->choices[i]; i++)
		if (!strcmp(text, o->choices[i])) {
			*ret = o->choices[i];
			return 0;
		}
	words_text(o->choices, "", words, sizeof(words));
	return err_set(err, -EINVAL, "%s: '%s' is not known; it may be %s.", what, text, words);
}

int opt_parse_value(const struct opt *o, const char *what, const char *text, void *opts,
		    struct err *err)
{
	void *at = (char *)opts + o->offset;
	struct opt_list *list = at;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)at = true;
		return 0;
	case OPT_STRING:
		if (!*text)
			return err_set(err, -EINVAL, "%s: %s must not be empty.", what,
				       o->arg ? o->arg : "the value");
		*(const char **)at = text;
		return 0;
	case OPT_ENUM:
		return parse_choice(o, what, text, at, err);
	case OPT_LIST:
		if (!*text)
			return err_set(err, -EINVAL, "%s: %s must not be empty.", what, o->arg);
		if (list->n == OPT_LIST_MAX)
			return err_set(err, -E2BIG, "%s was given more than %d times.", what,
				       OPT_LIST_MAX);
		list->v[list->n++] = text;
		return 0;
	case OPT_SIZE:
	case OPT_TIME:
	case OPT_COUNT:
	case OPT_MILLI:
		return parse_number(o, what, text, at, err);
	}
	assert(!"no such kind");
	return -EINVAL;
}

const struct opt *opt_find(const struct opt *table, const char *name, size_t len)
{
	for (const struct opt *o = table; o && o->name; o++)
		if (strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

static const struct opt *find_letter(const struct opt *table, char letter)
{
	for (const struct opt *o = table; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

/* Edits (insert, drop, change, swap neighbours) that turn a into b; words of up to 31 bytes. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t d[33][33], la = strlen(a), lb = strlen(b);

	if (la > 31 || lb > 31)
		return SIZE_MAX;
	for (size_t i = 0; i <= la; i++)
		for (size_t j = 0; j <= lb; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = MIN(d[i][j], MIN(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[la][lb];
}

const char *opt_nearest(const char *word, const char *const *list, size_t n)
{
	size_t best = SIZE_MAX, len = strlen(word);
	const char *ret = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = edit_distance(word, list[i]);

		/* The beginning of a word is a better hint than its length. */
		if (len >= 2 && !strncmp(word, list[i], len))
			d = 1;
		if (d < best) {
			best = d;
			ret = list[i];
		}
	}
	return best <= 1 || (best <= 2 && len > 3) || (best <= 3 && len > 7) ? ret : NULL;
}

void opt_full_name(const char *program, const struct opt_command *c, char *ret, size_t size)
{
	if (program && strcmp(program, c->name) != 0)
		snprintf(ret, size, "%s %s", program, c->name);
	else
		snprintf(ret, size, "%s", c->name);
}

/* What one opt_parse() hands to its steps. */
struct parser {
	const struct opt_command *c;
	char who[80]; /* opt_full_name() */
	int argc, i;
	char **argv;
	void *opts;
	struct err *err;
};

static int unknown_option(const struct parser *p, const char *name, size_t len)
{
	const char *names[128];
	autofree char *word = strndup(name, len);
	const char *near;
	size_t n = 0;

	if (!word)
		return err_set(p->err, -ENOMEM, "parse the options");
	for (size_t i = 0; i < ARRAY_LEN(common_names); i++)
		names[n++] = common_names[i];
	for (const struct opt *o = p->c->opts; o && o->name && n < ARRAY_LEN(names); o++)
		names[n++] = o->name;
	near = opt_nearest(word, names, n);
	if (near)
		return err_set(p->err, -EINVAL,
			       "there is no option --%s; did you mean --%s?  Try '%s --help'.",
			       word, near, p->who);
	return err_set(p->err, -EINVAL, "there is no option --%s.  Try '%s --help'.", word, p->who);
}

static int no_value(const struct parser *p, const char *what, const struct opt *o)
{
	return err_set(p->err, -EINVAL, "%s needs a value (%s).  Try '%s --help'.", what, o->arg,
		       p->who);
}

/* One "--name", "--name=value" or "--name value" at argv[i]. */
static int parse_long(struct parser *p)
{
	const char *name = p->argv[p->i] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct opt *o = opt_find(p->c->opts, name, len);
	char what[64];

	if (!o && !strcmp(name, "help"))
		return OPT_HELP;
	if (!o && !strcmp(name, "version"))
		return OPT_VERSION;
	if (!o)
		return unknown_option(p, name, len);
	snprintf(what, sizeof(what), "--%s", o->name);
	if (o->kind == OPT_FLAG) {
		if (value)
			return err_set(p->err, -EINVAL, "%s takes no value.  Try '%s --help'.",
				       what, p->who);
		return opt_parse_value(o, what, "", p->opts, p->err);
	}
	if (!value && p->i + 1 < p->argc && strcmp(p->argv[p->i + 1], "--") != 0)
		value = p->argv[++p->i];
	if (!value)
		return no_value(p, what, o);
	return opt_parse_value(o, what, value, p->opts, p->err);
}

/* A group of letters at argv[i]: "-q", "-qj", "-oFILE", "-o FILE". */
static int parse_letters(struct parser *p)
{
	for (const char *at = p->argv[p->i] + 1; *at; at++) {
		const struct opt *o = find_letter(p->c->opts, *at);
		char what[8];
		int r;

		if (!o && *at == 'h')
			return OPT_HELP;
		if (!o)
			return err_set(p->err, -EINVAL, "there is no option -%c.  Try '%s --help'.",
				       *at, p->who);
		snprintf(what, sizeof(what), "-%c", *at);
		if (o->kind != OPT_FLAG) {
			const char *value = at[1] ? at + 1 : NULL;

			if (!value && p->i + 1 < p->argc)
				value = p->argv[++p->i];
			if (!value)
				return no_value(p, what, o);
			return opt_parse_value(o, what, value, p->opts, p->err);
		}
		r = opt_parse_value(o, what, "", p->opts, p->err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_count(const struct parser *p, int n)
{
	const struct opt_command *c = p->c;

	if (n < c->min_args)
		return err_set(p->err, -EINVAL, "an argument is missing; usage: %s [OPTIONS] %s.",
			       p->who, c->args ? c->args : "");
	if (c->max_args >= 0 && n > c->max_args)
		return err_set(p->err, -EINVAL, "'%s' is one argument too many.  Try '%s --help'.",
			       p->argv[c->max_args + 1], p->who);
	return n;
}

static int forgotten_dashes(const struct parser *p, int n, const char *arg)
{
	return err_set(p->err, -EINVAL,
		       "'%s' is one argument too many; a command goes after '--' (%s %s -- %s)",
		       arg, p->who, n > 0 ? p->argv[n] : "", arg);
}

int opt_parse(const char *program, const struct opt_command *c, int argc, char **argv, void *opts,
	      int *ret_rest, struct err *err)
{
	struct parser p = { .c = c, .argc = argc, .argv = argv, .opts = opts, .err = err };
	int n = 0, r;

	opt_full_name(program, c, p.who, sizeof(p.who));
	for (p.i = 1; p.i < argc; p.i++) {
		char *arg = argv[p.i];

		if (!strcmp(arg, "--"))
			break;
		if (arg[0] != '-' || !arg[1]) {
			/* Before the options of that command are taken for ours. */
			if (c->rest_after_dashes && n == c->max_args)
				return forgotten_dashes(&p, n, arg);
			argv[1 + n++] = arg;
			continue;
		}
		r = arg[1] == '-' ? parse_long(&p) : parse_letters(&p);
		if (r < 0)
			return r;
	}
	p.i += p.i < argc; /* past the "--" */
	if (ret_rest)
		*ret_rest = p.i;
	for (; p.i < argc && !c->rest_after_dashes; p.i++)
		argv[1 + n++] = argv[p.i];
	return check_count(&p, n);
}
