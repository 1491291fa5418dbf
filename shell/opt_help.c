/* --help in 80 columns, and the main() of programs with verbs: both read the tables only. */
#include "shell/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "config.h"

#define WIDTH  80
#define COLUMN 26 /* where the sentence beside an option begins */
#define USAGE  2  /* exit code */

/* Words of 'text' from column 'at', wrapped, further lines indented by 'indent'. */
static void print_wrapped(FILE *out, const char *text, int at, int indent)
{
	bool first = true;

	while (*text) {
		int len = (int)strcspn(text, " \n");

		if (!first && at + 1 + len > WIDTH - 1) {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
		} else if (!first) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", len, text);
		at += len;
		first = false;
		text += len;
		text += strspn(text, " \n");
	}
	fputc('\n', out);
}

/* "label" in the left column, the sentence in the right one. */
static void print_row(FILE *out, const char *label, const char *text)
{
	int len = fprintf(out, "%s", label);

	if (len > COLUMN - 2) {
		fputc('\n', out);
		len = 0;
	}
	fprintf(out, "%*s", COLUMN - len, "");
	print_wrapped(out, text, COLUMN, COLUMN);
}

static void print_option(FILE *out, const struct opt *o)
{
	char label[80], text[400];
	int n;

	if (o->letter)
		n = snprintf(label, sizeof(label), "  -%c, --%s", o->letter, o->name);
	else
		n = snprintf(label, sizeof(label), "      --%s", o->name);
	if (o->arg)
		snprintf(label + n, sizeof(label) - (size_t)n, " %s", o->arg);
	n = snprintf(text, sizeof(text), "%s", o->help);
	if (o->deflt)
		snprintf(text + n, sizeof(text) - (size_t)n, " (default: %s)", o->deflt);
	print_row(out, label, text);
}

static void print_usage(FILE *out, const char *who, const char *args)
{
	/* Alternatives ("WS" and "WS -- CMD") stand on lines of their own. */
	for (const char *lead = "Usage:"; args; lead = "   or:") {
		int len = (int)strcspn(args, "\n");

		fprintf(out, "%s %s [OPTIONS]%s%.*s\n", lead, who, len ? " " : "", len, args);
		args = args[len] ? args + len + 1 : NULL;
	}
}

void opt_help(FILE *out, const char *program, const struct opt_command *c)
{
	char who[80];

	opt_full_name(program, c, who, sizeof(who));
	print_usage(out, who, c->args ? c->args : "");
	print_wrapped(out, c->summary, 0, 0);
	fputs("\nOptions:\n", out);
	for (const struct opt *o = c->opts; o && o->name; o++)
		print_option(out, o);
	print_row(out, "  -h, --help", "print this and leave");
	print_row(out, "      --version", "print the version and leave");
	if (c->examples && c->examples->command)
		fputs("\nExamples:\n", out);
	for (const struct opt_example *e = c->examples; e && e->command; e++) {
		fprintf(out, "  %s\n      ", e->command);
		print_wrapped(out, e->text, 6, 6);
	}
}

void opt_help_program(FILE *out, const char *program, const char *summary,
		      const struct opt_command *const *cmds)
{
	fprintf(out, "Usage: %s COMMAND [OPTIONS] [ARG..]\n", program);
	print_wrapped(out, summary, 0, 0);
	fputs("\nCommands:\n", out);
	for (; *cmds; cmds++) {
		char label[64];

		snprintf(label, sizeof(label), "  %s", (*cmds)->name);
		print_row(out, label, (*cmds)->summary);
	}
	fprintf(out, "\nTry '%s COMMAND --help'.\n", program);
}

/* How many words of argv[0..] are the name of 'c': 0 if another name, or fewer words. */
static int match_words(const struct opt_command *c, int argc, char **argv)
{
	const char *name = c->name;
	int n = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (n == argc || strlen(argv[n]) != len || memcmp(argv[n], name, len) != 0)
			return 0;
		name += len;
		name += *name == ' ';
		n++;
	}
	return n;
}

static int unknown_verb(const char *program, const struct opt_command *const *cmds, int argc,
			char **argv)
{
	const char *names[128], *near;
	char typed[80];
	size_t n = 0;
	bool group = false;

	for (; n < ARRAY_LEN(names) && cmds[n]; n++) {
		size_t len = strlen(argv[0]);

		names[n] = cmds[n]->name;
		group |= !strncmp(names[n], argv[0], len) && names[n][len] == ' ';
	}
	if (group && (argc < 2 || argv[1][0] == '-'))
		snprintf(typed, sizeof(typed), "%s", argv[0]);
	else
		snprintf(typed, sizeof(typed), "%s%s%s", argv[0], group ? " " : "",
			 group ? argv[1] : "");
	near = opt_nearest(typed, names, n);
	if (near)
		log_print(LOG_ERROR,
			  "there is no command '%s'; did you mean '%s'?  Try '%s --help'.", typed,
			  near, program);
	else
		log_print(LOG_ERROR, "there is no command '%s'.  Try '%s --help'.", typed, program);
	return USAGE;
}

static int run_command(const char *program, const struct opt_command *c, int argc, char **argv)
{
	autofree void *opts = calloc(1, c->opts_size ? c->opts_size : 1);
	struct err err = { 0 };
	int n;

	if (!opts) {
		log_err(-ENOMEM, NULL);
		return 1;
	}
	n = opt_parse(program, c, argc, argv, opts, NULL, &err);
	if (n == OPT_HELP) {
		opt_help(stdout, program, c);
		return 0;
	}
	if (n == OPT_VERSION) {
		printf("%s %s\n", program, SBX_VERSION);
		return 0;
	}
	if (n < 0) {
		log_err(n, &err);
		return USAGE;
	}
	argv[1 + n] = NULL; /* what stood behind was moved or consumed */
	return c->run(opts, n, argv + 1);
}

/* A word that names several commands ("dataset"): list them. Returns how many. */
static int list_group(FILE *out, const char *program, const struct opt_command *const *cmds,
		      const char *word)
{
	size_t len = strlen(word);
	int n = 0;

	for (; *cmds; cmds++) {
		char label[64];

		if (strncmp((*cmds)->name, word, len) != 0 || (*cmds)->name[len] != ' ')
			continue;
		if (n++ == 0)
			fprintf(out, "Usage: %s %s COMMAND [OPTIONS] [ARG..]\n\nCommands:\n",
				program, word);
		snprintf(label, sizeof(label), "  %s", (*cmds)->name);
		print_row(out, label, (*cmds)->summary);
	}
	return n;
}

int opt_main(const char *program, const char *summary, const struct opt_command *const *cmds,
	     int argc, char **argv)
{
	bool help = argc > 1 && (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") ||
				 !strcmp(argv[1], "-h"));

	if (argc < 2) {
		opt_help_program(stderr, program, summary, cmds);
		return USAGE;
	}
	if (help && argc == 2) {
		opt_help_program(stdout, program, summary, cmds);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("%s %s\n", program, SBX_VERSION);
		return 0;
	}
	argv += 1 + help;
	argc -= 1 + help;
	for (const struct opt_command *const *c = cmds; *c; c++) {
		int words = match_words(*c, argc, argv);

		if (words && help) {
			opt_help(stdout, program, *c);
			return 0;
		}
		if (words)
			return run_command(program, *c, argc - words + 1, argv + words - 1);
	}
	if (argc == 1 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		bool asked = help || argc > 1;

		if (list_group(asked ? stdout : stderr, program, cmds, argv[0]))
			return asked ? 0 : USAGE;
	}
	return unknown_verb(program, cmds, argc, argv);
}
