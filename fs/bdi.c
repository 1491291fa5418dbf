#include "fs/bdi.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

/* Where nothing can be read: 1 % of the memory of a large machine. */
#define ASSUMED (UINT64_C(64) << 20)
/* For speed, as root: a FUSE mount may hold 1 % of what all of the kernel may, too little for
 * requests of 1 MiB.  Measured: 4 KiB writes become half as fast again. */
#define WIDE_RATIO 20u
/* Four requests, so that several processors open blocks at once; measured: cold reads become twice
 * as fast as with the kernel's 128 KiB. */
#define READ_AHEAD_KIB 4096u

static int attr_path(char path[static 128], uint64_t dev, const char *attr)
{
	return snprintf(path, 128, "/sys/class/bdi/%u:%u/%s", major(dev), minor(dev), attr);
}

static int attr_write(uint64_t dev, const char *attr, uint64_t value)
{
	char path[128], text[24];

	attr_path(path, dev, attr);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return fd_write_attr(-1, path, text);
}

static bool attr_read(uint64_t dev, const char *attr, uint64_t *ret)
{
	autofree char *text = NULL;
	char path[128];

	attr_path(path, dev, attr);
	if (fd_read_attr(-1, path, &text) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, ret) == 0;
}

/* What all of the kernel may hold, of all mounts. */
static bool whole(uint64_t *ret)
{
	static const char key[] = "nr_dirty_threshold ";
	autofree char *text = NULL;
	uint64_t pages;
	char *at;

	if (fd_read_attr(-1, "/proc/vmstat", &text) < 0)
		return false;
	at = strstr(text, key);
	if (!at)
		return false;
	at += strlen(key);
	at[strcspn(at, "\n")] = '\0';
	if (parse_u64(at, &pages) < 0)
		return false;
	*ret = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

/* The bound that holds, from what the kernel says. */
static uint64_t present(uint64_t dev)
{
	uint64_t strict = 1, bytes, ratio, all;

	(void)attr_read(dev, "strict_limit", &strict); /* before Linux 6.2 it always is */
	if (strict && attr_read(dev, "max_bytes", &bytes))
		return bytes;
	if (!whole(&all))
		return ASSUMED;
	if (!strict)
		return all;
	return attr_read(dev, "max_ratio", &ratio) ? all * ratio / 100 : ASSUMED;
}

uint64_t bdi_dirty_bound(uint64_t dev, uint64_t want)
{
	uint64_t all;

	if (!dev)
		return ASSUMED;
	if (geteuid() != 0 || want == 0)
		return present(dev);
	if (want == UINT64_MAX || (whole(&all) && want >= all)) {
		(void)attr_write(dev, "max_ratio", WIDE_RATIO);
		(void)attr_write(dev, "strict_limit", 0);
	} else {
		(void)attr_write(dev, "strict_limit", 1);
		if (attr_write(dev, "max_bytes", want) < 0)
			(void)attr_write(dev, "max_ratio", 1);
	}
	return present(dev);
}

void bdi_read_ahead(uint64_t dev)
{
	if (dev && geteuid() == 0)
		(void)attr_write(dev, "read_ahead_kb", READ_AHEAD_KIB); /* right if it fails */
}
