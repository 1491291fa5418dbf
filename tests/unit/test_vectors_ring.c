/* The rings of the test vectors: where the log of a store that was not closed ends. */
#include "tests/unit/store_kit.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"

#define RING 128u

static uint8_t head_key[32], log_key[32];
static unsigned batches;

static const uint8_t *head_key_of(void *ctx, uint32_t keygen)
{
	return keygen == 1 ? head_key : NULL;
}

static const uint8_t *log_key_of(void *ctx, uint32_t keygen)
{
	return keygen == 1 ? log_key : NULL;
}

static void line(void *ctx, const char *text)
{
	const char *at = strstr(text, " batches");

	while (at && at > text && at[-1] != ' ')
		at--;
	if (at)
		batches = (unsigned)atoi(at);
}

static void put_page(int fd, const char *hex, uint32_t page)
{
	static uint8_t bytes[BLOCK_SIZE];
	size_t len = strlen(hex) / 2;

	memset(bytes, 0, sizeof(bytes));
	CHECK(len <= sizeof(bytes) && hex_decode(hex, bytes, len) == 0);
	CHECK_EQ(fd_pwrite_full(fd, bytes, sizeof(bytes), (uint64_t)page * BLOCK_SIZE), 0);
}

/* A store of nothing but this log. */
static void one_ring(const json_t *row, const struct store_params *p, const char *dir)
{
	autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int fd = openat(dirfd, "log", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t tail = (uint64_t)json_integer_value(json_object_get(row, "tail"));
	json_int_t want = json_integer_value(json_object_get(row, "batches")) -
			  json_integer_value(json_object_get(row, "dead"));
	struct err err = { 0 };
	struct store *s = NULL;
	json_t *page;
	size_t i;

	CHECK_EQ(ftruncate(fd, (2 + RING) * BLOCK_SIZE), 0);
	put_page(fd, json_string_value(json_object_get(row, "state")), 0);
	json_array_foreach (json_object_get(row, "pages"), i, page)
		put_page(fd, json_string_value(page), 2 + (uint32_t)((tail + i) % RING));
	batches = 1000;
	CHECK_EQ(store_open(dirfd, p, &s, &err), 0);
	if (batches != (unsigned)want)
		fprintf(stderr, "%s %s\n", json_string_value(json_object_get(row, "what")),
			err.text);
	CHECK_EQ(batches, want);
	if (s)
		store_abandon(s);
}

static void hex_of(const json_t *j, const char *key, uint8_t *out, size_t len)
{
	const char *s = json_string_value(json_object_get(j, key));

	CHECK(s && strlen(s) == 2 * len && hex_decode(s, out, len) == 0);
}

int main(void)
{
	const char *src = getenv("SBX_SRC");
	autofree char *path = str_printf("%s/tests/data/vectors/log.json", src ? src : ".");
	autofree char *text = NULL, *sub = NULL;
	struct store_params p = { .suite = SUITE_XCHACHA20,
				  .keygen = 1,
				  .conf_counter = 1,
				  .head_key = head_key_of,
				  .log_key = log_key_of,
				  .log = line };
	autojson json_t *j = NULL;
	char dir[300];
	json_t *row;
	size_t i, len;

	CHECK_EQ(secret_setup(NULL), 0);
	CHECK_EQ(fd_read_file(AT_FDCWD, path, 1 << 22, &text, &len, NULL), 0);
	CHECK_EQ(json_parse(text, len, path, &j, NULL), 0);
	hex_of(j, "vol_id", p.vol_id, 16);
	hex_of(j, "log_key", log_key, 32);
	hex_of(j, "head_key", head_key, 32);
	CHECK_EQ(quota_new(0, 0, &p.quota), 0);
	snprintf(dir, sizeof(dir), "%s/sbx-unit-XXXXXX", kit_base());
	CHECK(mkdtemp(dir) != NULL);
	for (const char *name = "tl"; *name; name++) {
		free(sub);
		sub = str_printf("%s/%c", dir, *name);
		CHECK_EQ(mkdir(sub, 0700), 0);
	}
	CHECK(json_array_size(json_object_get(j, "rings")) >= 10);
	json_array_foreach (json_object_get(j, "rings"), i, row)
		one_ring(row, &p, dir);
	quota_free(p.quota);
	kit_remove_dir(dir);
	return check_report();
}
