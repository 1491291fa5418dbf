/* An identity file, a public key and a recovery key as people hand them to us. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "keys/identity.h"
#include "keys/secret.h"
#include "keys/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = secret_alloc(size + 1);
	char public[IDENTITY_TEXT_SIZE], recovery[RECOVERY_TEXT_SIZE];
	uint8_t key[RECOVERY_KEY_LEN], again[RECOVERY_KEY_LEN];
	struct identity_public pub, back;
	struct identity *id = NULL;
	struct err err = { 0 };

	memcpy(text, data, size);
	if (identity_public_parse(text, &pub, &err) == 0) {
		identity_public_text(&pub, public);
		assert(identity_public_parse(public, &back, &err) == 0);
		assert(identity_public_equal(&pub, &back));
	}
	if (recovery_decode(text, key, &err) == 0) {
		recovery_encode(key, recovery);
		assert(recovery_decode(recovery, again, &err) == 0);
		assert(memcmp(key, again, sizeof(key)) == 0);
	}
	if (identity_parse(text, size, &id, &err) < 0)
		assert(err.text[0]);
	identity_free(id);
	secret_release(text);
	return 0;
}
