/* The quota counts exactly, and gives nothing away at its edge. */
#include "fs/quota.h"

#include <errno.h>

#include "tests/check.h"

static void charge_rule(void)
{
	CHECK_EQ(quota_file_bytes(0), 4096);
	CHECK_EQ(quota_file_bytes(1), 2 * 4096);
	CHECK_EQ(quota_file_bytes(32), 33 * 4096);
	CHECK_EQ(quota_file_bytes(33), 35 * 4096);
	CHECK_EQ(quota_file_bytes(96), 98 * 4096);
	CHECK_EQ(quota_file_bytes(97), 100 * 4096);
}

static void expect(struct quota *q, uint64_t bytes, uint64_t files)
{
	struct quota_usage u;

	quota_get(q, &u);
	CHECK_EQ(u.bytes, bytes);
	CHECK_EQ(u.files, files);
}

int main(void)
{
	struct quota_usage u;
	struct quota *q;

	charge_rule();
	CHECK_EQ(quota_new(100, 2, &q), 0);
	CHECK_EQ(quota_charge(q, 100, 1), 0);
	CHECK_EQ(quota_charge(q, 1, 0), -ENOSPC);
	expect(q, 100, 1);
	quota_get(q, &u);
	CHECK_EQ(u.refused, 1);
	CHECK_EQ(quota_charge(q, 0, 1), 0);
	CHECK_EQ(quota_charge(q, 0, 1), -EDQUOT);
	expect(q, 100, 2);
	quota_release(q, 30, 1);
	expect(q, 70, 1);
	CHECK_EQ(quota_charge(q, 31, 1), -ENOSPC);
	expect(q, 70, 1);
	/* A limit below what is used: nothing more, but nothing is refused that takes nothing. */
	quota_set_limits(q, 10, 1);
	CHECK_EQ(quota_charge(q, 0, 0), 0);
	CHECK_EQ(quota_charge(q, 1, 0), -ENOSPC);
	quota_release(q, 1000, 1000);
	expect(q, 0, 0);
	quota_set_limits(q, 0, 0);
	CHECK_EQ(quota_charge(q, UINT64_MAX, 5), 0);
	CHECK_EQ(quota_charge(q, 1, 0), -ENOSPC);
	quota_free(q);
	quota_free(NULL);
	return check_report();
}
