/* The settings, and the sealed config around them.  The first byte chooses: 0 the file as it is
 * found, 1 a sealed part that a holder of the key made, else settings. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "fs/settings.h"
#include "keys/config.h"
#include "keys/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t v[KEY_LEN];

static void try_file(const uint8_t *data, size_t size)
{
	struct volume_keys *k = NULL;
	autofree char *body = NULL;
	struct err err = { 0 };
	uint64_t counter;

	if (config_open(data, size, v, &k, &counter, &body, &err) < 0)
		assert(err.text[0]);
	secret_release(k);
}

static void try_body(const uint8_t *data, size_t size)
{
	struct volume_keys *k = NULL, *back = NULL;
	uint8_t id[VOL_ID_LEN] = { 0 };
	autofree char *text = strndup((const char *)data, size), *body = NULL;
	autofree uint8_t *file = NULL;
	uint64_t counter = 0;
	size_t len;

	if (volume_keys_new(&k) < 0)
		return;
	volume_keys_add(k, 1, v);
	if (config_seal(k, id, 9, text, &file, &len) == 0) {
		assert(config_open(file, len, v, &back, &counter, &body, NULL) == 0);
		assert(counter == 9 && strcmp(body, text) == 0);
	}
	secret_release(k);
	secret_release(back);
}

static void try_settings(const uint8_t *data, size_t size)
{
	autojson json_t *j = NULL, *standard = settings_new(v, "xchacha20", false, 0, 0);
	struct settings_difference d;
	struct err err = { 0 };
	const char *key;
	json_t *value;

	if (json_parse((const char *)data, size, "settings", &j, &err) < 0)
		return;
	if (settings_validate(j, &err) < 0)
		assert(err.text[0]);
	if (settings_differ(standard, j, &d))
		assert(d.a[0] && d.b[0]);
	json_object_foreach (j, key, value)
		if (settings_set(standard, key, value, &err) == 0)
			(void)settings_validate(standard, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 0)
		try_file(data + 1, size - 1);
	else if (data[0] == 1)
		try_body(data + 1, size - 1);
	else
		try_settings(data, size);
	return 0;
}
