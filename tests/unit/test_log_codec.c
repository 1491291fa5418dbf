/* Batch descriptors and state pages: round trips, torn pages, fields out of range. */
#include "fs/log_codec.h"

#include <errno.h>
#include <sodium.h>

#include "tests/check.h"

static const uint8_t key[32] = { 1 }, wrong_key[32] = { 2 }, vol_id[16] = { 3 }, other[16] = { 4 };

static struct batch sample(uint32_t nrec)
{
	struct batch b = { .seq = 42, .keygen = 7, .flags = BATCH_CUT, .nrec = nrec, .cut = 12 };

	memset(b.file_id, 0xab, sizeof(b.file_id));
	memset(b.image, 0xcd, sizeof(b.image));
	for (uint32_t i = 0; i < nrec; i++) {
		b.rec[i] = (struct record){ .block = i * 3,
					    .count = i % 5 == 4 ? 9 : 1,
					    .kind = i % 5 == 4 ? RECORD_HOLE : RECORD_DATA };
		memset(b.rec[i].entry, (int)i + 1, ENTRY_SIZE);
	}
	return b;
}

static void batches(uint32_t nrec)
{
	struct batch b = sample(nrec), got;
	uint8_t page[LOG_PAGE];
	uint64_t seq;
	uint32_t keygen;

	batch_seal(&b, key, vol_id, page);
	CHECK(batch_peek(page, &seq, &keygen));
	CHECK_EQ(seq, 42);
	CHECK_EQ(keygen, 7);
	CHECK_EQ(batch_open(page, key, vol_id, &got), 0);
	CHECK_EQ(got.nrec, nrec);
	CHECK_EQ(got.cut, 12);
	CHECK_EQ(got.flags, BATCH_CUT);
	CHECK_MEM(got.image, b.image, HEAD_LEN);
	for (uint32_t i = 0; i < nrec; i++) {
		CHECK_EQ(got.rec[i].block, b.rec[i].block);
		CHECK_EQ(got.rec[i].kind, b.rec[i].kind);
		CHECK_EQ(got.rec[i].count, b.rec[i].count);
		CHECK_MEM(got.rec[i].entry, b.rec[i].entry, ENTRY_SIZE);
	}
	CHECK_EQ(batch_pages(&b), 1 + nrec - nrec / 5);
	CHECK_EQ(batch_open(page, wrong_key, vol_id, &got), -EBADMSG);
	CHECK_EQ(batch_open(page, key, other, &got), -EBADMSG);
}

/* A torn descriptor: the first part new, the rest of an older one, cut anywhere. */
static void torn(void)
{
	struct batch a = sample(46), b = sample(46), got;
	uint8_t old[LOG_PAGE], now[LOG_PAGE], page[LOG_PAGE];

	a.seq = 41;
	batch_seal(&a, key, vol_id, old);
	batch_seal(&b, key, vol_id, now);
	for (uint32_t cut = 1; cut < 48 + 288 + 46 * 80 + 16; cut += 7) {
		memcpy(page, old, LOG_PAGE);
		memcpy(page, now, cut);
		if (memcmp(page, old, LOG_PAGE) != 0 && memcmp(page, now, LOG_PAGE) != 0)
			CHECK_EQ(batch_open(page, key, vol_id, &got), -EBADMSG);
	}
	memset(page, 0, LOG_PAGE);
	CHECK_EQ(batch_open(page, key, vol_id, &got), -EBADMSG);
}

/* Sealed by one who holds the key, but with fields that make no sense. */
static void out_of_range(void)
{
	uint8_t page[LOG_PAGE];
	struct batch b, got;

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		b = sample(2);                                                                     \
		change;                                                                            \
		batch_seal(&b, key, vol_id, page);                                                 \
		CHECK_EQ(batch_open(page, key, vol_id, &got), -EBADMSG);                           \
	} while (0)

	REFUSED(b.rec[0].kind = 3);
	REFUSED(b.rec[0].kind = 0);
	REFUSED(b.rec[0].count = 2);
	REFUSED(b.rec[1].count = 0);
	REFUSED(b.rec[0].block = BLOCK_LIMIT);
	REFUSED((b.rec[0].kind = RECORD_HOLE, b.rec[0].block = BLOCK_LIMIT - 1,
		 b.rec[0].count = 2));
	REFUSED(b.flags = 4);
	REFUSED(b.cut = BLOCK_LIMIT + 1);
}

static void states(void)
{
	struct state st = { .keygen = 7,
			    .counter = 9,
			    .conf_counter = 3,
			    .epoch = 5,
			    .clean = 1,
			    .ring = 1024,
			    .tail = 1023,
			    .tail_seq = 77,
			    .used_bytes = 8192,
			    .used_files = 2 };
	uint8_t page[LOG_PAGE];
	struct state got;

	state_seal(&st, key, vol_id, page);
	CHECK_EQ(state_open(page, key, vol_id, &got), 0);
	CHECK_EQ(got.counter, 9);
	CHECK_EQ(got.tail, 1023);
	CHECK_EQ(got.tail_seq, 77);
	CHECK_EQ(got.used_bytes, 8192);
	CHECK_EQ(got.used_files, 2);
	CHECK_EQ(got.clean, 1);
	CHECK_EQ(state_open(page, key, other, &got), -EBADMSG);
	for (uint32_t i = 0; i < 128; i++) {
		page[i] ^= 2;
		CHECK_EQ(state_open(page, key, vol_id, &got), -EBADMSG);
		page[i] ^= 2;
	}
	st.tail = 1024;
	state_seal(&st, key, vol_id, page);
	CHECK_EQ(state_open(page, key, vol_id, &got), -EBADMSG);
}

int main(void)
{
	if (sodium_init() < 0)
		return 99;
	batches(0);
	batches(1);
	batches(46);
	torn();
	out_of_range();
	states();
	return check_report();
}
