#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
	r = opt_main("sbxctl", sbxctl_summary, sbxctl_commands, argc, argv);
	if (fflush(stdout) != 0 && errno != EPIPE && r == 0) {
		log_print(LOG_ERROR, "write the output: %s", strerror(errno));
		r = CTL_FAILED;
	}
	return r;
}
