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
	OPT_FLAG,   /* bool */
	OPT_STRING, /* const char *, borrowed from argv */
	OPT_SIZE,   /* struct opt_u64, bytes */
	OPT_TIME,   /* struct opt_u64, milliseconds */
	OPT_COUNT,  /* struct opt_u64 */
	OPT_MILLI,  /* struct opt_u64, thousandths */
	OPT_ENUM,   /* const char *, one of 'choices' */
	OPT_LIST,   /* struct opt_list, repeatable string */
};

/* What a number option was given.  With a word in place of a number 'value' is 0. */
struct opt_u64 {
	bool set;
	bool none;        /* the word was "none" or "all": no limit */
	const char *word; /* the row's own string ("none", "half", "all"), NULL for a number */
	uint64_t value;
};

#define OPT_LIST_MAX 64
struct opt_list {
	size_t n;
	const char *v[OPT_LIST_MAX];
};

enum opt_complete { COMPLETE_NONE, COMPLETE_FILE, COMPLETE_DIR, COMPLETE_WORKSPACE };

struct opt {
	const char *name; /* without "--"; NULL ends the table */
	char letter;      /* 0 = no short form */
	enum opt_kind kind;
	size_t offset;
	const char *arg;            /* name of the value in help, NULL for flags */
	const char *deflt;          /* default as printed in help, NULL if none */
	const char *help;           /* one sentence; in rows write it as ".help = ", so that the
				       compiler accepts a row without the fields below */
	const char *const *choices; /* OPT_ENUM: NULL-terminated */
	enum opt_complete complete;
	uint64_t min, max;        /* numbers: allowed range; 0,0 = any */
	const char *const *words; /* numbers: words allowed instead ("none"); NULL = none of them */
};

/* Word lists for the rows of number options. */
extern const char *const opt_words_none[]; /* none */
extern const char *const opt_words_half[]; /* half, none */
extern const char *const opt_words_all[];  /* all, none */

struct opt_example {
	const char *command, *text; /* man page and --help; each is run by a test */
};

struct opt_command {
	const char *name;        /* "sbx-shell", or "dataset add" for a verb of sbxctl */
	const char *args;        /* "WS -- CMD [ARG..]" */
	const char *summary;     /* one line */
	const char *description; /* paragraphs, separated by blank lines; for the man page */
	const struct opt *opts;
	const struct opt_example *examples; /* NULL-command ended, may be NULL */
	int min_args, max_args;             /* positional; max -1 = any */
	bool rest_after_dashes;             /* "--" ends our part; what follows is the command */
	int (*run)(void *opts, int argc, char **argv); /* returns the exit code */
	size_t opts_size;
};

/* What opt_parse() answers when -h, --help or --version was given: nothing was printed. */
#define OPT_HELP    (-100001)
#define OPT_VERSION (-100002)

/* "sbxctl dataset add": what a person types; 'program' and c->name are the same for sbx-shell. */
void opt_full_name(const char *program, const struct opt_command *c, char *ret, size_t size);

/* Parse argv[1..] into 'opts' (zeroed by the caller). Options and positional arguments may be
 * mixed; the positional ones are moved to argv[1..n] and n is returned, or OPT_HELP, OPT_VERSION,
 * or negative errno with a sentence that names the option, what is wrong and "try NAME --help".
 * "--" ends the options; *ret_rest (may be NULL): index of the first argument after it, or argc.
 * With rest_after_dashes these are a command and not counted as positional; otherwise they are. */
int opt_parse(const char *program, const struct opt_command *c, int argc, char **argv, void *opts,
	      int *ret_rest, struct err *err);
/* Parse one value as the option would, into opts at the row's offset.  'what' names it in the
 * sentence ("--time", "limits.time"). */
int opt_parse_value(const struct opt *o, const char *what, const char *text, void *opts,
		    struct err *err);
/* The row of this name, NULL if there is none. */
const struct opt *opt_find(const struct opt *table, const char *name, size_t len);
/* The word of the list that was probably meant, NULL if none is near. */
const char *opt_nearest(const char *word, const char *const *list, size_t n);

/* The whole life of a program with verbs: finds the verb (of one or two words), parses, answers
 * --help, --version and "help VERB", calls run(opts, n, argv of the n positional arguments) and
 * returns the exit code: 2 for wrong usage.  Prints through base/log.h. */
int opt_main(const char *program, const char *summary, const struct opt_command *const *cmds,
	     int argc, char **argv);

/* --help: 80 columns. */
void opt_help(FILE *out, const char *program, const struct opt_command *c);
void opt_help_program(FILE *out, const char *program, const char *summary,
		      const struct opt_command *const *cmds);

/* Written at build time by shell/gendoc.c.  A page is hand-written mdoc(7) in which the lines
 * @SYNOPSIS@, @OPTIONS@ (one command), @COMMANDS@ (verbs) and @EXAMPLES@ are replaced from the
 * tables. 'single': a program without verbs. */
void opt_man(FILE *out, const char *program, const char *page, bool single,
	     const struct opt_command *const *cmds);
void opt_complete_bash(FILE *out, const char *program, bool single,
		       const struct opt_command *const *cmds);
void opt_complete_zsh(FILE *out, const char *program, bool single,
		      const struct opt_command *const *cmds);
void opt_complete_fish(FILE *out, const char *program, bool single,
		       const struct opt_command *const *cmds);
