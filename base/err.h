/* A failure carries a number for the machine and one sentence for the person.
 *
 * The function that knows the facts writes the sentence with err_set(); each caller may put
 * before it what only it knows with err_wrap(); the program prints it once.  No heap is used:
 * a struct err works after clone() and crosses a pipe in one write (PIPE_BUF is 4096).
 *
 * Every 'struct err *' parameter may be NULL.  All functions return 'code' (negative errno), so
 * that a failing line reads:  return err_set(err, -errno, "open '%s'", path);
 */
#pragma once

#define ERR_TEXT_MAX 1020

struct err {
	int code;                /* 0 = no error, else negative errno */
	char text[ERR_TEXT_MAX]; /* "what failed, on what: why"; no newline */
};

/* Set code and sentence.  ": strerror(-code)" is appended, unless the format ends with '.' or ')',
 * which says that the sentence already names the cause (and mostly the remedy). */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prefix the sentence that is there: "FMT: old sentence".  Keeps 'code' of the caller. */
int err_wrap(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
