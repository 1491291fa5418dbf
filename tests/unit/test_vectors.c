/* The test vectors of doc/format.md, made by an implementation that shares no code with ours. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/block.h"
#include "fs/blockmap.h"
#include "fs/head.h"
#include "fs/log_codec.h"
#include "fs/name.h"
#include "keys/config.h"
#include "keys/identity.h"
#include "keys/kdf.h"
#include "keys/secret.h"
#include "keys/slot.h"
#include "keys/text.h"
#include "tests/check.h"

static json_t *load(const char *name)
{
	const char *src = getenv("SBX_SRC");
	autofree char *path = str_printf("%s/tests/data/vectors/%s.json", src ? src : ".", name);
	autofree char *text = NULL;
	struct err err = { 0 };
	json_t *j = NULL;
	size_t len;

	if (fd_read_file(AT_FDCWD, path, 1 << 22, &text, &len, &err) < 0 ||
	    json_parse(text, len, path, &j, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return j;
}

/* Bytes kept as hex; returns their number. */
static size_t bytes(const json_t *j, const char *key, uint8_t *out, size_t size)
{
	const char *s = json_string_value(json_object_get(j, key));
	size_t len = s ? strlen(s) / 2 : 0;

	CHECK(s && len <= size && hex_decode(s, out, len) == 0);
	return len;
}

static uint64_t number(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	CHECK(json_is_integer(v) || json_is_boolean(v));
	return json_is_boolean(v) ? json_is_true(v) : (uint64_t)json_integer_value(v);
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	CHECK(s != NULL);
	return s ? s : "";
}

static void kdf_vectors(void)
{
	static const char *const order[] = { "conf",         "head",   "log",     "name_mac",
					     "name_stream",  "dirid",  "symlink", "xname_mac",
					     "xname_stream", "xvalue", "id_box",  "id_sign",
					     "id_owner" };
	autojson json_t *j = load("kdf");
	uint8_t root[32], expected[32], out[32];
	json_t *row;
	size_t i;

	CHECK_EQ(json_array_size(json_object_get(j, "keys")), KDF_KEY_COUNT);
	json_array_foreach (json_object_get(j, "keys"), i, row) {
		CHECK_STR(text_of(row, "key"), order[i]);
		bytes(row, "root", root, 32);
		bytes(row, "out", expected, 32);
		kdf_derive((enum kdf_key)i, root, out);
		CHECK_MEM(out, expected, 32);
	}
	json_array_foreach (json_object_get(j, "blocks"), i, row) {
		bytes(row, "file_key", root, 32);
		bytes(row, "out", expected, 32);
		kdf_block_key((uint8_t)number(row, "suite"), root, out);
		CHECK_MEM(out, expected, 32);
	}
}

static void check_config(const json_t *c, const uint8_t *v)
{
	uint8_t file[4096], n[32], old[32], id[16];
	size_t len = bytes(c, "file", file, sizeof(file));
	struct volume_keys *k = NULL;
	autofree char *body = NULL;
	uint64_t counter = 0;
	uint32_t keygen = 0;

	bytes(c, "N", n, 32);
	bytes(c, "old", old, 32);
	CHECK_EQ(config_peek(file, len, id, &keygen, NULL), 0);
	CHECK_EQ(keygen, number(c, "keygen"));
	CHECK_EQ(config_open(file, len, v, &k, &counter, &body, NULL), 0);
	if (!k)
		return;
	CHECK_EQ(counter, number(c, "counter"));
	CHECK_STR(body, text_of(c, "body"));
	CHECK_MEM(k->names, n, 32);
	CHECK_EQ(k->count, 2);
	CHECK_MEM(volume_keys_find(k, 1)->v, old, 32);
	CHECK_MEM(volume_keys_find(k, 2)->v, v, 32);
	CHECK(volume_keys_find(k, 3) == NULL);
	secret_release(k);
}

