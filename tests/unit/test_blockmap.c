/* The worked sizes of doc/format.md section 2.1, and properties of the map. */
#include "fs/blockmap.h"
#include "tests/check.h"

static const struct {
	uint64_t size, backing, padded;
} sizes[] = {
	{ 0, 4096, 4096 },
	{ 1, 4097, 8192 },
	{ 4095, 8191, 8192 },
	{ 4096, 8192, 8192 },
	{ 4097, 8193, 12288 },
	{ 131071, 135167, 135168 },
	{ 131072, 135168, 135168 },
	{ 131073, 139265, 143360 },
	{ 393215, 401407, 401408 },
	{ 393216, 401408, 401408 },
	{ 393217, 405505, 409600 },
	{ UINT64_C(1) << 30, 1090523136, 1090523136 },
	{ UINT64_C(1) << 40, UINT64_C(1116691501056), UINT64_C(1116691501056) },
};

static void worked_sizes(void)
{
	uint64_t back;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		CHECK_EQ(blockmap_backing_size(sizes[i].size, false), sizes[i].backing);
		CHECK_EQ(blockmap_backing_size(sizes[i].size, true), sizes[i].padded);
		CHECK(blockmap_plain_size(sizes[i].backing, &back));
		CHECK_EQ(back, sizes[i].size);
	}
}

static void offsets(void)
{
	CHECK_EQ(blockmap_data_off(0), 4096);
	CHECK_EQ(blockmap_data_off(31), 32 * 4096);
	CHECK_EQ(blockmap_data_off(32), 34 * 4096);
	CHECK_EQ(blockmap_data_off(95), 97 * 4096);
	CHECK_EQ(blockmap_data_off(96), 99 * 4096);
	CHECK_EQ(blockmap_entry_off(0), 2048);
	CHECK_EQ(blockmap_entry_off(31), 4096 - 64);
	CHECK_EQ(blockmap_entry_off(32), 33 * 4096);
	CHECK_EQ(blockmap_entry_off(95), 34 * 4096 - 64);
	CHECK_EQ(blockmap_entry_off(96), 98 * 4096);
	CHECK(blockmap_data_off(BLOCK_LIMIT - 1) < UINT64_C(1) << 53);
}

/* No page serves twice: data pages, tag pages and page 0 tile the file. */
static void tiling(void)
{
	uint64_t next = 1;

	for (uint64_t b = 0; b < 1000; b++) {
		if (b >= HEAD_BLOCKS && blockmap_slot(b) == 0)
			CHECK_EQ(blockmap_tag_page_off(blockmap_group(b)), 4096 * next++);
		CHECK_EQ(blockmap_data_off(b), 4096 * next++);
		CHECK_EQ(blockmap_group_first(blockmap_group(b)) + blockmap_slot(b), b);
		CHECK(blockmap_slot(b) < blockmap_group_len(blockmap_group(b)));
	}
}

/* Every size has its own backing size, and nothing else is one. */
static void bijection(void)
{
	uint64_t back, hits = 0;

	for (uint64_t size = 0; size < 700000;
	     size += size % 4096 < 3 || size % 4096 > 4093 ? 1 : 97) {
		CHECK(blockmap_plain_size(blockmap_backing_size(size, false), &back));
		CHECK_EQ(back, size);
	}
	for (uint64_t b = 0; b <= 401408; b++)
		hits += blockmap_plain_size(b, &back);
	CHECK_EQ(hits, 393217);
	CHECK(!blockmap_plain_size(0, &back));
	CHECK(!blockmap_plain_size(4095, &back));
	CHECK(!blockmap_plain_size(33 * 4096 + 1, &back)); /* ends inside a tag page */
	CHECK(!blockmap_plain_size(UINT64_MAX, &back));
}

int main(void)
{
	worked_sizes();
	offsets();
	tiling();
	bijection();
	return check_report();
}
