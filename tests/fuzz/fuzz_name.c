/* Stored names, symlink targets, xattrs and directory ids as a hostile store could have them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/name.h"

static struct name_keys keys;
static const uint8_t dirid[DIRID_LEN];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_names(const char *text)
{
	char name[NAME_PLAIN_MAX + 1], stored[NAME_STORED_SIZE], full[NAME_FULL_SIZE];
	char xname[XATTR_NAME_MAX_PLAIN + 1];
	bool is_long;
	size_t len;

	/* What decodes must be what encoding gives: no two spellings of one name. */
	if (name_decrypt(&keys, dirid, text, name, &len) == 0) {
		assert(len > 0 && len <= NAME_PLAIN_MAX && !memchr(name, '/', len));
		assert(name_encrypt(&keys, dirid, name, len, stored, full, &is_long) == 0);
		assert(strcmp(full, text) == 0);
	}
	if (name_decrypt_unplaced(&keys, text, name, &len) == 0)
		assert(len > 0 && len <= NAME_PLAIN_MAX && !memchr(name, '/', len));
	if (xattr_name_decrypt(&keys, dirid, text, xname, &len) == 0)
		assert(len > 0 && len <= XATTR_NAME_MAX_PLAIN);
	(void)name_is_sidecar(text);
}

static void try_symlink(const char *text, const char *tail)
{
	char target[SYMLINK_PLAIN_MAX + 1], tail_name[SYMLINK_TAIL_NAME_SIZE];
	uint64_t plain;
	size_t len;

	if (symlink_decrypt(&keys, text, tail, target, &len) == 0) {
		assert(len > 0 && len <= SYMLINK_PLAIN_MAX);
		assert(symlink_plain_size(text, strlen(text), &plain) == 0 && plain == len);
	}
	(void)symlink_needs_tail(text, tail_name);
	(void)symlink_plain_size(text, strlen(text), &plain);
}

/* The input is one or two texts, split at the first NUL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2);
	uint8_t id[DIRID_LEN], *out = malloc(size + 1);
	const char *second;

	memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	second = text + strlen(text) + 1;
	try_names(text);
	(void)name_long_matches(text, second);
	try_symlink(text, strlen(text) < size ? second : NULL);
	(void)dirid_open(&keys, data, size, id);
	(void)xattr_value_open(&keys, false, dirid, "a", data, size, out);
	free(out);
	free(text);
	return 0;
}
