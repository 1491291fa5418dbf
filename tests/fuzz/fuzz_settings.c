/* Any JSON, as workspace.json or a request could hold it, and as settings. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "fs/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is canonical once stays as it is. */
static void check_canonical(const json_t *j)
{
	char *a = json_canonical(j), *b = NULL;
	autojson json_t *again = NULL;

	assert(a);
	assert(json_parse(a, strlen(a), "canonical", &again, NULL) == 0);
	b = json_canonical(again);
	assert(b && strcmp(a, b) == 0);
	free(a);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t vol_id[16];
	autojson json_t *j = NULL, *fresh = NULL;
	struct settings_difference diff;
	struct err err = { 0 };
	uint64_t n;

	if (json_parse((const char *)data, size, "settings", &j, &err) < 0) {
		assert(err.text[0]);
		return 0;
	}
	check_canonical(j);
	fresh = settings_new(vol_id, "xchacha20", false, 0, 0);
	assert(fresh && settings_validate(fresh, &err) == 0);
	(void)json_get_u64(j, "quota.bytes", &n, &err);
	if (settings_validate(j, &err) < 0)
		assert(err.text[0]);
	else
		(void)settings_check_edit(fresh, j, &err);
	(void)settings_differ(fresh, j, &diff);
	if (settings_set(fresh, "limits.memory", j, &err) == 0)
		(void)settings_validate(fresh, &err);
	(void)settings_set(fresh, "quota.bytes", j, &err);
	return 0;
}
