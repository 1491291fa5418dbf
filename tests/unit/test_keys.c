/* Slots, identities, texts and ciphers. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "keys/identity.h"
#include "keys/kdf.h"
#include "keys/prompt.h"
#include "keys/secret.h"
#include "keys/slot.h"
#include "keys/cipher.h"
#include "keys/text.h"
#include "tests/check.h"

static const uint8_t vol_id[16] = { 1, 2, 3 }, other_vol[16] = { 9 };
static const uint8_t volume_key[32] = { 7, 7, 7 };
static char dir[64] = "/tmp/sbx-test-keys-XXXXXX";

static void base32(void)
{
	static const struct {
		const char *plain, *text;
	} rfc[] = { { "f", "my" },         { "fo", "mzxq" },        { "foo", "mzxw6" },
		    { "foob", "mzxw6yq" }, { "fooba", "mzxw6ytb" }, { "foobar", "mzxw6ytboi" } };
	char text[32];
	uint8_t back[32];

	for (size_t i = 0; i < ARRAY_LEN(rfc); i++) {
		size_t len = strlen(rfc[i].plain);

		base32_encode((const uint8_t *)rfc[i].plain, len, text);
		CHECK_STR(text, rfc[i].text);
		CHECK_EQ(base32_decode(text, strlen(text), back, len), 0);
		CHECK_MEM(back, rfc[i].plain, len);
	}
	CHECK_EQ(base32_decode("MZXW6", 5, back, 3), 0);
	CHECK_EQ(base32_decode("mz", 2, back, 1), -EINVAL); /* unused bits set */
	CHECK_EQ(base32_decode("m1", 2, back, 1), -EINVAL);
	CHECK_EQ(base32_decode("mzxw6", 5, back, 2), -EINVAL);
}

static void recovery(void)
{
	uint8_t key[32], back[32];
	char text[RECOVERY_TEXT_SIZE], spaced[2 * RECOVERY_TEXT_SIZE];
	struct err err = { 0 };

	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)(i * 37);
	recovery_encode(key, text);
	CHECK_EQ(strlen(text), 63);
	CHECK_EQ(recovery_decode(text, back, &err), 0);
	CHECK_MEM(key, back, 32);
	snprintf(spaced, sizeof(spaced), " %.20s \n%s\r\n", text, text + 20);
	for (char *p = spaced; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	CHECK_EQ(recovery_decode(spaced, back, &err), 0);
	CHECK_EQ(recovery_decode("", back, &err), -EINVAL);
	text[0] = text[0] == 'a' ? 'b' : 'a';
	CHECK_EQ(recovery_decode(text, back, &err), -EINVAL);
	CHECK(strstr(err.text, "checksum") != NULL);
	text[0] = '0';
	CHECK_EQ(recovery_decode(text, back, &err), -EINVAL);
	text[62] = '\0';
	CHECK_EQ(recovery_decode(text, back, &err), -EINVAL);
}

static void slots_by_secret(void)
{
	uint8_t secret[32] = { 5 }, wrong[32] = { 6 }, key[32];
	struct slot s, back;
	struct err err = { 0 };
	autojson json_t *j = NULL;

	CHECK_EQ(slot_wrap(SLOT_OWNER, vol_id, 3, volume_key, secret, &s), 0);
	j = slot_to_json(&s);
	CHECK_EQ(slot_parse(j, s.id, &back, &err), 0);
	CHECK_EQ(back.keygen, 3);
	CHECK_EQ(slot_unwrap(&back, vol_id, secret, key), 0);
	CHECK_MEM(key, volume_key, 32);
	CHECK_EQ(slot_unwrap(&back, vol_id, wrong, key), -EKEYREJECTED);
	CHECK_EQ(slot_unwrap(&back, other_vol, secret, key), -EKEYREJECTED);
	back.wrapped[4] ^= 1;
	CHECK_EQ(slot_unwrap(&back, vol_id, secret, key), -EBADMSG);
	back.wrapped[4] ^= 1;
	back.keygen = 4;
	CHECK_EQ(slot_unwrap(&back, vol_id, secret, key), -EBADMSG);
	back.keygen = 3;
	back.type = SLOT_RECOVERY;
	CHECK_EQ(slot_unwrap(&back, vol_id, secret, key), -EBADMSG);
	back.type = SLOT_PASSPHRASE;
	CHECK_EQ(slot_unwrap(&back, vol_id, secret, key), -EINVAL);
}

