#include "sandbox/degrade.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "sandbox/distro.h"
#include "sandbox/landlock.h"

bool degrade_host_has_swap(void)
{
	autofree char *text = NULL;
	const char *second;

	if (fd_read_attr(AT_FDCWD, "/proc/swaps", &text) < 0)
		return false;
	second = strchr(text, '\n');
	return second && second[1];
}

static bool has_word(const char *path, const char *word)
{
	autofree char *text = NULL;
	char *save, *w;

	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return false;
	for (w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		if (strcmp(w, word) == 0)
			return true;
	}
	return false;
}

/* cgroup v2 can be written, but one controller is not there. */
static const char *missing_controller(const struct cgroup_powers *powers)
{
	static const char all[] = "/sys/fs/cgroup/cgroup.controllers";
	const char *lacks = powers->memory ? "cpu" : "memory";
	static char text[400];

	if (!has_word(all, lacks)) {
		snprintf(text, sizeof(text),
			 "boot without 'cgroup_disable=%s', or with 'cgroup_enable=%s', %s", lacks,
			 lacks, distro_boot_option(distro_get()));
		return text;
	}
	if (geteuid() == 0)
		return "let the cgroup above this one give its controllers "
		       "(cgroup.subtree_control)";
	return "have an administrator write \"[Service]\" and \"Delegate=cpu memory pids\" to "
	       "/etc/systemd/system/user@.service.d/delegate.conf, run 'systemctl daemon-reload', "
	       "and log in again";
}

const char *degrade_cgroup_remedy(const struct cgroup_powers *powers)
{
	static char text[200];
	const struct passwd *pw;

	if (powers->mode == CGROUP_V2 && !(powers->memory && powers->cpu))
		return missing_controller(powers);
	if (geteuid() == 0)
		return "run where the control groups can be written (in a container: mount "
		       "/sys/fs/cgroup read-write)";
	if (access("/run/systemd/system", F_OK) < 0)
		return "run as root, or on a system with systemd";
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0)
		return "boot with 'systemd.unified_cgroup_hierarchy=1' on the kernel's command "
		       "line, or run as root";
	if (access("/usr/bin/systemd-run", X_OK) < 0 && access("/bin/systemd-run", X_OK) < 0)
		return "install systemd-run, or run as root";
	pw = getpwuid(geteuid());
	snprintf(text, sizeof(text),
		 "log in (ssh, su -), or have an administrator run 'loginctl enable-linger %.64s', "
		 "so that 'systemd-run --user --scope' works; or run as root",
		 pw ? pw->pw_name : "NAME");
	return text;
}

struct lack {
	bool is;
	char what[100];      /* "the memory limit of 512M cannot be enforced" */
	const char *instead; /* what is done when that is allowed */
	const char *option;  /* that asks for less */
};

static int refuse(const struct lack *l, const struct cgroup_powers *powers, struct err *err)
{
	return err_set(err, -EOPNOTSUPP,
		       "%s here: %s; or give up that protection with %s, or accept a weaker one "
		       "with --allow-degraded.",
		       l->what, degrade_cgroup_remedy(powers), l->option);
}

static void note(struct sandbox_isolation *iso, const struct lack *l)
{
	if (iso->ndegraded < ARRAY_LEN(iso->degraded))
		snprintf(iso->degraded[iso->ndegraded++], sizeof(iso->degraded[0]), "%s; %s",
			 l->what, l->instead);
}

static int decide_landlock(const struct sandbox_plan *p, struct sandbox_isolation *iso,
			   struct err *err)
{
	const struct lack l = {
		.what = "Landlock is not offered by this kernel",
		.instead = "files are protected by mounts alone",
	};

	iso->landlock = landlock_abi();
	if (iso->landlock > 0)
		return 0;
	if (!p->allow_degraded)
		return err_set(err, -EOPNOTSUPP,
			       "this kernel offers no Landlock, the second lock on files; boot "
			       "with 'lsm=landlock,...' (Linux 5.13 or later), or accept its "
			       "absence with --allow-degraded.");
	note(iso, &l);
	return 0;
}

int degrade_decide(const struct sandbox_plan *p, const struct cgroup_powers *powers,
		   struct sandbox_isolation *ret, struct err *err)
{
	static const char *const modes[] = { "none", "v2", "v1+v2", "v1" };
	const struct plan_limits *l = &p->limits;
	char size[24];
	struct lack lacks[] = {
		{ l->memory_bytes && !powers->memory, "",
		  "the sum is looked at ten times a second and ends the run", "--memory none" },
		{ l->memory_bytes && powers->memory && !powers->swap && degrade_host_has_swap(),
		  "swap cannot be counted against the memory limit", "swap is not limited",
		  "--memory none" },
		{ l->cpu_milli && !powers->cpu, "", "the scheduler shares the CPUs out evenly",
		  "--cpus all" },
		/* Whoever ignores SIGCHLD has children whose time is in no sum when they are gone.
		 */
		{ l->cpu_time_ms && !powers->cpu_time, "",
		  "times of processes are summed, without children that nobody waited for",
		  "--cpu-time none" },
	};
	char time[24];

	format_duration(l->cpu_time_ms, time);
	format_size(l->memory_bytes, size);
	snprintf(lacks[0].what, sizeof(lacks[0].what), "the memory limit of %s cannot be enforced",
		 size);
	snprintf(lacks[2].what, sizeof(lacks[2].what),
		 "the limit of %llu.%03llu CPUs cannot be enforced",
		 (unsigned long long)l->cpu_milli / 1000, (unsigned long long)l->cpu_milli % 1000);
	snprintf(lacks[3].what, sizeof(lacks[3].what),
		 "the CPU time limit of %s cannot be enforced", time);
	/* These are not optional: where one fails, so does the launch. */
	ret->user_namespace = ret->seccomp = ret->no_new_privs = true;
	snprintf(ret->network, sizeof(ret->network), "none");
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", modes[powers->mode]);
	for (size_t i = 0; i < ARRAY_LEN(lacks); i++) {
		if (!lacks[i].is)
			continue;
		if (!p->allow_degraded)
			return refuse(&lacks[i], powers, err);
		note(ret, &lacks[i]);
	}
	return decide_landlock(p, ret, err);
}
