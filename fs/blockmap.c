#include "fs/blockmap.h"

#define PAGE        ((uint64_t)BLOCK_SIZE)
#define HEAD_PAGES  (1 + (uint64_t)HEAD_BLOCKS)
#define GROUP_PAGES (1 + (uint64_t)GROUP_BLOCKS)

uint64_t blockmap_tag_page_off(uint64_t group)
{
	return group == 0 ? 0 : PAGE * (HEAD_PAGES + GROUP_PAGES * (group - 1));
}

uint64_t blockmap_data_off(uint64_t block)
{
	return blockmap_tag_page_off(blockmap_group(block)) + PAGE * (1 + blockmap_slot(block));
}

uint64_t blockmap_entry_off(uint64_t block)
{
	uint64_t group = blockmap_group(block);

	return blockmap_tag_page_off(group) + (group == 0 ? HEAD_ENTRIES_AT : 0) +
	       (uint64_t)ENTRY_SIZE * blockmap_slot(block);
}

uint64_t blockmap_backing_size(uint64_t plain_size, bool pad)
{
	uint64_t n = blockmap_count(plain_size);

	if (n == 0)
		return PAGE;
	return blockmap_data_off(n - 1) + (pad ? BLOCK_SIZE : blockmap_last_len(plain_size));
}

bool blockmap_plain_size(uint64_t backing_size, uint64_t *ret)
{
	uint64_t page, in_page, group, block;

	if (backing_size == PAGE) {
		*ret = 0;
		return true;
	}
	if (backing_size <= PAGE)
		return false;
	/* The page that holds the last byte must be a data page. */
	page = (backing_size - 1) / PAGE;
	in_page = (backing_size - 1) % PAGE + 1;
	if (page < HEAD_PAGES) {
		block = page - 1;
	} else {
		group = (page - HEAD_PAGES) / GROUP_PAGES;
		if ((page - HEAD_PAGES) % GROUP_PAGES == 0)
			return false;
		block = HEAD_BLOCKS + group * GROUP_BLOCKS + (page - HEAD_PAGES) % GROUP_PAGES - 1;
	}
	if (block >= BLOCK_LIMIT)
		return false;
	*ret = block * PAGE + in_page;
	return true;
}
