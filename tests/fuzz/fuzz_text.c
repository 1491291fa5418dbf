/* Sizes, times, numbers, names, paths, keys: whatever a person or a file may give as text. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "keys/identity.h"
#include "keys/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_recovery(const char *text)
{
	char out[RECOVERY_TEXT_SIZE];
	uint8_t key[RECOVERY_KEY_LEN], back[RECOVERY_KEY_LEN];
	struct err err = { 0 };

	if (recovery_decode(text, key, &err) < 0) {
		assert(err.text[0]);
		return;
	}
	recovery_encode(key, out);
	assert(recovery_decode(out, back, &err) == 0 && memcmp(key, back, sizeof(key)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[IDENTITY_TEXT_SIZE];
	struct identity_public pub;
	struct err err = { 0 };
	uint8_t hex[16];
	uint64_t n;

	memcpy(text, data, size);
	text[size] = '\0';
	(void)parse_u64(text, &n);
	(void)parse_size(text, &n);
	(void)parse_duration(text, &n);
	(void)parse_milli(text, &n);
	if (name_is_plain(text))
		assert(text[0] && !strchr(text, '/'));
	if (path_is_clean_absolute(text))
		assert(text[0] == '/' && !strstr(text, "//") && !strstr(text, "/../"));
	(void)hex_decode(text, hex, sizeof(hex));
	check_recovery(text);
	if (identity_public_parse(text, &pub, &err) == 0) {
		identity_public_text(&pub, again);
		assert(strcasecmp(text, again) == 0);
	}
	free(text);
	return 0;
}
