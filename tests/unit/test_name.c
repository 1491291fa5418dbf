#include "fs/name.h"

#include <errno.h>

#include "tests/check.h"

static struct name_keys keys;
static const uint8_t root_dir[DIRID_LEN];
static const uint8_t other_dir[DIRID_LEN] = { 1 };

static void fill_keys(void)
{
	uint8_t *p = (uint8_t *)&keys;

	for (size_t i = 0; i < sizeof(keys); i++)
		p[i] = (uint8_t)(i * 7 + 1);
}

static void name_of(char *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)('a' + i % 26);
	out[len] = '\0';
}

static void round_trips(void)
{
	static const struct {
		size_t len, chars;
		bool is_long;
	} cases[] = {
		{ 1, 43, false },    { 15, 43, false },  { 16, 43, false },  { 17, 64, false },
		{ 160, 235, false }, { 161, 256, true }, { 176, 256, true }, { 255, 363, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[256], stored[NAME_STORED_SIZE], full[NAME_FULL_SIZE], back[256];
		bool is_long;
		size_t len = 0;

		name_of(name, cases[i].len);
		CHECK_EQ(name_encrypt(&keys, root_dir, name, cases[i].len, stored, full, &is_long),
			 0);
		CHECK_EQ(strlen(full), cases[i].chars);
		CHECK_EQ(is_long, cases[i].is_long);
		CHECK_EQ(name_is_long(stored), cases[i].is_long);
		CHECK_EQ(name_long_matches(stored, full), cases[i].is_long);
		if (is_long)
			CHECK_EQ(strlen(stored), 44);
		else
			CHECK_STR(stored, full);
		CHECK_EQ(name_decrypt(&keys, root_dir, full, back, &len), 0);
		CHECK_EQ(len, cases[i].len);
		CHECK_STR(back, name);
		CHECK_EQ(name_decrypt(&keys, other_dir, full, back, &len), -EBADMSG);
		CHECK_EQ(name_decrypt_unplaced(&keys, full, back, &len), 0);
		CHECK_STR(back, name);
	}
}

static void refusals(void)
{
	char stored[NAME_STORED_SIZE], full[NAME_FULL_SIZE], big[300];
	bool l;

	name_of(big, 256);
	CHECK_EQ(name_encrypt(&keys, root_dir, big, 256, stored, full, &l), -ENAMETOOLONG);
	CHECK_EQ(name_encrypt(&keys, root_dir, "", 0, stored, full, &l), -EINVAL);
	CHECK_EQ(name_encrypt(&keys, root_dir, ".", 1, stored, full, &l), -EINVAL);
	CHECK_EQ(name_encrypt(&keys, root_dir, "..", 2, stored, full, &l), -EINVAL);
	CHECK_EQ(name_encrypt(&keys, root_dir, "a/b", 3, stored, full, &l), -EINVAL);
	CHECK_EQ(name_encrypt(&keys, root_dir, "a\0b", 3, stored, full, &l), -EINVAL);
	CHECK_EQ(name_encrypt(&keys, root_dir, "...", 3, stored, full, &l), 0);
	CHECK_EQ(name_encrypt(&keys, root_dir, ".a", 2, stored, full, &l), 0);
}

static void damage(void)
{
	char stored[NAME_STORED_SIZE], full[NAME_FULL_SIZE], bad[NAME_FULL_SIZE], back[256];
	size_t len, n;
	bool l;

	name_encrypt(&keys, root_dir, "results.csv", 11, stored, full, &l);
	n = strlen(full);
	for (size_t i = 0; i < n; i++) {
		memcpy(bad, full, n + 1);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len), -EBADMSG);
		for (int c = 128; c < 256; c++) {
			memcpy(bad, full, n + 1);
			bad[i] = (char)c;
			CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len), -EBADMSG);
		}
		memcpy(bad, full, n + 1);
		bad[i] = '=';
		CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len), -EBADMSG);
		memcpy(bad, full, n + 1);
		bad[i] = '\0';
		CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len), -EBADMSG);
	}
	snprintf(bad, sizeof(bad), "%s=", full);
	CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len), -EBADMSG);
	snprintf(bad, sizeof(bad), "%sAAAAAAAAAAAAAAAAAAAAAA", full);
	CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len), -EBADMSG);
	/* The last character of 43 carries 2 unused bits: only one of four spellings is ours. */
	memcpy(bad, full, n + 1);
	for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; *c;
	     c++) {
		bad[n - 1] = *c;
		CHECK_EQ(name_decrypt(&keys, root_dir, bad, back, &len) == 0, *c == full[n - 1]);
	}
}

static void long_names(void)
{
	char a[300], stored[NAME_STORED_SIZE], full[NAME_FULL_SIZE], s2[NAME_STORED_SIZE],
		f2[NAME_FULL_SIZE];
	bool l;

	name_of(a, 200);
	name_encrypt(&keys, root_dir, a, 200, stored, full, &l);
	name_encrypt(&keys, other_dir, a, 200, s2, f2, &l);
	CHECK(strcmp(stored, s2) != 0);
	CHECK(!name_long_matches(stored, f2));
	CHECK(!name_long_matches(s2, full));
	CHECK(name_is_sidecar("~abc.n"));
	CHECK(!name_is_sidecar("~abc"));
	CHECK(!name_is_sidecar("abc.n"));
	CHECK(!name_is_sidecar(".n"));
	CHECK(!name_is_sidecar(stored));
}

