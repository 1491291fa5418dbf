/* Any bytes as a pin file, with a table that is right, for it is no secret: whatever is accepted
 * leads nowhere outside, and to an end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/pin.h"

#define PAGES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct pin *p)
{
	struct pin_record rec, found;
	char name[256], path[300];
	uint8_t leaf[PIN_HASH];
	uint32_t at;

	for (uint32_t i = 0; i < pin_head(p)->records && i < 1000; i++) {
		pin_path(p, i, path, sizeof(path));
		assert(strlen(path) < sizeof(path));
		if (pin_record(p, i, &rec) < 0)
			continue;
		if (rec.type == 'd' && rec.count > 0)
			assert(rec.first > i);
		if (rec.type == 'f')
			(void)pin_leaf(p, rec.leaf + pin_leaves(rec.size) - 1, 1, leaf);
		if (pin_name(p, &rec, name) < 0)
			continue;
		assert(strlen(name) == rec.name_len);
		if (i > 0 && pin_record(p, rec.parent, &found) == 0)
			(void)pin_find(p, &found, name, &at, &found);
		assert(pin_by_id(p, pin_id(p, i)) == i);
	}
	assert(pin_record(p, pin_head(p)->records, &rec) < 0);
}

/* The table over what is there, and the digest of that. */
static void seal(uint8_t *mem, const struct pin_layout *at, uint8_t ret[static PIN_HASH])
{
	struct pin_hasher *h = pin_hasher_new(PIN_USE_TABLE);

	assert(h);
	for (uint64_t i = 0; i < at->pages; i++)
		pin_hash(PIN_USE_PAGE, mem + PIN_PAGE + i * PIN_PAGE, PIN_PAGE,
			 mem + at->table + i * PIN_HASH);
	pin_hasher_add(h, mem, PIN_PAGE);
	pin_hasher_add(h, mem + at->table, at->pages * PIN_HASH);
	pin_hasher_end(h, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree uint8_t *mem = calloc(1, (PAGES_MAX + 2) * PIN_PAGE);
	uint8_t table[PIN_HASH] = { 0 };
	struct pin_layout at;
	struct pin_head head;
	struct pin *p = NULL;
	size_t len;
	int fd;

	if (!mem)
		abort();
	/* 64 bytes of the first page, then the rest. */
	memcpy(mem, data, MIN(size, 64));
	memcpy(mem, PIN_MAGIC, sizeof(PIN_MAGIC));
	mem[8] = 1;
	mem[9] = mem[10] = mem[11] = 0;
	if (size > 64)
		memcpy(mem + PIN_PAGE, data + 64, MIN(size - 64, PAGES_MAX * PIN_PAGE));
	len = MIN(size, PAGES_MAX * PIN_PAGE);
	if (pin_head_load(mem, &head) == 0) {
		pin_layout(&head, &at);
		if (at.pages <= PAGES_MAX) {
			seal(mem, &at, table);
			len = at.end;
		}
	}
	fd = memfd_create("pin", MFD_CLOEXEC);
	if (fd < 0 || fd_pwrite_full(fd, mem, len, 0) < 0)
		abort();
	if (pin_open(fd, "fuzz", table, &p, NULL) < 0) {
		close(fd);
		return 0;
	}
	use(p);
	pin_unref(p);
	return 0;
}
