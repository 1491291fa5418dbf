#include "shell/doctor_host.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/client.h"
#include "sandbox/distro.h"
#include "sandbox/probe.h"

#define MEMLOCK_WANT (64u << 10)
#define SPACE_WANT   (256ull << 20)

static void row(struct probe_result *r, enum probe_state state, const char *detail, const char *fix)
{
	r->state = state;
	snprintf(r->detail, sizeof(r->detail), "%.*s", (int)sizeof(r->detail) - 1, detail);
	snprintf(r->fix, sizeof(r->fix), "%.*s", (int)sizeof(r->fix) - 1, fix);
}

static void check_daemon(struct probe_result *r)
{
	char path[PATH_MAX];
	int e;

	r->name = "daemon";
	e = fsc_daemon_path(path, sizeof(path));
	row(r, e < 0 ? PROBE_MISSING : PROBE_OK, path,
	    e < 0 ? "This program cannot be run: install again, or run from the build directory."
		  : "");
}

/* The daemon measures: programs for people do not link the ciphers. */
static void check_ciphers(struct probe_result *r)
{
	autojson json_t *report = NULL;
	char detail[sizeof(r->detail)] = "";
	struct err err = { 0 };
	const char *name;
	size_t len = 0;
	json_t *c;

	r->name = "ciphers";
	if (fsc_ciphers(&report, &err) < 0) {
		row(r, PROBE_MISSING, err.text, "Install again: the daemon does not work.");
		return;
	}
	json_object_foreach (json_object_get(report, "ciphers"), name, c) {
		const char *why = json_string_value(json_object_get(c, "why"));
		json_int_t mbps = json_integer_value(json_object_get(c, "mbps"));

		if (len >= sizeof(detail))
			break;
		if (json_is_true(json_object_get(c, "available")))
			len += (size_t)snprintf(detail + len, sizeof(detail) - len,
						"%s%s %lld MB/s", len ? ", " : "", name,
						(long long)mbps);
		else
			len += (size_t)snprintf(detail + len, sizeof(detail) - len, "%sno %s (%s)",
						len ? ", " : "", name, why ? why : "?");
	}
	row(r, PROBE_OK, detail, "");
}

/* Needed by unprivileged users only, and only to mount on the host: a setuid program. */
static void check_fusermount(struct probe_result *r)
{
	const char *path = getenv("PATH");
	autofree char *dirs = strdup(path ? path : "/usr/bin:/bin");
	char *save, *dir = dirs ? strtok_r(dirs, ":", &save) : NULL;

	char install[80], fix[200];

	r->name = "fusermount3";
	distro_install(distro_get(), "fuse3", install, sizeof(install));
	for (; dir; dir = strtok_r(NULL, ":", &save)) {
		autofree char *file = str_printf("%s/fusermount3", dir);
		struct stat st;

		if (!file || stat(file, &st) < 0 || !(st.st_mode & 0111))
			continue;
		snprintf(fix, sizeof(fix),
			 "Only 'sbxctl mount' needs it. As root: 'chmod u+s %s', or %s.", file,
			 install);
		if (geteuid() == 0 || ((st.st_mode & S_ISUID) && st.st_uid == 0))
			row(r, PROBE_OK, file, "");
		else
			row(r, PROBE_DEGRADED, "it is not setuid root", fix);
		return;
	}
	if (geteuid() == 0) {
		row(r, PROBE_OK, "not installed; root does not need it", "");
	} else {
		snprintf(fix, sizeof(fix), "Only 'sbxctl mount' needs it: %s.", install);
		row(r, PROBE_DEGRADED, "not installed", fix);
	}
}

static void check_memlock(struct probe_result *r)
{
	struct rlimit l;
	char text[24] = "unlimited", detail[80];
	bool few;

	r->name = "locked memory";
	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		l.rlim_max = 0;
	if (l.rlim_max != RLIM_INFINITY)
		format_size(l.rlim_max, text);
	few = geteuid() != 0 && l.rlim_max != RLIM_INFINITY && l.rlim_max < MEMLOCK_WANT;
	snprintf(detail, sizeof(detail), "limit %s", text);
	row(r, few ? PROBE_DEGRADED : PROBE_OK, detail,
	    few ? "Keys could be written to swap: raise 'memlock' in /etc/security/limits.conf."
		: "");
}

static void check_space(struct probe_result *r)
{
	struct statvfs v;
	char free_text[24], detail[80];
	uint64_t bytes;

	r->name = "space";
	if (statvfs(".", &v) < 0) {
		row(r, PROBE_DEGRADED, "the working directory cannot be asked",
		    "Change to another directory.");
		return;
	}
	bytes = (uint64_t)v.f_bavail * v.f_frsize;
	format_size(bytes, free_text);
	snprintf(detail, sizeof(detail), "%s free in this directory%s", free_text,
		 v.f_flag & ST_RDONLY ? ", read-only" : "");
	if (v.f_flag & ST_RDONLY)
		row(r, PROBE_DEGRADED, detail, "Make workspaces on a filesystem that is writable.");
	else
		row(r, bytes < SPACE_WANT ? PROBE_DEGRADED : PROBE_OK, detail,
		    bytes < SPACE_WANT ? "A store sets 64M aside for its log: free some space, or "
					 "make workspaces elsewhere."
				       : "");
}

size_t doctor_host(struct probe_result *ret, size_t max)
{
	static void (*const checks[])(struct probe_result * r) = {
		check_daemon, check_ciphers, check_fusermount, check_memlock, check_space,
	};
	size_t n = 0;

	for (; n < ARRAY_LEN(checks) && n < max; n++)
		checks[n](&ret[n]);
	return n;
}
