/* A key slot file. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "keys/slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t vol_id[16], secret[32];
	autojson json_t *j = NULL, *again = NULL;
	struct slot s, back;
	struct err err = { 0 };
	uint8_t key[32];

	if (json_parse((const char *)data, size, "slot", &j, &err) < 0)
		return 0;
	if (slot_parse(j, "owner-00000000", &s, &err) < 0) {
		assert(err.text[0]);
		return 0;
	}
	assert(s.ops <= SLOT_OPS_MAX && s.mem <= SLOT_MEM_MAX);
	again = slot_to_json(&s);
	assert(slot_parse(again, s.id, &back, &err) == 0);
	assert(memcmp(&s, &back, sizeof(s)) == 0);
	if (s.type != SLOT_PASSPHRASE)
		(void)slot_unwrap(&s, vol_id, secret, key);
	return 0;
}
