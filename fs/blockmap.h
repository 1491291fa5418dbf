/* Where things are in a backing file: plain block numbers <-> offsets.  Pure arithmetic.
 *
 *   page 0: header [0,2048) | entries of blocks 0..31 [2048,4096)
 *   pages 1..32: blocks 0..31
 *   then groups of 65 pages: a tag page with 64 entries, and 64 data pages
 *
 * "Group 0" is page 0 with its 32 entries, group g >= 1 the (g-1)th tag page. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_SIZE      4096u
#define ENTRY_SIZE      64u
#define HEAD_BLOCKS     32u /* blocks whose entries live in page 0 */
#define GROUP_BLOCKS    64u
#define HEAD_ENTRIES_AT 2048u
/* No block number reaches this; every offset below it fits in 63 bits. */
#define BLOCK_LIMIT    (UINT64_C(1) << 40)
#define PLAIN_SIZE_MAX ((uint64_t)BLOCK_LIMIT * BLOCK_SIZE)

/* Blocks of a file of 'size' plaintext bytes. */
static inline uint64_t blockmap_count(uint64_t size)
{
	return size / BLOCK_SIZE + (size % BLOCK_SIZE != 0);
}

/* Bytes of the last block, 1..4096; 0 for an empty file. */
static inline uint32_t blockmap_last_len(uint64_t size)
{
	return size == 0 ? 0 : (uint32_t)((size - 1) % BLOCK_SIZE) + 1;
}

static inline uint64_t blockmap_group(uint64_t block)
{
	return block < HEAD_BLOCKS ? 0 : 1 + (block - HEAD_BLOCKS) / GROUP_BLOCKS;
}

/* Place of the block within its group: the index of its entry. */
static inline uint32_t blockmap_slot(uint64_t block)
{
	return (uint32_t)(block < HEAD_BLOCKS ? block : (block - HEAD_BLOCKS) % GROUP_BLOCKS);
}

static inline uint64_t blockmap_group_first(uint64_t group)
{
	return group == 0 ? 0 : HEAD_BLOCKS + (group - 1) * GROUP_BLOCKS;
}

static inline uint32_t blockmap_group_len(uint64_t group)
{
	return group == 0 ? HEAD_BLOCKS : GROUP_BLOCKS;
}

/* Backing offset of a block's data page. */
uint64_t blockmap_data_off(uint64_t block);
/* Backing offset of the page that holds a group's entries (0 for group 0). */
uint64_t blockmap_tag_page_off(uint64_t group);
/* Backing offset of a block's entry. */
uint64_t blockmap_entry_off(uint64_t block);
/* Size of the backing file of a clean file; 'pad': the last block fills its page. */
uint64_t blockmap_backing_size(uint64_t plain_size, bool pad);
/* The inverse, without 'pad': false when no plaintext size has this backing size. */
bool blockmap_plain_size(uint64_t backing_size, uint64_t *ret);
