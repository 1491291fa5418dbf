/* Attack 40: files by number, past every path: name_to_handle_at, then open_by_handle_at in a loop
 * over inode numbers, as the "shocker" of 2014 did out of Docker. */
#include "tests/escape/escape.h"

struct handle {
	struct file_handle h;
	unsigned char bytes[128];
};

static int name_it(const char *path, struct handle *ret)
{
	int mount_id;

	ret->h.handle_bytes = sizeof(ret->bytes);
	return errno_of(name_to_handle_at(AT_FDCWD, path, &ret->h, &mount_id, 0));
}

static int name_root(void)
{
	struct handle h;

	return name_it("/", &h);
}

static int name_dataset(void)
{
	struct handle h;

	return name_it(in_control ? "." : "/datasets", &h);
}

static int name_workspace(void)
{
	struct handle h;

	return name_it(".", &h);
}

/* The first errno that is not "no such file": 0 when one could be opened. */
static int open_numbers(const char *mount)
{
	struct handle h = { .h = { .handle_bytes = 8, .handle_type = 1 } };
	int at = open(mount, O_RDONLY | O_CLOEXEC), met = ESTALE;

	if (at < 0)
		return 200;
	if (in_control && name_it(mount, &h) == 0)
		return errno_of(open_by_handle_at(at, &h.h, O_RDONLY | O_CLOEXEC));
	for (uint32_t ino = 0; ino < 256 && met == ESTALE; ino++) {
		memcpy(h.h.f_handle, &ino, sizeof(ino));
		met = errno_of(open_by_handle_at(at, &h.h, O_RDONLY | O_CLOEXEC));
	}
	return met;
}

static int open_root_numbers(void)
{
	return open_numbers("/");
}

static int open_etc_numbers(void)
{
	return open_numbers("/usr");
}

static int open_own_numbers(void)
{
	return open_numbers(".");
}

static const struct act acts[] = {
	{ "name_to_handle_at /", name_root, { EPERM }, CONTROL_PLAIN, { WORKS, EOPNOTSUPP } },
	{ "name_to_handle_at a dataset",
	  name_dataset,
	  { EPERM },
	  CONTROL_PLAIN,
	  { WORKS, EOPNOTSUPP } },
	{ "name_to_handle_at own",
	  name_workspace,
	  { EPERM },
	  CONTROL_PLAIN,
	  { WORKS, EOPNOTSUPP } },
	{ "open_by_handle_at from /", open_root_numbers, { EPERM }, CONTROL_ROOT, { WORKS } },
	{ "open_by_handle_at from /usr", open_etc_numbers, { EPERM }, CONTROL_ROOT, { WORKS } },
	{ "open_by_handle_at from own",
	  open_own_numbers,
	  { EPERM },
	  CONTROL_ROOT,
	  { WORKS, EOPNOTSUPP } },
};

ESCAPE_MAIN(acts)
