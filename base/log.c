#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

/* Process-wide by nature: one program, one stderr. */
static const char *log_name = "sbx";
static enum log_level log_max = LOG_NOTE;
static int log_fd = STDERR_FILENO;

void log_setup(const char *name, enum log_level level)
{
	log_name = name;
	log_max = level;
}

void log_to_fd(int fd)
{
	log_fd = fd;
}

void log_print(enum log_level level, const char *fmt, ...)
{
	char raw[2048], safe[4096], line[4224];
	va_list ap;
	int n;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	str_printable(raw, safe, sizeof(safe));
	n = snprintf(line, sizeof(line), "%s: %s%s\n", log_name,
		     level == LOG_WARN ? "warning: " : "", safe);
	/* One write per line: lines of several processes do not mix. Nothing to do on failure. */
	(void)fd_write_full(log_fd, line, (size_t)n);
}

void log_err(int code, const struct err *err)
{
	if (err && err->text[0])
		log_print(LOG_ERROR, "%s", err->text);
	else
		log_print(LOG_ERROR, "%s", strerror(code < 0 ? -code : code));
}