static void slot_vectors(void)
{
	static const char *const kinds[] = { "owner", "recovery" };
	autojson json_t *j = load("slots");
	uint8_t vol_id[16], v[32], secret[64], key[32], seed[32];
	char out[RECOVERY_TEXT_SIZE], pub[IDENTITY_TEXT_SIZE];
	struct identity *id = NULL;
	struct slot s;
	struct err err = { 0 };
	autofree char *file = strdup(text_of(j, "identity_file"));
	size_t len;

	bytes(j, "vol_id", vol_id, 16);
	bytes(j, "V", v, 32);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const json_t *row = json_object_get(j, kinds[i]);

		CHECK_EQ(slot_parse(json_object_get(row, "slot"), kinds[i], &s, &err), 0);
		bytes(row, "secret", secret, 32);
		CHECK_EQ(slot_unwrap(&s, vol_id, secret, key), 0);
		CHECK_MEM(key, v, 32);
	}
	recovery_encode(secret, out);
	CHECK_STR(out, text_of(j, "recovery_text"));
	CHECK_EQ(slot_parse(json_at(j, "passphrase.slot"), "p", &s, &err), 0);
	len = bytes(json_object_get(j, "passphrase"), "secret", secret, sizeof(secret));
	CHECK_EQ(slot_unwrap_passphrase(&s, vol_id, secret, len, key, &err), 0);
	CHECK_MEM(key, v, 32);

	CHECK_EQ(identity_parse(file, strlen(file), &id, &err), 0);
	identity_public_text(identity_public(id), pub);
	CHECK_STR(pub, text_of(j, "public"));
	bytes(j, "identity_seed", seed, 32);
	kdf_derive(KDF_ID_OWNER, seed, secret);
	CHECK_MEM(identity_owner_secret(id), secret, 32);
	CHECK_EQ(slot_parse(json_at(j, "recipient.slot"), "r", &s, &err), 0);
	CHECK_EQ(slot_unwrap_recipient(&s, vol_id, id, key), 0);
	CHECK_MEM(key, v, 32);
	identity_free(id);
	check_config(json_object_get(j, "config"), v);
}

static void header_vectors(void)
{
	autojson json_t *j = load("header");
	uint8_t vol_id[16], head_key[32], file_key[32], file_id[16], raw[HEAD_LEN], key[32],
		again[HEAD_LEN];
	json_t *row;
	size_t i;

	bytes(j, "vol_id", vol_id, 16);
	bytes(j, "head_key", head_key, 32);
	bytes(j, "file_key", file_key, 32);
	bytes(j, "file_id", file_id, 16);
	json_array_foreach (json_object_get(j, "headers"), i, row) {
		struct head h = { 0 }, back;
		int r;

		CHECK_EQ(bytes(row, "header", raw, sizeof(raw)), HEAD_LEN);
		r = head_open(raw, head_key, vol_id, &h, key);
		if (r == -EOPNOTSUPP && number(row, "suite") == 2)
			continue; /* no AES instructions here */
		CHECK_EQ(r, 0);
		CHECK_MEM(key, file_key, 32);
		CHECK_MEM(h.file_id, file_id, 16);
		CHECK_EQ(h.suite, number(row, "suite"));
		CHECK_EQ(h.keygen, number(row, "keygen"));
		CHECK_EQ(h.epoch, number(row, "epoch"));
		CHECK_EQ(h.size, number(row, "size"));
		CHECK_EQ(h.synced, number(row, "synced"));
		CHECK_EQ(h.mtime_ns, (int64_t)number(row, "mtime"));
		CHECK_EQ(h.flags, number(row, "flags"));
		CHECK_EQ(h.mapped, number(row, "mapped"));
		head_seal(&h, key, head_key, vol_id, again);
		CHECK_MEM(again, raw, HEAD_CLEAR_LEN);
		CHECK_EQ(head_open(again, head_key, vol_id, &back, key), 0);
		raw[i * 37 % HEAD_LEN] ^= 1;
		CHECK(head_open(raw, head_key, vol_id, &back, key) < 0);
	}
}

static void one_block(const json_t *row, const uint8_t *file_key, const uint8_t *file_id)
{
	uint8_t key[32], nonce[16], entry[ENTRY_SIZE], mine[ENTRY_SIZE], hash[32], expected[32];
	uint8_t plain[BLOCK_SIZE] = { 0 }, data[BLOCK_SIZE] = { 0 };
	struct block_key k = { 0 };
	uint8_t suite = (uint8_t)number(row, "suite");
	uint32_t len = (uint32_t)number(row, "len");
	uint64_t b = number(row, "block");
	struct block_ctx c = { suite, key, file_id };

	if (!block_suite_available(suite))
		return;
	kdf_block_key(suite, file_key, key);
	bytes(row, "nonce", nonce, 16);
	bytes(row, "entry", entry, sizeof(entry));
	bytes(row, "data", expected, 32);
	for (uint32_t i = 0; i < len; i++)
		plain[i] = (uint8_t)(i * 7 + i / 256);
	block_seal(&c, &k, b, (uint32_t)number(row, "epoch"), nonce, plain, len, data, mine);
	CHECK_MEM(mine, entry, ENTRY_SIZE);
	crypto_generichash(hash, 32, data, len, NULL, 0);
	CHECK_MEM(hash, expected, 32);
	CHECK_EQ(block_open(&c, &k, b, entry, data), 0);
	CHECK_MEM(data, plain, len);
	block_seal(&c, &k, b, (uint32_t)number(row, "epoch"), nonce, plain, len, data, mine);
	CHECK_EQ(block_open(&c, &k, b + 1, entry, data), -EBADMSG);
}

