/* A line of progress on a terminal, and the signals that end what it is about. */
#include "shell/sbxctl.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

static bool drawn; /* a line stands on the terminal */
static volatile sig_atomic_t interrupted;

static unsigned columns(void)
{
	struct winsize w;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

void ctl_bar(uint64_t done, uint64_t total, const char *fmt, ...)
{
	unsigned percent = total ? (unsigned)((__uint128_t)MIN(done, total) * 100 / total) : 0;
	char bar[21], text[200], line[256];
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < 20; i++)
		bar[i] = i < percent / 5 ? '#' : '.';
	bar[20] = '\0';
	snprintf(line, sizeof(line), "[%s] %3u%%  %s", bar, percent, text);
	line[MIN(columns() - 1, sizeof(line) - 1)] = '\0';
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	drawn = true;
}

void ctl_bar_clear(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
}

static void on_signal(int sig)
{
	interrupted = sig;
}

/* Without SA_RESTART: whatever waits, ends. */
void ctl_catch_signals(bool on)
{
	struct sigaction sa = { .sa_handler = on ? on_signal : SIG_DFL };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int ctl_interrupted(void)
{
	return interrupted;
}
