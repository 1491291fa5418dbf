/* Options from one table: parsing, --help, man page and completion all come from it.
 *
 * A program is a 'struct opt_command' (sbx-shell) or a list of them (sbxctl's verbs).  Values land
 * in the caller's struct at the row's offset. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;

enum opt_kind {
	OPT_FLAG,      /* bool */
	OPT_STRING,    /* const char *, borrowed from argv */
	OPT_SIZE,      /* struct opt_u64, bytes */
	OPT_TIME,      /* struct opt_u64, milliseconds */
	OPT_COUNT,     /* struct opt_u64 */
	OPT_MILLI,     /* struct opt_u64, thousandths */
	OPT_ENUM,      /* const char *, one of 'choices' */
	OPT_LIST,      /* struct opt_list, repeatable string */
};

struct opt_u64 {
	bool set;
	bool none;     /* the word "none" was given: no limit */
	uint64_t value;
};

#define OPT_LIST_MAX 64
struct opt_list {
	size_t n;
	const char *v[OPT_LIST_MAX];
};

enum opt_complete { COMPLETE_NONE, COMPLETE_FILE, COMPLETE_DIR, COMPLETE_WORKSPACE };

struct opt {
	const char *name;            /* without "--"; NULL ends the table */
	char letter;                 /* 0 = no short form */
	enum opt_kind kind;
	size_t offset;
	const char *arg;             /* name of the value in help, NULL for flags */
	const char *deflt;           /* default as printed in help, NULL if none */
	const char *help;            /* one sentence */
	const char *const *choices;  /* OPT_ENUM: NULL-terminated */
	enum opt_complete complete;
	uint64_t min, max;           /* numbers: allowed range; 0,0 = any */
};

struct opt_example {
	const char *command, *text;  /* man page and --help; each is run by a test */
};

struct opt_command {
	const char *name;            /* "sbx-shell", or "dataset add" for a verb of sbxctl */
	const char *args;            /* "WS -- CMD [ARG..]" */
	const char *summary;         /* one line */
	const char *description;     /* paragraphs, separated by blank lines; for the man page */
	const struct opt *opts;
	const struct opt_example *examples;  /* NULL-command ended, may be NULL */
	int min_args, max_args;      /* positional; max -1 = any */
	bool rest_after_dashes;      /* "--" ends our part; what follows is the command */
	int (*run)(void *opts, int argc, char **argv);  /* returns the exit code */
	size_t opts_size;
};

/* Parse argv[1..]; positional arguments are moved to the front of argv, their count is returned, or
 * negative errno with a sentence that names the option, what is wrong and "try NAME --help".
 * *ret_rest: index of the first argument after "--", or argc. */
int opt_parse(const struct opt_command *c, int argc, char **argv, void *opts, int *ret_rest,
	      struct err *err);
void opt_help(FILE *out, const char *program, const struct opt_command *c);
void opt_help_program(FILE *out, const char *program, const char *summary,
		      const struct opt_command *const *cmds);
/* mdoc(7) source and completion scripts, written at build time by shell/gendoc.c. */
void opt_man(FILE *out, const char *program, const char *summary, const char *intro,
	     const struct opt_command *const *cmds);
void opt_complete_bash(FILE *out, const char *program, const struct opt_command *const *cmds);
void opt_complete_zsh(FILE *out, const char *program, const struct opt_command *const *cmds);
void opt_complete_fish(FILE *out, const char *program, const struct opt_command *const *cmds);