static void block_vectors(void)
{
	autojson json_t *j = load("blocks");
	uint8_t file_key[32], file_id[16];
	json_t *row;
	size_t i;

	bytes(j, "file_key", file_key, 32);
	bytes(j, "file_id", file_id, 16);
	json_array_foreach (json_object_get(j, "blocks"), i, row)
		one_block(row, file_key, file_id);
	json_array_foreach (json_object_get(j, "offsets"), i, row) {
		CHECK_EQ(blockmap_data_off(number(row, "block")), number(row, "data"));
		CHECK_EQ(blockmap_entry_off(number(row, "block")), number(row, "entry"));
	}
	json_array_foreach (json_object_get(j, "sizes"), i, row) {
		uint64_t size = 7;

		CHECK_EQ(blockmap_backing_size(number(row, "size"), false), number(row, "backing"));
		CHECK_EQ(blockmap_backing_size(number(row, "size"), true), number(row, "padded"));
		CHECK(blockmap_plain_size(number(row, "backing"), &size));
		CHECK_EQ(size, number(row, "size"));
	}
	json_array_foreach (json_object_get(j, "not_sizes"), i, row) {
		uint64_t size;

		CHECK(!blockmap_plain_size((uint64_t)json_integer_value(row), &size));
	}
}

static void name_keys_of(const json_t *j, struct name_keys *k)
{
	uint8_t n[32];

	bytes(j, "vol_id", k->vol_id, 16);
	bytes(j, "N", n, 32);
	kdf_derive(KDF_NAME_MAC, n, k->nm);
	kdf_derive(KDF_NAME_STREAM, n, k->ne);
	kdf_derive(KDF_DIRID, n, k->dir);
	kdf_derive(KDF_SYMLINK, n, k->sl);
	kdf_derive(KDF_XNAME_MAC, n, k->xm);
	kdf_derive(KDF_XNAME_STREAM, n, k->xe);
	kdf_derive(KDF_XVALUE, n, k->xv);
}

static void one_name(const struct name_keys *k, const json_t *row)
{
	char stored[NAME_STORED_SIZE], full[NAME_FULL_SIZE], back[NAME_PLAIN_MAX + 1];
	uint8_t dirid[DIRID_LEN], name[256];
	size_t len = bytes(row, "name", name, sizeof(name)), n = 0;
	bool is_long;

	bytes(row, "dirid", dirid, sizeof(dirid));
	CHECK_EQ(name_encrypt(k, dirid, (char *)name, len, stored, full, &is_long), 0);
	CHECK_STR(stored, text_of(row, "stored"));
	CHECK_STR(full, text_of(row, "full"));
	CHECK_EQ(name_decrypt(k, dirid, full, back, &n), 0);
	CHECK_EQ(n, len);
	CHECK_MEM(back, name, len);
	CHECK_EQ(name_long_matches(stored, full), is_long);
}

static void one_symlink(const struct name_keys *k, const json_t *row)
{
	char target[SYMLINK_PLAIN_MAX + 1], name[SYMLINK_TAIL_NAME_SIZE];
	const char *stored = text_of(row, "stored");
	const char *tail = json_string_value(json_object_get(row, "tail"));
	uint64_t size = 0;
	size_t len = 0;

	CHECK_EQ(symlink_decrypt(k, stored, tail, target, &len), 0);
	CHECK_EQ(len, number(row, "length"));
	for (size_t i = 0; i < len; i++)
		CHECK(target[i] == (char)('a' + i % 26));
	CHECK_EQ(symlink_plain_size(stored, strlen(stored), &size), 0);
	CHECK_EQ(size, len);
	CHECK_EQ(symlink_needs_tail(stored, name), tail != NULL);
	if (tail)
		CHECK_STR(name, text_of(row, "tail_name"));
}

static void one_xattr(const struct name_keys *k, const json_t *row)
{
	char stored[XATTR_STORED_SIZE];
	const char *name = text_of(row, "name");
	uint8_t owner[16], value[256], out[256];
	size_t len = bytes(row, "value", value, sizeof(value));
	bool is_dir = number(row, "dir");

	bytes(row, "owner", owner, 16);
	CHECK_EQ(xattr_name_encrypt(k, owner, name, strlen(name), stored), 0);
	CHECK_STR(stored, text_of(row, "stored"));
	CHECK_EQ(xattr_value_open(k, is_dir, owner, name, value, len, out), 0);
	CHECK_MEM(out, "some value", 10);
	CHECK_EQ(xattr_value_open(k, !is_dir, owner, name, value, len, out), -EBADMSG);
}

