/* A file of the store that cannot be opened: it does not stop the others from being mended, unless
 * the log may hold changes of its own. */
#include "tests/unit/store_kit.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

static struct kit kit;

/* Like a file of somebody else, or with a bad sector: works for root, too. */
static bool set_immutable(const char *name, bool on)
{
	int fd = openat(kit.tree, name, O_RDONLY | O_CLOEXEC), flags = 0;
	bool ok = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;

	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	ok = ok && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static void make_file(const char *name, char fill)
{
	char page[BLOCK_SIZE];
	struct cfile *f;

	memset(page, fill, sizeof(page));
	CHECK_EQ(kit_create(&kit, name, &f), 0);
	CHECK_EQ(cfile_write(f, page, sizeof(page), 0), BLOCK_SIZE);
	CHECK_EQ(cfile_fsync(f, true), 0);
	cfile_put(f);
}

/* An overwrite that is durable in the log only. */
static void log_write(const char *name, char fill)
{
	char page[BLOCK_SIZE];
	struct cfile *f;

	memset(page, fill, sizeof(page));
	CHECK_EQ(kit_open(&kit, name, &f), 0);
	CHECK_EQ(cfile_write(f, page, sizeof(page), 0), BLOCK_SIZE);
	CHECK_EQ(cfile_fsync(f, true), 0);
	cfile_put(f);
}

static void expect(const char *name, char fill)
{
	struct cfile *f;
	char c = 0;

	CHECK_EQ(kit_open(&kit, name, &f), 0);
	CHECK_EQ(cfile_read(f, &c, 1, 100), 1);
	CHECK_EQ(c, fill);
	cfile_put(f);
}

static void crash(void)
{
	store_abandon(kit.s);
	kit.s = NULL;
}

int main(void)
{
	kit_start(&kit, SUITE_XCHACHA20, 256, NULL);
	make_file("a", 'a');
	make_file("b", 'b');
	CHECK_EQ(kit_close(&kit), 0);
	CHECK_EQ(kit_store_open(&kit), 0);
	if (!set_immutable("a", true)) {
		kit_end(&kit);
		CHECK_SKIP("files cannot be made immutable here");
	}
	make_file("c", 'c');
	crash();
	CHECK_EQ(kit_store_open(&kit), 0);
	CHECK(kit.lines >= 2);
	expect("b", 'b');
	expect("c", 'c');
	CHECK(set_immutable("a", false));
	expect("a", 'a');

	log_write("b", 'B');
	crash();
	CHECK(set_immutable("b", true));
	CHECK_EQ(kit_store_open(&kit), -EIO);
	CHECK(set_immutable("b", false));
	CHECK_EQ(kit_store_open(&kit), 0);
	expect("b", 'B');
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
	return check_report();
}
