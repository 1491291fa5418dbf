#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sandbox/scope.h"
#include "shell/sbxctl.h"

/* A program started with a standard descriptor closed would otherwise open a store file as its
 * stdout and print into it. */
static int fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Words that other programs have for what is called otherwise here. */
static const struct {
	const char *word, *answer;
} hints[] = {
	{ "create", "sbxctl init WS" },
	{ "new", "sbxctl init WS" },
	{ "shell", "sbx-shell WS" },
	{ "enter", "sbx-shell WS" },
	{ "run", "sbx-shell WS -- COMMAND" },
	{ "exec", "sbx-shell WS -- COMMAND" },
	{ "attach", "sbx-shell --join RUN" },
	{ "join", "sbx-shell --join RUN" },
	{ "list", "sbxctl status" },
	{ "ls", "sbxctl status" },
	{ "info", "sbxctl status WS" },
	{ "stop", "sbxctl kill RUN" },
	{ "add", "sbxctl dataset add WS NAME SOURCE" },
	{ "check", "sbxctl fsck WS" },
	{ "config", "sbxctl set WS KEY=VALUE" },
	{ "delete", "rm -r WS, when nothing uses it ('sbxctl status')" },
	{ "rm", "rm -r WS, when nothing uses it ('sbxctl status')" },
};

static bool hinted(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		if (!strcmp(hints[i].word, word)) {
			log_print(LOG_ERROR, "there is no command '%s'; that is: %s", word,
				  hints[i].answer);
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	int r;

	if (fill_standard_descriptors() < 0)
		return CTL_FAILED;
	/* What doctor finds must be what sbx-shell will have. */
	if (argc > 1 && strcmp(argv[1], "doctor") == 0)
		scope_enter(argv);
	/* 'sbxctl status | head' ends quietly through the write error below, not by a signal in the
	 * middle of an operation. */
	signal(SIGPIPE, SIG_IGN);
	log_setup("sbxctl", LOG_NOTE);
	if (argc > 1 && hinted(argv[1]))
		return CTL_USAGE;
	r = opt_main("sbxctl", sbxctl_summary, sbxctl_commands, argc, argv);
	if (fflush(stdout) != 0 && errno != EPIPE && r == 0) {
		log_print(LOG_ERROR, "write the output: %s", strerror(errno));
		r = CTL_FAILED;
	}
	return r;
}
