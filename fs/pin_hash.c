#include "fs/pin_hash.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct pin_hasher {
	crypto_generichash_blake2b_state s;
};

static const uint8_t personal[][crypto_generichash_blake2b_PERSONALBYTES] = {
	[PIN_USE_LEAF] = "sbxpin1.leaf", [PIN_USE_NODE] = "sbxpin1.node",
	[PIN_USE_FILE] = "sbxpin1.file", [PIN_USE_LINK] = "sbxpin1.link",
	[PIN_USE_DIR] = "sbxpin1.dir",   [PIN_USE_TOP] = "sbxpin1.top",
	[PIN_USE_PAGE] = "sbxpin1.page", [PIN_USE_TABLE] = "sbxpin1.table",
};

void pin_hash(enum pin_use use, const void *p, size_t len, uint8_t ret[static PIN_HASH])
{
	(void)crypto_generichash_blake2b_salt_personal(ret, PIN_HASH, p, len, NULL, 0, NULL,
						       personal[use]);
}

struct pin_hasher *pin_hasher_new(enum pin_use use)
{
	struct pin_hasher *h = aligned_alloc(64, (sizeof(*h) + 63) / 64 * 64);

	if (h)
		(void)crypto_generichash_blake2b_init_salt_personal(&h->s, NULL, 0, PIN_HASH, NULL,
								    personal[use]);
	return h;
}

void pin_hasher_add(struct pin_hasher *h, const void *p, size_t len)
{
	(void)crypto_generichash_blake2b_update(&h->s, p, len);
}

void pin_hasher_end(struct pin_hasher *h, uint8_t ret[static PIN_HASH])
{
	(void)crypto_generichash_blake2b_final(&h->s, ret, PIN_HASH);
	free(h);
}

void pin_hash_file(uint64_t size, uint8_t *level, uint64_t n, uint8_t ret[static PIN_HASH])
{
	uint8_t text[8 + PIN_HASH];

	for (uint64_t up; n > 1; n = up) {
		up = (n - 1) / PIN_FANOUT + 1;
		for (uint64_t i = 0; i < up; i++) {
			uint64_t at = i * PIN_FANOUT;
			uint64_t m = n - at < PIN_FANOUT ? n - at : PIN_FANOUT;
			uint8_t node[PIN_HASH];

			pin_hash(PIN_USE_NODE, level + at * PIN_HASH, m * PIN_HASH, node);
			memcpy(level + i * PIN_HASH, node, PIN_HASH);
		}
	}
	le64_store(text, size);
	memcpy(text + 8, level, PIN_HASH);
	pin_hash(PIN_USE_FILE, text, sizeof(text), ret);
}

size_t pin_entry_put(const struct pin_entry *e, uint8_t *ret)
{
	ret[0] = e->type;
	le16_store(ret + 1, e->mode);
	le64_store(ret + 3, e->size);
	memcpy(ret + 11, e->digest, PIN_HASH);
	le16_store(ret + 43, e->name_len);
	memcpy(ret + PIN_ENTRY_HEAD, e->name, e->name_len);
	return PIN_ENTRY_HEAD + e->name_len;
}
