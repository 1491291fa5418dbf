/* Words to people on stderr.  Used by programs only: library code returns errors.
 * Lines are "sbx-shell: sentence"; bytes that could drive a terminal are made printable. */
#pragma once

#include <stdbool.h>

struct err;

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTE, LOG_DEBUG };

/* 'name' is kept, not copied. The level default is LOG_NOTE. */
void log_setup(const char *name, enum log_level level);
/* Send lines to this descriptor instead of stderr (the daemon's log file). Not owned. */
void log_to_fd(int fd);
void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The sentence of 'err' (or strerror(-code) when it is empty), at LOG_ERROR. */
void log_err(int code, const struct err *err);