static void name_vectors(void)
{
	static const uint8_t root[DIRID_LEN];
	autojson json_t *j = load("names");
	uint8_t id[DIRID_LEN], x[DIRID_XATTR_LEN], sealed[DIRID_XATTR_LEN];
	const json_t *d = json_object_get(j, "dirid");
	struct name_keys k;
	json_t *row;
	size_t i;

	name_keys_of(j, &k);
	json_array_foreach (json_object_get(j, "names"), i, row)
		one_name(&k, row);
	json_array_foreach (json_object_get(j, "bad"), i, row) {
		char back[NAME_PLAIN_MAX + 1];
		size_t len;

		CHECK_EQ(name_decrypt(&k, root, text_of(row, "full"), back, &len), -EBADMSG);
	}
	bytes(d, "id", id, sizeof(id));
	bytes(d, "xattr", x, sizeof(x));
	dirid_seal(&k, id, sealed);
	CHECK_MEM(sealed, x, sizeof(x));
	json_array_foreach (json_object_get(j, "symlinks"), i, row)
		one_symlink(&k, row);
	json_array_foreach (json_object_get(j, "xattrs"), i, row)
		one_xattr(&k, row);
}

static uint64_t decimal(const json_t *j, const char *key)
{
	uint64_t v = 0;

	CHECK_EQ(parse_u64(text_of(j, key), &v), 0);
	return v;
}

static void one_state(const json_t *row, const uint8_t *key, const uint8_t *vol_id)
{
	const json_t *s = json_object_get(row, "state");
	uint8_t page[LOG_PAGE] = { 0 };
	struct state st = { 0 };

	bytes(row, "page", page, sizeof(page));
	CHECK_EQ(state_open(page, key, vol_id, &st), 0);
	CHECK(st.counter == decimal(s, "counter"));
	CHECK_EQ(st.conf_counter, decimal(s, "conf_counter"));
	CHECK_EQ(st.epoch, decimal(s, "epoch"));
	CHECK_EQ(st.clean, decimal(s, "clean"));
	CHECK_EQ(st.ring, decimal(s, "ring"));
	CHECK_EQ(st.tail, decimal(s, "tail"));
	CHECK_EQ(st.tail_seq, decimal(s, "tail_seq"));
	CHECK_EQ(st.used_bytes, decimal(s, "used_bytes"));
	CHECK_EQ(st.used_files, decimal(s, "used_files"));
	page[50] ^= 1;
	CHECK_EQ(state_open(page, key, vol_id, &st), -EBADMSG);
}

static void one_batch(const json_t *row, const uint8_t *key, const uint8_t *vol_id,
		      const uint8_t *image)
{
	uint8_t page[LOG_PAGE] = { 0 }, entry[ENTRY_SIZE];
	struct batch b = { 0 };
	json_t *rec;
	size_t i;

	bytes(row, "page", page, sizeof(page));
	if (!number(row, "ok")) {
		CHECK_EQ(batch_open(page, key, vol_id, &b), -EBADMSG);
		return;
	}
	CHECK_EQ(batch_open(page, key, vol_id, &b), 0);
	CHECK_EQ(b.seq, number(row, "seq"));
	CHECK_EQ(b.flags, number(row, "flags"));
	CHECK_EQ(b.cut, number(row, "cut"));
	CHECK_MEM(b.image, image, HEAD_LEN);
	CHECK_EQ(b.nrec, json_array_size(json_object_get(row, "records")));
	json_array_foreach (json_object_get(row, "records"), i, rec) {
		CHECK_EQ(b.rec[i].block, number(rec, "block"));
		CHECK_EQ(b.rec[i].count, number(rec, "count"));
		CHECK_EQ(b.rec[i].kind, number(rec, "kind"));
		bytes(rec, "entry", entry, sizeof(entry));
		CHECK_MEM(b.rec[i].entry, entry, ENTRY_SIZE);
	}
	page[60] ^= 1;
	CHECK_EQ(batch_open(page, key, vol_id, &b), -EBADMSG);
}

static void log_vectors(void)
{
	autojson json_t *j = load("log");
	uint8_t vol_id[16], key[32], image[HEAD_LEN];
	json_t *row;
	size_t i;

	bytes(j, "vol_id", vol_id, 16);
	bytes(j, "log_key", key, 32);
	bytes(j, "image", image, sizeof(image));
	json_array_foreach (json_object_get(j, "states"), i, row)
		one_state(row, key, vol_id);
	json_array_foreach (json_object_get(j, "bad_states"), i, row) {
		uint8_t page[LOG_PAGE] = { 0 };
		struct state st;

		bytes(row, "page", page, sizeof(page));
		CHECK_EQ(state_open(page, key, vol_id, &st), -EBADMSG);
	}
	json_array_foreach (json_object_get(j, "batches"), i, row)
		one_batch(row, key, vol_id, image);
}

int main(void)
{
	CHECK_EQ(secret_setup(NULL), 0);
	kdf_vectors();
	slot_vectors();
	header_vectors();
	block_vectors();
	name_vectors();
	log_vectors();
	return check_report();
}
