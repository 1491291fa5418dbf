/* Blocks and headers: what was sealed opens, and nothing else does. */
#include <errno.h>
#include <sodium.h>

#include "base/bytes.h"
#include "fs/block.h"
#include "fs/head.h"
#include "tests/check.h"

static const uint8_t vol_id[16] = { 9 };
static uint8_t key[32], file_id[16], nonce[16];

static const struct {
	uint32_t len;
	uint64_t b;
} shapes[] = { { 1, 0 },     { 100, 31 },  { 4096, 32 },
	       { 4095, 95 }, { 4096, 96 }, { 7, BLOCK_LIMIT - 1 } };

static void round_trip(uint8_t suite, uint32_t len, uint64_t b)
{
	uint8_t plain[BLOCK_SIZE], data[BLOCK_SIZE], entry[ENTRY_SIZE], wrong[ENTRY_SIZE];
	struct block_ctx ctx = { suite, key, file_id };
	struct block_key k = { 0 };

	randombytes_buf(plain, sizeof(plain));
	block_seal(&ctx, &k, b, 5, nonce, plain, len, data, entry);
	CHECK_EQ(entry_len(entry), len);
	CHECK_EQ(entry_epoch(entry), 5);
	CHECK(!entry_is_hole(entry));
	CHECK_EQ(block_verify(&ctx, &k, b, entry, data), 0);
	CHECK_EQ(block_verify(&ctx, &k, b ^ 1, entry, data), -EBADMSG);
	/* Every field of the entry is authenticated or refused. */
	for (uint32_t i = 0; i < ENTRY_SIZE; i++) {
		memcpy(wrong, entry, ENTRY_SIZE);
		wrong[i] ^= 0x10;
		CHECK_EQ(block_verify(&ctx, &k, b, wrong, data), -EBADMSG);
	}
	data[len - 1] ^= 1;
	CHECK_EQ(block_verify(&ctx, &k, b, entry, data), -EBADMSG);
	data[len - 1] ^= 1;
	CHECK_EQ(block_open(&ctx, &k, b, entry, data), 0);
	CHECK_MEM(data, plain, len);
	block_key_wipe(&k);
}

/* The key of suite 2 that is kept from block to block follows the nonce. */
static void key_follows_nonce(uint8_t suite)
{
	uint8_t a[64] = "first", b[64] = "second", ea[ENTRY_SIZE], eb[ENTRY_SIZE],
		other[16] = { 8 };
	struct block_ctx ctx = { suite, key, file_id };
	struct block_key k = { 0 };

	block_seal(&ctx, &k, 1, 1, nonce, a, 64, a, ea);
	block_seal(&ctx, &k, 1, 1, other, b, 64, b, eb);
	CHECK_EQ(block_open(&ctx, &k, 1, ea, a), 0);
	CHECK_EQ(block_open(&ctx, &k, 1, eb, b), 0);
	CHECK_STR((char *)a, "first");
	CHECK_STR((char *)b, "second");
}

static void entries(void)
{
	struct entry e = { .epoch = 1, .len = BLOCK_SIZE }, got;
	uint8_t raw[ENTRY_SIZE];

	memset(e.tag, 7, 16);
	entry_encode(&e, raw);
	CHECK_EQ(entry_decode(raw, SUITE_XCHACHA20, &got), 0);
	le16_store(raw + 4, BLOCK_SIZE + 1);
	CHECK_EQ(entry_decode(raw, SUITE_XCHACHA20, &got), -EBADMSG);
	le16_store(raw + 4, 0);
	CHECK_EQ(entry_decode(raw, SUITE_XCHACHA20, &got), -EBADMSG);
	memset(raw, 0, sizeof(raw));
	CHECK(entry_is_hole(raw));
	raw[63] = 1;
	CHECK(!entry_is_hole(raw));
}

static void header_changes(uint8_t *image, const uint8_t *head_key, uint8_t *file_key)
{
	static const uint8_t other_vol[16] = { 10 };
	struct head h;

	CHECK_EQ(head_open(image, head_key, other_vol, &h, file_key), -EBADMSG);
	for (uint32_t i = 0; i < HEAD_LEN; i++) {
		int r;

		image[i] ^= 0x40;
		r = head_open(image, head_key, vol_id, &h, file_key);
		CHECK(r == -EBADMSG || (r == -EOPNOTSUPP && i >= 8 && i < 12));
		image[i] ^= 0x40;
	}
}

static void header(void)
{
	static const uint64_t some[] = { 0, 5000, UINT64_C(1) << 40 };
	uint8_t head_key[32] = { 3 }, file_key[32], image[HEAD_LEN];

	for (size_t i = 0; i < 3; i++) {
		struct head h = { .suite = 1,
				  .keygen = 4,
				  .epoch = 77,
				  .size = some[i],
				  .synced = 3,
				  .mtime_ns = -5,
				  .flags = HEAD_SPARSE,
				  .mapped = i };
		struct head got;

		memcpy(h.file_id, file_id, 16);
		head_seal(&h, key, head_key, vol_id, image);
		CHECK_EQ(head_open(image, head_key, vol_id, &got, file_key), 0);
		CHECK_EQ(got.size, some[i]);
		CHECK_EQ(got.synced, 3);
		CHECK_EQ(got.mtime_ns, -5);
		CHECK_EQ(got.flags, HEAD_SPARSE);
		CHECK_EQ(got.mapped, i);
		CHECK_EQ(got.epoch, 77);
		CHECK_EQ(head_clear_keygen(image), 4);
		CHECK_MEM(file_key, key, 32);
		header_changes(image, head_key, file_key);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 99;
	randombytes_buf(key, sizeof(key));
	randombytes_buf(file_id, sizeof(file_id));
	randombytes_buf(nonce, sizeof(nonce));
	for (uint8_t suite = 1; suite <= 3; suite++) {
		if (!block_suite_available(suite))
			continue;
		for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
			round_trip(suite, shapes[i].len, shapes[i].b);
		key_follows_nonce(suite);
	}
	CHECK(!block_suite_available(0));
	CHECK(!block_suite_available(4));
	entries();
	header();
	return check_report();
}
