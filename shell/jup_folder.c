#include "shell/jup_folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <limits.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Is 'path' the folder or below it? */
static bool holds(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	return !strncmp(folder, path, n) && (path[n] == '\0' || path[n] == '/');
}

const char *jup_folder_refuse(const char *cwd, const char *home)
{
	static const char *const system[] = { "/etc", "/proc", "/sys", "/dev",
					      "/run", "/var",  "/boot" };
	char config[PATH_MAX];

	if (!strcmp(cwd, "/"))
		return "it is the root of all files";
	if (home && holds(cwd, home))
		return "it holds your home directory";
	for (size_t i = 0; i < ARRAY_LEN(system); i++)
		if (!strcmp(system[i], cwd))
			return "it is the system's";
	if (home &&
	    (size_t)snprintf(config, sizeof(config), "%s/workspace.json", cwd) < sizeof(config) &&
	    access(config, F_OK) == 0)
		return "it is a workspace";
	return NULL;
}
