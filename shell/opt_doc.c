/* mdoc(7) and shell completions from the option tables; run at build time by shell/gendoc.c. */
#include "shell/opt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* -- man pages ------------------------------------------------------------------------------- */

/* Text on lines of its own: one sentence a line, nothing that roff would take for a request. */
static void put_text(FILE *out, const char *text, const char *end)
{
	bool line_start = true;

	for (const char *p = text; *p; p++) {
		if (line_start && (*p == '.' || *p == '\''))
			fputs("\\&", out);
		line_start = false;
		if (*p == '\n' && p[1] == '\n') {
			fputs("\n.Pp\n", out);
			p += strspn(p, "\n") - 1;
			line_start = true;
		} else if (*p == '\n' || (p > text && strchr(".:;", p[-1]) && *p == ' ' &&
					  isupper((unsigned char)p[1]))) {
			fputc('\n', out);
			p += strspn(p, " \n") - 1;
			line_start = true;
		} else if (*p == '\\') {
			fputs("\\e", out);
		} else {
			fputc(*p, out);
		}
	}
	fprintf(out, "%s\n", end);
}

/* One word on a line of macros, never taken for a macro itself. */
static void put_word(FILE *out, const char *word, int len)
{
	fprintf(out, " \\&%.*s", len, word);
}

/* A line of macros for "WS -- CMD [ARG..]". */
static void put_args(FILE *out, const char *args)
{
	const char *lead = ".";

	while (*args && *args != '\n') {
		int len = (int)strcspn(args, " \n");

		if (len == 2 && !strncmp(args, "--", 2)) {
			fprintf(out, "%sFl -", lead);
		} else if (args[0] == '[' && args[len - 1] == ']') {
			fprintf(out, "%sOp Ar", lead);
			put_word(out, args + 1, len - 2);
		} else {
			fprintf(out, "%sAr", lead);
			put_word(out, args, len);
		}
		lead = " ";
		args += len;
		args += *args == ' ';
	}
	if (*lead == ' ')
		fputc('\n', out);
}

static void put_sentence(FILE *out, const char *text)
{
	size_t len = strlen(text);

	fputc(toupper((unsigned char)text[0]), out);
	put_text(out, text + 1, len && text[len - 1] != '.' ? "." : "");
}

static void put_options(FILE *out, const struct opt *o, bool common)
{
	if (!common && !(o && o->name))
		return;
	fputs(".Bl -tag -width Ds\n", out);
	for (; o && o->name; o++) {
		fputs(".It", out);
		if (o->letter)
			fprintf(out, " Fl %c ,", o->letter);
		fprintf(out, " Fl -%s", o->name);
		if (o->arg) {
			fputs(" Ar", out);
			put_word(out, o->arg, (int)strlen(o->arg));
		}
		fputc('\n', out);
		put_text(out, o->help, "");
		if (o->deflt)
			fprintf(out, "The default is %s.\n", o->deflt);
	}
	if (common)
		fputs(".It Fl h , Fl -help\nPrint a summary of the options and leave.\n"
		      ".It Fl -version\nPrint the version and leave.\n",
		      out);
	fputs(".El\n", out);
}

static void put_synopsis(FILE *out, bool single, const struct opt_command *const *cmds)
{
	for (; *cmds; cmds++)
		for (const char *args = (*cmds)->args; args;) {
			const char *end = strchr(args, '\n');

			fputs(single ? ".Nm\n.Op Ar OPTIONS\n" : ".Nm\n", out);
			if (!single)
				fprintf(out, ".Cm %s\n.Op Ar OPTIONS\n", (*cmds)->name);
			put_args(out, args);
			args = end ? end + 1 : NULL;
		}
}

static void put_commands(FILE *out, const struct opt_command *const *cmds)
{
	for (; *cmds; cmds++) {
		const struct opt_command *c = *cmds;

		fprintf(out, ".Ss %s%s%s\n", c->name, c->args && *c->args ? " " : "",
			c->args ? c->args : "");
		put_sentence(out, c->summary);
		if (c->description) {
			fputs(".Pp\n", out);
			put_text(out, c->description, "");
		}
		put_options(out, c->opts, false);
	}
}

static void put_examples(FILE *out, const struct opt_command *const *cmds)
{
	const char *between = "";

	for (; *cmds; cmds++)
		for (const struct opt_example *e = (*cmds)->examples; e && e->command; e++) {
			fputs(between, out);
			put_sentence(out, e->text);
			fprintf(out, ".Pp\n.Dl $ %s\n", e->command);
			between = ".Pp\n";
		}
}

void opt_man(FILE *out, const char *program, const char *page, bool single,
	     const struct opt_command *const *cmds)
{
	while (*page) {
		const char *end = strchr(page, '\n');
		size_t len = end ? (size_t)(end - page) : strlen(page);
		autofree char *line = strndup(page, len);

		page += len + (end != NULL);
		if (!line)
			return;
		if (!strcmp(line, "@SYNOPSIS@"))
			put_synopsis(out, single, cmds);
		else if (!strcmp(line, "@OPTIONS@"))
			put_options(out, cmds[0]->opts, true);
		else if (!strcmp(line, "@COMMANDS@"))
			put_commands(out, cmds);
		else if (!strcmp(line, "@EXAMPLES@"))
			put_examples(out, cmds);
		else
			fprintf(out, "%s\n", line);
	}
}
