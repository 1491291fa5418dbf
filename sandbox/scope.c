#include "sandbox/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "sandbox/cgroup_place.h"

bool scope_is_wanted(const struct scope_facts *f)
{
	return !f->root && !f->again && f->v2 && !f->writable && f->systemd && f->user_manager;
}

static bool bus_answers(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >=
	    sizeof(addr.sun_path))
		return false;
	return fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

/* systemd-run would only say that it cannot connect, with an exit code that looks like the
 * payload's: so connect first.  And make it use what answered: su leaves the variables of somebody
 * else, some ssh set-ups none, and a desktop may have a bus of its own, without a manager on it. */
static bool user_bus_answers(void)
{
	const char *given = getenv("XDG_RUNTIME_DIR");
	char usual[64];
	const char *dirs[] = { given ? given : usual, usual };

	snprintf(usual, sizeof(usual), "/run/user/%u", geteuid());
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		autofree char *path = str_printf("%s/bus", dirs[i]);
		autofree char *address = str_printf("unix:path=%s", path);

		if (path && address && bus_answers(path))
			return setenv("XDG_RUNTIME_DIR", dirs[i], 1) == 0 &&
			       setenv("DBUS_SESSION_BUS_ADDRESS", address, 1) == 0;
	}
	return false;
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
