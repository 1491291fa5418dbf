/* A command line of sbx-shell, its words separated by NUL, and the options as limits. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "shell/sbx_shell.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *argv[64];
	char program[] = "sbx-shell";
	struct sbx_shell_opts opts = { 0 };
	struct err err = { 0 };
	int argc = 0, rest, r;

	memcpy(text, data, size);
	text[size] = '\0';
	argv[argc++] = program;
	for (size_t at = 0; at < size && argc < 63; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	argv[argc] = NULL;
	r = opt_parse("sbx-shell", sbx_shell_commands[0], argc, argv, &opts, &rest, &err);
	if (r == OPT_HELP || r == OPT_VERSION)
		;
	else if (r < 0)
		assert(err.text[0]);
	else
		assert(r < argc + 1 && rest >= 0 && rest <= argc);
	free(text);
	return 0;
}
