#include "sandbox/plan.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

/* Places that are made by us and must be what interface and filters promise. */
static const struct {
	const char *path;
	bool below_too; /* false: only the place itself is taken */
} taken[] = {
	{ "/", false },      { "/datasets", true }, { "/workspace", true },  { "/proc", true },
	{ "/dev", true },    { "/sys", true },      { "/usr", false },       { "/bin", true },
	{ "/sbin", true },   { "/lib", true },      { "/lib32", true },      { "/lib64", true },
	{ "/libx32", true }, { "/etc", false },     { "/etc/passwd", true }, { "/etc/group", true },
	{ "/tmp", false },   { "/run", false },     { "/home", false },      { "/home/sbx", false },
	{ "/var", false },   { "/var/tmp", true },
};

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int validate_bind(const struct sandbox_plan *p, const struct plan_bind *b, struct err *err)
{
	if (!b->source || b->source[0] != '/')
		return err_set(err, -EINVAL, "'%s' is not an absolute path to show inside.",
			       b->source ? b->source : "");
	if (!b->dest || !path_is_clean_absolute(b->dest))
		return err_set(err, -EINVAL,
			       "'%s' is not a clean absolute path inside: it must begin with '/' "
			       "and have no '.', '..' or '//'.",
			       b->dest ? b->dest : "");
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		if (strcmp(b->dest, taken[i].path) == 0 ||
		    (taken[i].below_too && is_below(b->dest, taken[i].path)))
			return err_set(err, -EINVAL,
				       "'%s' cannot be shown at '%s': the sandbox makes '%s' "
				       "itself. Choose another place with PATH:DEST.",
				       b->source, b->dest, taken[i].path);
	}
	if (p->home_persist && is_below(b->dest, "/home/sbx"))
		return err_set(err, -EINVAL,
			       "'%s' cannot be shown at '%s' while the home directory is kept in "
			       "the workspace. Choose another place with PATH:DEST.",
			       b->source, b->dest);
	return 0;
}

static int validate_binds(const struct sandbox_plan *p, struct err *err)
{
	if (p->nbinds > PLAN_BINDS_MAX)
		return err_set(err, -EINVAL, "%zu host paths to show inside; %d are the most.",
			       p->nbinds, PLAN_BINDS_MAX);
	for (size_t i = 0; i < p->nbinds; i++) {
		int r = validate_bind(p, &p->binds[i], err);

		if (r < 0)
			return r;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(p->binds[i].dest, p->binds[j].dest) == 0)
				return err_set(
					err, -EINVAL, "'%s' and '%s' are both to be shown at '%s'.",
					p->binds[j].source, p->binds[i].source, p->binds[i].dest);
		}
	}
	return 0;
}

static int validate_hostname(const char *name, struct err *err)
{
	size_t n = name ? strlen(name) : 0;

	if (n == 0 || n > 63)
		return err_set(err, -EINVAL, "a host name has 1 to 63 letters.");
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c == '-' && i > 0)))
			return err_set(err, -EINVAL,
				       "host name '%s' may have letters, digits and '-' only.",
				       name);
	}
	return 0;
}

/* The run id becomes part of a cgroup's name. */
static bool run_id_is_fine(const char *id)
{
	return id && name_is_plain(id);
}

static int validate_limits(const struct plan_limits *l, struct err *err)
{
	static const struct {
		const char *what;
		size_t offset;
		uint64_t min;
	} rows[] = {
		{ "--tmp", offsetof(struct plan_limits, tmp_bytes), 4096 },
		{ "--shm", offsetof(struct plan_limits, shm_bytes), 4096 },
		{ "--home-size", offsetof(struct plan_limits, home_bytes), 4096 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t v;

		memcpy(&v, (const char *)l + rows[i].offset, sizeof(v));
		if (v < rows[i].min)
			return err_set(err, -EINVAL, "%s must be at least %llu bytes.",
				       rows[i].what, (unsigned long long)rows[i].min);
	}
	if (l->nofile < 16 || l->nofile > 1048576)
		return err_set(err, -EINVAL, "--nofile must be between 16 and 1048576.");
	/* Python alone with its libraries needs more than 8 MiB; less never starts anything. */
	if (l->memory_bytes && l->memory_bytes < 8 << 20)
		return err_set(err, -EINVAL, "--memory must be at least 8M.");
	if (l->cpu_milli && (l->cpu_milli < 10 || l->cpu_milli > 4096000))
		return err_set(err, -EINVAL, "--cpus must be between 0.01 and 4096.");
	if (l->pids > 4194304)
		return err_set(err, -EINVAL, "--pids must be between 1 and 4194304.");
	return 0;
}

static int validate_environment(char *const *envp, struct err *err)
{
	for (; *envp; envp++) {
		const char *eq = strchr(*envp, '=');

		if (!eq || eq == *envp)
			return err_set(err, -EINVAL, "'%s' in the environment is not NAME=VALUE.",
				       *envp);
	}
	return 0;
}

static int validate_workspace(const struct plan_workspace *w, struct err *err)
{
	if (w->host_dir && w->host_dir[0] != '/')
		return err_set(err, -EINVAL, "the host mount '%s' is not an absolute path.",
			       w->host_dir);
	if (!w->host_dir && (w->userns_fd < 0 || w->mntns_fd < 0))
		return err_set(err, -EINVAL, "the workspace gave neither namespaces nor a mount.");
	return 0;
}

int plan_validate(const struct sandbox_plan *p, struct err *err)
{
	int r;

	if (!p->argv || !p->argv[0] || !p->argv[0][0])
		return err_set(err, -EINVAL, "no command to run was given.");
	if (!p->envp)
		return err_set(err, -EINVAL, "the plan has no environment.");
	if (!p->cwd || !(strcmp(p->cwd, "/") == 0 || path_is_clean_absolute(p->cwd)))
		return err_set(err, -EINVAL,
			       "--cwd '%s' is not a clean absolute path inside the sandbox.",
			       p->cwd ? p->cwd : "");
	/* (uid_t)-1 means "no change" to the kernel, and 65534 is what unmapped ids look like. */
	if (p->uid >= 2147483647 || p->uid == 65534)
		return err_set(err, -EINVAL,
			       "--uid %u cannot be used; take 0 to 2147483646, "
			       "but not 65534.",
			       p->uid);
	if (!run_id_is_fine(p->run_id))
		return err_set(err, -EINVAL, "'%s' is not a run name.", p->run_id ? p->run_id : "");
	for (int i = 0; !p->tty && i < 3; i++) {
		if (p->stdio[i] < 0)
			return err_set(err, -EINVAL, "descriptor %d of the run is missing.", i);
	}
	if (p->kernel && !path_is_clean_absolute(p->kernel->file))
		return err_set(err, -EINVAL, "the kernel's file has no clean absolute path.");
	r = validate_workspace(&p->workspace, err);
	if (r == 0)
		r = validate_hostname(p->hostname, err);
	if (r == 0)
		r = validate_limits(&p->limits, err);
	if (r == 0)
		r = validate_environment(p->envp, err);
	if (r == 0)
		r = validate_binds(p, err);
	return r;
}
