#include "shell/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

/* "0:07", "12:30", "1:00:05" */
static void clock_text(uint64_t ms, char out[static 24])
{
	unsigned long long s = ms / 1000;

	if (s >= 3600)
		snprintf(out, 24, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(out, 24, "%llu:%02llu", s / 60, s % 60);
}

static void of_limit(uint64_t used, uint64_t limit, char out[static 56])
{
	char a[24], b[24];

	format_size(used, a);
	format_size(limit, b);
	snprintf(out, 56, "%s%s%s", a, limit ? " of " : "", limit ? b : "");
}

void progress_text(const struct progress_seen *seen, const struct progress_now *n, char *out,
		   size_t size)
{
	char elapsed[24], left[24], memory[56], cpu[24], written[24], passed[24];

	clock_text(n->elapsed_ms, elapsed);
	clock_text(n->time_ms > n->elapsed_ms ? n->time_ms - n->elapsed_ms : 0, left);
	of_limit(n->memory, n->memory_limit, memory);
	clock_text(n->cpu_ms, cpu);
	format_size(n->passed, passed);
	format_size(seen && seen->known && seen->used > seen->first ? seen->used - seen->first : 0,
		    written);
	snprintf(out, size, "[%s%s%s%s] memory %s, CPU %s, output %s%s%s", elapsed,
		 n->time_ms ? ", " : "", n->time_ms ? left : "", n->time_ms ? " left" : "", memory,
		 cpu, passed, seen && seen->known ? ", written " : "",
		 seen && seen->known ? written : "");
}

static size_t columns(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

void progress_show(struct progress *p, const struct progress_now *n)
{
	char text[256], line[300];

	progress_text(p->seen, n, text, MIN(sizeof(text), columns(p->fd) + 1));
	snprintf(line, sizeof(line), "\r\033[2m%s\033[0m\033[K", text);
	fd_write_full(p->fd, line, strlen(line));
	p->shown = true;
}

void progress_hide(struct progress *p)
{
	if (p->shown)
		fd_write_full(p->fd, "\r\033[K", 4);
	p->shown = false;
}

void progress_end(struct progress *p)
{
	progress_hide(p);
	if (p->watcher > 0) {
		kill(p->watcher, SIGKILL);
		waitpid(p->watcher, NULL, 0);
	}
	p->watcher = 0;
}
