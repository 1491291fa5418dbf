/* Attack 22: have, raise or inherit a capability. */
#include "tests/escape/escape.h"

#include <linux/capability.h>
#include <sys/prctl.h>

static uint64_t status_hex(const char *key)
{
	char line[256];
	uint64_t v = UINT64_MAX;
	size_t len = strlen(key);
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, len) == 0)
			v = strtoull(line + len, NULL, 16);
	if (f)
		fclose(f);
	return v;
}

/* ENODATA = empty, 0 = there are some. */
static int has(const char *key)
{
	uint64_t v = status_hex(key);

	return v == UINT64_MAX ? 200 : v ? 0 : ENODATA;
}

static int has_effective(void)
{
	return has("CapEff:");
}

static int has_permitted(void)
{
	return has("CapPrm:");
}

static int has_inheritable(void)
{
	return has("CapInh:");
}

static int has_ambient(void)
{
	return has("CapAmb:");
}

static int has_bounding(void)
{
	return has("CapBnd:");
}

static int raise_one(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	data[0].effective = data[0].permitted = 1u << CAP_DAC_OVERRIDE;
	return errno_of(syscall(SYS_capset, &head, data));
}

static int raise_ambient(void)
{
	return errno_of(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
}

static int filtered(void)
{
	return status_hex("Seccomp:") == 2 && status_hex("NoNewPrivs:") == 1 ? 0 : EACCES;
}

static const struct act acts[] = {
	{ "CapEff", has_effective, { ENODATA }, CONTROL_ROOT, { 0 } },
	{ "CapPrm", has_permitted, { ENODATA }, CONTROL_ROOT, { 0 } },
	{ "CapInh", has_inheritable, { ENODATA }, CONTROL_NONE, { 0 } },
	{ "CapAmb", has_ambient, { ENODATA }, CONTROL_NONE, { 0 } },
	{ "CapBnd", has_bounding, { ENODATA }, CONTROL_PLAIN, { 0 } },
	{ "capset", raise_one, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "PR_CAP_AMBIENT_RAISE", raise_ambient, { EPERM }, CONTROL_NONE, { 0 } },
	{ "Seccomp 2, NoNewPrivs 1", filtered, { WORKS }, CONTROL_NONE, { 0 } },
};

ESCAPE_MAIN(acts)