static void slots_by_passphrase(void)
{
	struct slot s, back;
	struct err err = { 0 };
	uint8_t key[32];
	autojson json_t *j = NULL;

	CHECK_EQ(slot_wrap_passphrase(vol_id, 1, volume_key, (const uint8_t *)"abc", 3, 1, 1 << 20,
				      &s, &err),
		 0);
	j = slot_to_json(&s);
	CHECK_EQ(slot_parse(j, s.id, &back, &err), 0);
	CHECK_EQ(slot_unwrap_passphrase(&back, vol_id, (const uint8_t *)"abc", 3, key, &err), 0);
	CHECK_MEM(key, volume_key, 32);
	CHECK_EQ(slot_unwrap_passphrase(&back, vol_id, (const uint8_t *)"abd", 3, key, &err),
		 -EKEYREJECTED);
	CHECK_EQ(slot_unwrap_passphrase(&back, vol_id, (const uint8_t *)"", 0, key, &err),
		 -EKEYREJECTED);
	json_object_set_new(j, "ops", json_integer(17));
	CHECK_EQ(slot_parse(j, s.id, &back, &err), -EBADMSG);
	CHECK(strstr(err.text, "ops") != NULL);
	json_object_set_new(j, "ops", json_integer(1));
	json_object_set_new(j, "mem", json_integer((4ll << 30) + 1));
	CHECK_EQ(slot_parse(j, s.id, &back, &err), -EBADMSG);
	CHECK(strstr(err.text, "mem") != NULL);
	json_object_set_new(j, "mem", json_integer(100));
	CHECK_EQ(slot_parse(j, s.id, &back, &err), -EBADMSG);
	json_object_set_new(j, "mem", json_integer(1 << 20));
	json_object_set_new(j, "format", json_integer(2));
	CHECK_EQ(slot_parse(j, s.id, &back, &err), -EOPNOTSUPP);
	json_object_set_new(j, "format", json_integer(1));
	json_object_set_new(j, "salt", json_string("00"));
	CHECK_EQ(slot_parse(j, s.id, &back, &err), -EBADMSG);
	CHECK_EQ(slot_parse(j, "../x", &back, &err), -EBADMSG);
	CHECK_EQ(slot_parse(NULL, s.id, &back, &err), -EBADMSG);
}

static void identities(struct identity **ret)
{
	char path[128], path2[160], text[IDENTITY_TEXT_SIZE], text2[IDENTITY_TEXT_SIZE];
	struct identity *a = NULL, *b = NULL;
	struct identity_public pub;
	struct err err = { 0 };
	struct stat st;
	bool created = false;

	snprintf(path, sizeof(path), "%s/config/sbx/identity.json", dir);
	CHECK_EQ(identity_load(path, &a, &err), -ENOENT);
	CHECK_EQ(identity_ensure(path, &a, &created, &err), 0);
	CHECK(created);
	CHECK_EQ(identity_ensure(path, &b, &created, &err), 0);
	CHECK(!created);
	CHECK(identity_public_equal(identity_public(a), identity_public(b)));
	CHECK_MEM(identity_owner_secret(a), identity_owner_secret(b), 32);
	stat(path, &st);
	CHECK_EQ(st.st_mode & 07777, 0600);
	snprintf(path2, sizeof(path2), "%s/config/sbx", dir);
	stat(path2, &st);
	CHECK_EQ(st.st_mode & 07777, 0700);

	identity_public_text(identity_public(a), text);
	CHECK_EQ(strlen(text), 117);
	CHECK_EQ(identity_public_parse(text, &pub, &err), 0);
	CHECK(identity_public_equal(&pub, identity_public(a)));
	memcpy(text2, text, sizeof(text));
	text2[20] = text2[20] == 'a' ? 'b' : 'a';
	CHECK_EQ(identity_public_parse(text2, &pub, &err), -EINVAL);
	text[116] = '\0';
	CHECK_EQ(identity_public_parse(text, &pub, &err), -EINVAL);
	CHECK_EQ(identity_public_parse("sbx-pub-", &pub, &err), -EINVAL);
	CHECK_EQ(identity_public_parse("", &pub, &err), -EINVAL);

	chmod(path, 0640);
	identity_free(b);
	b = NULL;
	CHECK_EQ(identity_load(path, &b, &err), -EPERM);
	CHECK(strstr(err.text, "chmod 600") != NULL);
	chmod(path, 0600);
	if (geteuid() == 0) {
		CHECK_EQ(chown(path, 12345, 0), 0);
		CHECK_EQ(identity_load(path, &b, &err), -EPERM);
		CHECK_EQ(chown(path, 0, 0), 0);
	}
	snprintf(path2, sizeof(path2), "%s/link.json", dir);
	CHECK_EQ(symlink(path, path2), 0);
	CHECK(identity_load(path2, &b, &err) < 0);
	*ret = a;
}

