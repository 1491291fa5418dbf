/* gendoc man|bash|zsh|fish PROGRAM [PAGE]: writes one document to stdout, at build time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "shell/opt.h"
#include "shell/sbx_shell.h"
#include "shell/sbxctl.h"

static const struct {
	const char *name;
	const struct opt_command *const *cmds;
	bool single;
} programs[] = {
	{ "sbx-shell", sbx_shell_commands, true },
	{ "sbxctl", sbxctl_commands, false },
};

static const struct {
	const char *name;
	void (*write)(FILE *out, const char *program, bool single,
		      const struct opt_command *const *cmds);
} shells[] = {
	{ "bash", opt_complete_bash },
	{ "zsh", opt_complete_zsh },
	{ "fish", opt_complete_fish },
};

int main(int argc, char **argv)
{
	autofree char *page = NULL;
	struct err err = { 0 };
	int r;

	log_setup("gendoc", LOG_NOTE);
	for (size_t i = 0; argc >= 3 && i < ARRAY_LEN(programs); i++) {
		if (strcmp(argv[2], programs[i].name) != 0)
			continue;
		if (argc == 4 && !strcmp(argv[1], "man")) {
			r = fd_read_file(AT_FDCWD, argv[3], 1 << 20, &page, NULL, &err);
			if (r < 0) {
				log_err(r, &err);
				return 1;
			}
			opt_man(stdout, argv[2], page, programs[i].single, programs[i].cmds);
			return fflush(stdout) ? 1 : 0;
		}
		for (size_t k = 0; k < ARRAY_LEN(shells); k++)
			if (!strcmp(argv[1], shells[k].name)) {
				shells[k].write(stdout, argv[2], programs[i].single,
						programs[i].cmds);
				return fflush(stdout) ? 1 : 0;
			}
	}
	log_print(LOG_ERROR, "usage: gendoc man|bash|zsh|fish PROGRAM [PAGE]");
	return 2;
}
