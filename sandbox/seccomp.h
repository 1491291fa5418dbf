/* From the tables of system calls to filter programs.  Runs when sbx is built (filter_gen.c) and in
 * tests; the only door to libseccomp. The programs are described in filter.h. */
#pragma once

#include <linux/filter.h>
#include <stdint.h>

struct err;

#define SECCOMP_INSNS_MAX 4096 /* the kernel's BPF_MAXINSNS */

struct seccomp_program {
	uint32_t len; /* instructions */
	struct sock_filter insns[SECCOMP_INSNS_MAX];
};

struct seccomp_set {
	struct seccomp_program allow, deny, explain, init, connector, daemon, parser;
};

/* Build all for the machine this runs on. Pure: nothing is loaded. */
int seccomp_build_set(struct seccomp_set *ret, struct err *err);

/* One row of the tables in seccomp_table.c; each table ends with names == NULL. */
struct seccomp_row {
	const char *names;  /* system calls, separated by blanks */
	const char *reason; /* why it is allowed, or why it must not be */
};
extern const struct seccomp_row seccomp_allowed[];
extern const struct seccomp_row seccomp_refused[]; /* knowingly left out of it */
extern const struct seccomp_row seccomp_init_allowed[];
extern const struct seccomp_row seccomp_connector_allowed[]; /* besides */
extern const struct seccomp_row seccomp_daemon_refused[];
extern const struct seccomp_row seccomp_parser_allowed[];
extern const struct seccomp_row seccomp_parser_refused[]; /* an error; all others kill */

/* Calls of which the arguments decide (seccomp.c has the rules); ends as above. */
struct seccomp_argued {
	const char *name;
	unsigned arg; /* the one that tells cases apart */
	const char *reason;
};
extern const struct seccomp_argued seccomp_argued[];

/* The next name of a row: copied to 'name', *cursor moves behind it. -ENOENT at the end. */
int seccomp_next_name(const char **cursor, char name[static 48]);
/* Its number here, or negative when this machine has no such call. */
int seccomp_number(const char *name);
/* The other way round, into 'ret'; -ENOENT when there is no such number. */
int seccomp_name(int nr, char ret[static 48]);