/* Each altered text must be refused. */
static void identity_damage(void)
{
	static const struct {
		const char *from, *to;
	} edits[] = {
		{ "\"secret\": \"", "\"secret\": \"z" },
		{ "\"public\": \"sbx", "\"public\": \"sby" },
		{ "\"format\": 1", "\"format\": 2" },
		{ "\"secret\"", "\"sekret\"" },
		{ "{", "[" },
		{ "}", "" },
	};
	char path[128], raw[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/config/sbx/identity.json", dir);
	f = fopen(path, "r");
	n = fread(raw, 1, sizeof(raw) - 1, f);
	raw[n] = '\0';
	fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		char text[4200], *at = strstr(raw, edits[i].from);
		struct identity *id = NULL;
		struct err err = { 0 };

		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - raw), raw, edits[i].to,
			 at + strlen(edits[i].from));
		CHECK(identity_parse(text, strlen(text), &id, &err) < 0);
		CHECK(err.text[0] != '\0');
		CHECK(id == NULL);
	}
}

static void slots_by_recipient(struct identity *owner)
{
	char path[128];
	struct identity *other = NULL, *third = NULL;
	struct slot s, back;
	struct err err = { 0 };
	uint8_t key[32];
	autojson json_t *j = NULL;
	bool created;

	snprintf(path, sizeof(path), "%s/other.json", dir);
	CHECK_EQ(identity_ensure(path, &other, &created, &err), 0);
	snprintf(path, sizeof(path), "%s/third.json", dir);
	CHECK_EQ(identity_ensure(path, &third, &created, &err), 0);
	slot_wrap_recipient(vol_id, 1, volume_key, owner, identity_public(other), &s);
	j = slot_to_json(&s);
	CHECK_EQ(slot_parse(j, s.id, &back, &err), 0);
	CHECK_EQ(slot_unwrap_recipient(&back, vol_id, other, key), 0);
	CHECK_MEM(key, volume_key, 32);
	CHECK_EQ(slot_unwrap_recipient(&back, vol_id, owner, key), -EKEYREJECTED);
	CHECK_EQ(slot_unwrap_recipient(&back, other_vol, other, key), -EBADMSG);
	back.owner = *identity_public(third);
	CHECK_EQ(slot_unwrap_recipient(&back, vol_id, other, key), -EBADMSG);
	back = s;
	back.box[0] ^= 1;
	CHECK_EQ(slot_unwrap_recipient(&back, vol_id, other, key), -EBADMSG);
	identity_free(other);
	identity_free(third);
}

static void ciphers(void)
{
	CHECK_EQ(cipher_by_name("xchacha20"), CIPHER_XCHACHA20);
	CHECK_EQ(cipher_by_name("aes-gcm"), CIPHER_AES_GCM);
	CHECK_EQ(cipher_by_name("aegis"), CIPHER_AEGIS);
	CHECK_EQ(cipher_by_name("des"), 0);
	CHECK(cipher_name(0) == NULL);
	CHECK(cipher_name(4) == NULL);
	CHECK(cipher_available(CIPHER_XCHACHA20, NULL));
	for (uint8_t i = 1; i <= CIPHER_MAX; i++) {
		unsigned speed = cipher_measure(i, 5);

		CHECK_EQ(speed > 0, cipher_available(i, NULL));
		printf("%s: %u MB/s\n", cipher_name(i), speed);
	}
}

static void passphrases(void)
{
	char path[128];
	struct secret *s = NULL;
	struct err err = { 0 };
	int fd[2];

	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(write(fd[1], "open sesame\nrest", 16), 16);
	CHECK_EQ(prompt_read_fd(fd[0], &s, &err), 0);
	CHECK_STR((char *)s->bytes, "open sesame");
	CHECK_EQ(s->len, 11);
	secret_release(s);
	close(fd[1]);
	CHECK_EQ(prompt_read_fd(fd[0], &s, &err), 0);
	CHECK_STR((char *)s->bytes, "rest");
	secret_release(s);
	CHECK_EQ(prompt_read_fd(fd[0], &s, &err), -EINVAL);
	close(fd[0]);
	snprintf(path, sizeof(path), "%s/pass", dir);
	fd[0] = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (int i = 0; i < 2000; i++)
		CHECK_EQ(write(fd[0], "x", 1), 1);
	close(fd[0]);
	CHECK_EQ(prompt_read_file(path, &s, &err), -EINVAL);
	CHECK_EQ(truncate(path, PROMPT_MAX), 0);
	CHECK_EQ(prompt_read_file(path, &s, &err), 0);
	secret_release(s);
	chmod(path, 0644);
	CHECK_EQ(prompt_read_file(path, &s, &err), -EPERM);
	CHECK_EQ(prompt_read_file(dir, &s, &err), -EISDIR);
	CHECK_EQ(prompt_read_file("/nonexistent/x", &s, &err), -ENOENT);
}

int main(void)
{
	struct identity *id = NULL;
	char cmd[128];

	CHECK_EQ(secret_setup(NULL), 0);
	CHECK(mkdtemp(dir) != NULL);
	base32();
	recovery();
	slots_by_secret();
	slots_by_passphrase();
	identities(&id);
	identity_damage();
	slots_by_recipient(id);
	identity_free(id);
	ciphers();
	passphrases();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
	return check_report();
}