static void dirids(void)
{
	uint8_t id[DIRID_LEN], x[DIRID_XATTR_LEN], back[DIRID_LEN];

	dirid_new(id);
	dirid_seal(&keys, id, x);
	CHECK_EQ(dirid_open(&keys, x, sizeof(x), back), 0);
	CHECK_MEM(id, back, DIRID_LEN);
	CHECK_EQ(dirid_open(&keys, x, 31, back), -EBADMSG);
	x[0] ^= 1;
	CHECK_EQ(dirid_open(&keys, x, sizeof(x), back), -EBADMSG);
	x[0] ^= 1;
	x[31] ^= 1;
	CHECK_EQ(dirid_open(&keys, x, sizeof(x), back), -EBADMSG);
}

static void symlinks(void)
{
	static const size_t lens[] = {
		1, 2, 3, 100, 2993, 2994, 2995, 2996, 3030, 3031, 3032, 4095
	};
	static char target[4200], stored[SYMLINK_STORED_SIZE], tail[SYMLINK_STORED_SIZE],
		back[SYMLINK_PLAIN_MAX + 1];
	char name[SYMLINK_TAIL_NAME_SIZE], name2[SYMLINK_TAIL_NAME_SIZE];
	bool has_tail;
	size_t len;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint64_t size = 0;

		name_of(target, lens[i]);
		CHECK_EQ(symlink_encrypt(&keys, target, lens[i], stored, name, tail, &has_tail), 0);
		CHECK(strlen(stored) <= 4095);
		CHECK_EQ(has_tail, lens[i] > 3031);
		CHECK_EQ(symlink_needs_tail(stored, name2), has_tail);
		CHECK_EQ(symlink_plain_size(stored, strlen(stored), &size), 0);
		CHECK_EQ(size, lens[i]);
		/* Without the text, but where a tail is possible. */
		size = 0;
		CHECK_EQ(symlink_size_of_length(strlen(stored), &size),
			 strlen(stored) == 4047 ? -EAGAIN : 0);
		CHECK_EQ(size, strlen(stored) == 4047 ? 0 : lens[i]);
		CHECK(!has_tail || strlen(stored) == 4047);
		CHECK_EQ(symlink_decrypt(&keys, stored, has_tail ? tail : NULL, back, &len), 0);
		CHECK_EQ(len, lens[i]);
		CHECK_STR(back, target);
		if (has_tail) {
			CHECK_STR(name, name2);
			CHECK_EQ(symlink_decrypt(&keys, stored, NULL, back, &len), -EBADMSG);
			tail[5] = tail[5] == 'A' ? 'B' : 'A';
			CHECK_EQ(symlink_decrypt(&keys, stored, tail, back, &len), -EBADMSG);
		}
		stored[30] = stored[30] == 'A' ? 'B' : 'A';
		CHECK_EQ(symlink_decrypt(&keys, stored, tail, back, &len), -EBADMSG);
	}
	name_of(target, 4096);
	CHECK_EQ(symlink_encrypt(&keys, target, 4096, stored, name, tail, &has_tail),
		 -ENAMETOOLONG);
	CHECK_EQ(symlink_encrypt(&keys, target, 0, stored, name, tail, &has_tail), -EINVAL);
	CHECK_EQ(symlink_decrypt(&keys, "", NULL, back, &len), -EBADMSG);
	CHECK_EQ(symlink_decrypt(&keys, "/etc/passwd", NULL, back, &len), -EBADMSG);
	CHECK_EQ(symlink_decrypt(&keys, "~", "", back, &len), -EBADMSG);
}

static void xattrs(void)
{
	static const uint8_t file_id[16] = { 9 };
	char stored[XATTR_STORED_SIZE], name[161], big[200];
	uint8_t sealed[100 + XATTR_VALUE_OVERHEAD], out[100], value[100] = "hello";
	size_t len;

	CHECK_EQ(xattr_name_encrypt(&keys, file_id, "mime_type", 9, stored), 0);
	CHECK_EQ(strncmp(stored, XATTR_PREFIX, 7), 0);
	CHECK_EQ(xattr_name_decrypt(&keys, file_id, stored, name, &len), 0);
	CHECK_STR(name, "mime_type");
	CHECK_EQ(xattr_name_decrypt(&keys, root_dir, stored, name, &len), -EBADMSG);
	CHECK_EQ(xattr_name_decrypt(&keys, file_id, "user.wfs.d", name, &len), -EBADMSG);
	name_of(big, 161);
	CHECK_EQ(xattr_name_encrypt(&keys, file_id, big, 161, stored), -ENAMETOOLONG);
	CHECK_EQ(xattr_name_encrypt(&keys, file_id, big, 160, stored), 0);
	CHECK(strlen(stored) <= 255);
	for (size_t n = 0; n <= 100; n += 50) {
		CHECK_EQ(xattr_value_seal(&keys, false, file_id, "a", value, n, sealed), 0);
		CHECK_EQ(xattr_value_open(&keys, false, file_id, "a", sealed, n + 40, out), 0);
		CHECK_MEM(out, value, n);
		CHECK_EQ(xattr_value_open(&keys, true, file_id, "a", sealed, n + 40, out),
			 -EBADMSG);
		CHECK_EQ(xattr_value_open(&keys, false, file_id, "b", sealed, n + 40, out),
			 -EBADMSG);
		CHECK_EQ(xattr_value_open(&keys, false, file_id, "a", sealed, n + 39, out),
			 -EBADMSG);
		sealed[n + 39] ^= 1;
		CHECK_EQ(xattr_value_open(&keys, false, file_id, "a", sealed, n + 40, out),
			 -EBADMSG);
	}
}

int main(void)
{
	fill_keys();
	round_trips();
	refusals();
	damage();
	long_names();
	dirids();
	symlinks();
	xattrs();
	return check_report();
}
