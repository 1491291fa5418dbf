#include "sandbox/landlock.h"

#include "tests/check.h"

/* Bits of linux/landlock.h, by number: headers may be older than the kernel. */
#define EXECUTE    (1u << 0)
#define WRITE_FILE (1u << 1)
#define MAKE_CHAR  (1u << 6)
#define MAKE_BLOCK (1u << 11)
#define REFER      (1u << 13)
#define TRUNCATE   (1u << 14)
#define IOCTL_DEV  (1u << 15)

int main(void)
{
	/* every right of an ABI, and none that it does not know */
	CHECK_EQ(landlock_rights(0), 0);
	CHECK_EQ(landlock_rights(1), 0x1fff);
	CHECK_EQ(landlock_rights(2), 0x3fff);
	CHECK_EQ(landlock_rights(3), 0x7fff);
	CHECK_EQ(landlock_rights(4), 0x7fff);
	CHECK_EQ(landlock_rights(5), 0xffff);
	CHECK_EQ(landlock_rights(99), 0xffff);
	CHECK_EQ(landlock_scopes(5), 0);
	CHECK_EQ(landlock_scopes(6), 3);
	CHECK_EQ(landlock_scopes(7), 3);
	for (int abi = 0; abi <= 8; abi++) {
		uint64_t all = landlock_rights(abi);

		/* a right that the ruleset does not handle makes the kernel refuse the rule */
		for (int use = LANDLOCK_READ; use <= LANDLOCK_DEVICES; use++)
			CHECK_EQ(landlock_grant(abi, (enum landlock_use)use) & ~all, 0);
		CHECK_EQ(landlock_grant(abi, LANDLOCK_READ) & (WRITE_FILE | TRUNCATE | REFER), 0);
		CHECK_EQ(landlock_grant(abi, LANDLOCK_WRITE) & (MAKE_CHAR | MAKE_BLOCK), 0);
		CHECK_EQ(landlock_grant(abi, LANDLOCK_DEVICES) & (MAKE_CHAR | REFER), 0);
	}
	/* renaming between directories of the workspace */
	CHECK(landlock_grant(2, LANDLOCK_WRITE) & REFER);
	CHECK(landlock_grant(5, LANDLOCK_DEVICES) & IOCTL_DEV);
	CHECK(landlock_grant(1, LANDLOCK_READ) & EXECUTE);
	CHECK(landlock_abi() >= 0);
	return check_report();
}
