/* Small things in slabs: apart, zeroed, numbered, seen once each, given back. */
#include "fs/slab.h"

#include <stdbool.h>

#include "tests/check.h"

enum { N = 30000 };

static struct slabs s;
static unsigned char *items[N];
static uint32_t numbers[N];

static size_t size_of(uint32_t i)
{
	return SLAB_ITEM_MIN + i * 7 % (SLAB_ITEM_MAX - SLAB_ITEM_MIN + 1);
}

static bool all(const unsigned char *p, size_t len, unsigned char c)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != c)
			return false;
	return true;
}

static void take(uint32_t i)
{
	items[i] = slab_alloc(&s, size_of(i));
	CHECK(items[i] != NULL);
	CHECK((uintptr_t)items[i] % sizeof(void *) == 0);
	CHECK(all(items[i], size_of(i), 0));
	memset(items[i], (int)(i % 255 + 1), size_of(i));
	numbers[i] = slab_number(items[i]);
}

static void give(uint32_t i)
{
	CHECK(all(items[i], size_of(i), (unsigned char)(i % 255 + 1))); /* nobody else's */
	slab_free(&s, items[i]);
	items[i] = NULL;
}

static uint32_t living(void)
{
	uint32_t n = 0, pos = 0;

	while (slab_next(&s, &pos))
		n++;
	return n;
}

int main(void)
{
	uint32_t pos = 0;

	CHECK(slab_at(&s, 0) == NULL);
	CHECK(slab_at(&s, 1) == NULL);
	CHECK(slab_next(&s, &pos) == NULL);
	for (uint32_t i = 0; i < N; i++)
		take(i);
	CHECK_EQ(numbers[0], 1);
	for (uint32_t i = 0; i < N; i++)
		CHECK(slab_at(&s, numbers[i]) == items[i]);
	CHECK_EQ(living(), N);
	for (uint32_t i = 0; i < N; i += 2)
		give(i);
	CHECK_EQ(living(), N / 2);
	for (uint32_t i = 0; i < N; i++)
		CHECK(slab_at(&s, numbers[i]) == items[i]);
	for (uint32_t i = 0; i < N; i += 2)
		take(i); /* into the holes: no more than before */
	CHECK_EQ(living(), N);
	for (uint32_t i = 0; i < N; i++)
		give(i * 7919 % N);
	CHECK_EQ(living(), 0);
	CHECK_EQ(s.nslabs, 0);
	CHECK(slabs_bytes(&s) <= SLAB_BYTES + 4096); /* one is kept */
	take(1);
	CHECK_EQ(numbers[1], 1);
	slabs_free(&s); /* with what lives in it */
	CHECK_EQ(slabs_bytes(&s), 0);
	return check_report();
}
