#include "sandbox/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/cgroup_place.h"

bool scope_is_wanted(const struct scope_facts *f)
{
	return !f->root && !f->again && f->v2 && !f->writable && f->systemd && f->user_manager;
}

/* systemd-run would only say that it cannot connect, with an exit code that looks like the
 * payload's: so connect first. */
static bool user_bus_answers(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *dir = getenv("XDG_RUNTIME_DIR");
	autoclose int fd = -1;
	char fallback[64];

	/* su and some ssh set-ups leave the variable out. */
	snprintf(fallback, sizeof(fallback), "/run/user/%u", geteuid());
	if (!dir)
		dir = fallback;
	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/bus", dir) >=
	    sizeof(addr.sun_path))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return false;
	return dir != fallback || setenv("XDG_RUNTIME_DIR", dir, 1) == 0;
}

static void collect(struct scope_facts *f)
{
	struct cgroup_places places;

	*f = (struct scope_facts){
		.root = geteuid() == 0,
		.again = getenv("SBX_SCOPE") != NULL,
		.systemd = access("/run/systemd/system", F_OK) == 0,
	};
	/* The common cases leave before anything is asked. */
	if (f->root || f->again || !f->systemd)
		return;
	f->user_manager = user_bus_answers();
	cgroup_places_open(&places, false);
	f->v2 = places.unified_only;
	f->writable = places.fd[TREE_UNIFIED] >= 0;
	cgroup_places_close(&places);
}

void scope_enter(char *const argv[])
{
	/* A description, or the journal would keep the whole command line, secrets and all. */
	static const char *const head[] = {
		"systemd-run",
		"--user",
		"--scope",
		"--quiet",
		"--collect",
		"--property=Delegate=yes",
		"--description=sbx sandbox",
		"--",
	};
	const char **args;
	struct scope_facts f;
	char self[4096];
	ssize_t len;
	size_t n = 0;

	collect(&f);
	if (!scope_is_wanted(&f))
		return;
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	while (argv[n])
		n++;
	args = calloc(ARRAY_LEN(head) + n + 1, sizeof(*args));
	if (len < 0 || !args || n == 0) {
		free(args);
		return;
	}
	self[len] = '\0';
	memcpy(args, head, sizeof(head));
	args[ARRAY_LEN(head)] = self;
	memcpy(args + ARRAY_LEN(head) + 1, argv + 1, (n - 1) * sizeof(*args));
	/* Seen by the second self only: what runs inside gets an environment of its own. */
	setenv("SBX_SCOPE", "1", 1);
	execvp(args[0], (char *const *)args);
	/* No systemd-run: as without systemd. */
	unsetenv("SBX_SCOPE");
	free(args);
}
