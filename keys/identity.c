#include "keys/identity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "keys/kdf.h"
#include "keys/secret.h"
#include "keys/text.h"

#define FILE_MAX_BYTES 4096
#define SEED_CHARS     (2 * KEY_LEN)
#define PREFIX         "sbx-pub-"
#define SUM_LEN        4
#define RAW_LEN        (32 + 32 + SUM_LEN)

/* Lives in guarded memory. */
struct identity {
	uint8_t seed[KEY_LEN];
	uint8_t box_secret[KEY_LEN];
	uint8_t sign_secret[crypto_sign_SECRETKEYBYTES];
	uint8_t owner_secret[KEY_LEN];
	struct identity_public pub;
};

static_assert(crypto_sign_BYTES == IDENTITY_SIG_LEN, "Ed25519");
static_assert(sizeof(PREFIX) + (RAW_LEN * 8 + 4) / 5 <= IDENTITY_TEXT_SIZE, "the text fits");

int identity_default_path(char *ret, size_t size, struct err *err)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (config && config[0] == '/') {
		n = snprintf(ret, size, "%s/sbx/identity.json", config);
	} else {
		if (!home || home[0] != '/') {
			const struct passwd *pw = getpwuid(geteuid());

			home = pw ? pw->pw_dir : NULL;
		}
		if (!home || home[0] != '/')
			return err_set(err, -ENOENT,
				       "find the directory for your identity: neither "
				       "XDG_CONFIG_HOME nor HOME is an absolute path.");
		n = snprintf(ret, size, "%s/.config/sbx/identity.json", home);
	}
	if (n < 0 || (size_t)n >= size)
		return err_set(err, -ENAMETOOLONG, "find the directory for your identity");
	return 0;
}

static int identity_derive(struct identity *id)
{
	autosecret uint8_t *sign_seed = secret_alloc(KEY_LEN);

	if (!sign_seed)
		return -ENOMEM;
	kdf_derive(KDF_ID_BOX, id->seed, id->box_secret);
	kdf_derive(KDF_ID_SIGN, id->seed, sign_seed);
	kdf_derive(KDF_ID_OWNER, id->seed, id->owner_secret);
	crypto_scalarmult_base(id->pub.box, id->box_secret);
	crypto_sign_seed_keypair(id->pub.sign, id->sign_secret, sign_seed);
	return 0;
}

void identity_free(struct identity *id)
{
	secret_release(id);
}

const struct identity_public *identity_public(const struct identity *id)
{
	return &id->pub;
}

const uint8_t *identity_owner_secret(const struct identity *id)
{
	return id->owner_secret;
}

void identity_sign(const struct identity *id, const void *msg, size_t len,
		   uint8_t sig[static IDENTITY_SIG_LEN])
{
	crypto_sign_detached(sig, NULL, msg, len, id->sign_secret);
}

bool identity_verify(const struct identity_public *pub, const void *msg, size_t len,
		     const uint8_t sig[static IDENTITY_SIG_LEN])
{
	return crypto_sign_verify_detached(sig, msg, len, pub->sign) == 0;
}

int identity_unseal(const struct identity *id, const uint8_t *box, size_t len, uint8_t *text)
{
	if (len < crypto_box_SEALBYTES ||
	    crypto_box_seal_open(text, box, len, id->pub.box, id->box_secret) != 0)
		return -EBADMSG;
	return 0;
}

bool identity_public_equal(const struct identity_public *a, const struct identity_public *b)
{
	return memcmp(a->box, b->box, sizeof(a->box)) == 0 &&
	       memcmp(a->sign, b->sign, sizeof(a->sign)) == 0;
}

/* Public text ---------------------------------------------------------------------------------- */

static void public_raw(const struct identity_public *pub, uint8_t raw[static RAW_LEN])
{
	uint8_t labelled[sizeof(PREFIX) - 1 + 64], hash[crypto_generichash_BYTES];

	memcpy(raw, pub->box, 32);
	memcpy(raw + 32, pub->sign, 32);
	memcpy(labelled, PREFIX, sizeof(PREFIX) - 1);
	memcpy(labelled + sizeof(PREFIX) - 1, raw, 64);
	crypto_generichash(hash, sizeof(hash), labelled, sizeof(labelled), NULL, 0);
	memcpy(raw + 64, hash, SUM_LEN);
}

void identity_public_text(const struct identity_public *pub, char out[static IDENTITY_TEXT_SIZE])
{
	uint8_t raw[RAW_LEN];

	public_raw(pub, raw);
	memcpy(out, PREFIX, sizeof(PREFIX) - 1);
	base32_encode(raw, sizeof(raw), out + sizeof(PREFIX) - 1);
}

int identity_public_parse(const char *text, struct identity_public *ret, struct err *err)
{
	uint8_t raw[RAW_LEN], expected[RAW_LEN];
	struct identity_public pub;
	const size_t prefix = sizeof(PREFIX) - 1;

	if (strncmp(text, PREFIX, prefix) != 0)
		return err_set(err, -EINVAL,
			       "a public key starts with '" PREFIX "' (the owner of the key prints "
			       "it with: sbxctl key show).");
	if (base32_decode(text + prefix, strlen(text + prefix), raw, sizeof(raw)) < 0)
		return err_set(err, -EINVAL,
			       "the public key is cut off or has a foreign character: copy all %d "
			       "characters of it.",
			       (int)(prefix + (RAW_LEN * 8 + 4) / 5));
	memcpy(pub.box, raw, 32);
	memcpy(pub.sign, raw + 32, 32);
	public_raw(&pub, expected);
	if (memcmp(raw, expected, sizeof(raw)) != 0)
		return err_set(err, -EINVAL,
			       "the public key has a slip in it (its checksum is wrong): copy it "
			       "again.");
	*ret = pub;
	return 0;
}

/* The file ------------------------------------------------------------------------------------- */

static char *skip_blank(char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* Take the seed out of the text and leave zeros in its place, so that the JSON parser, whose heap
 * is ordinary memory, never sees it. */
static int cut_seed(char *text, size_t len, uint8_t seed[static KEY_LEN])
{
	static const char key[] = "\"secret\"";
	char *p = memmem(text, len, key, sizeof(key) - 1), *end = text + len;
	int r;

	if (!p)
		return -EBADMSG;
	p = skip_blank(p + sizeof(key) - 1, end);
	if (p == end || *p != ':')
		return -EBADMSG;
	p = skip_blank(p + 1, end);
	if (end - p < SEED_CHARS + 2 || p[0] != '"' || p[SEED_CHARS + 1] != '"')
		return -EBADMSG;
	p[SEED_CHARS + 1] = '\0';
	r = hex_decode(p + 1, seed, KEY_LEN);
	p[SEED_CHARS + 1] = '"';
	memset(p + 1, '0', SEED_CHARS);
	return r < 0 ? -EBADMSG : 0;
}

/* What is left of the file after cut_seed() must be the object we write. */
static int check_rest(const char *text, size_t len, const struct identity *id, struct err *err)
{
	autojson json_t *j = NULL;
	char zeros[SEED_CHARS + 1], own[IDENTITY_TEXT_SIZE];
	const char *secret = NULL, *public = NULL;
	uint64_t format = 0;
	int r = json_parse(text, len, "the identity file", &j, err);

	if (r < 0)
		return -EBADMSG;
	json_get_u64(j, "format", &format, NULL);
	if (format != 1)
		return err_set(err, -EOPNOTSUPP,
			       "the identity file has a format that this version does not know: "
			       "update sbx.");
	memset(zeros, '0', SEED_CHARS);
	zeros[SEED_CHARS] = '\0';
	json_get_str(j, "secret", &secret, NULL);
	json_get_str(j, "public", &public, NULL);
	identity_public_text(&id->pub, own);
	if (!secret || strcmp(secret, zeros) != 0 || !public || strcmp(public, own) != 0)
		return err_set(err, -EBADMSG,
			       "the identity file is damaged: its secret and its public key do not "
			       "belong together; restore it from a backup.");
	return 0;
}

int identity_parse(char *text, size_t len, struct identity **ret, struct err *err)
{
	autosecret struct identity *id = secret_alloc(sizeof(*id));
	int r;

	if (!id)
		return err_set(err, -ENOMEM, "read the identity");
	if (cut_seed(text, len, id->seed) < 0)
		return err_set(err, -EBADMSG,
			       "the identity file is damaged: it holds no secret of %d hex digits; "
			       "restore it from a backup.",
			       SEED_CHARS);
	r = identity_derive(id);
	if (r < 0)
		return err_set(err, r, "read the identity");
	r = check_rest(text, len, id, err);
	if (r < 0)
		return r;
	*ret = take_ptr(id);
	return 0;
}

static int check_owner_and_mode(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EPERM, "the identity '%s' is not a regular file.", path);
	if (st.st_uid != geteuid())
		return err_set(
			err, -EPERM,
			"the identity '%s' belongs to uid %u and not to you (uid %u): set HOME "
			"or XDG_CONFIG_HOME to your own directory, or change its owner.",
			path, st.st_uid, geteuid());
	if (st.st_mode & 077)
		return err_set(
			err, -EPERM,
			"the identity '%s' may be read or changed by others (mode %04o): if "
			"that is new, run: chmod 600 '%s'. If others may have read it, make a "
			"new one and rotate your workspaces' keys.",
			path, st.st_mode & 07777, path);
	if (st.st_size > FILE_MAX_BYTES)
		return err_set(err, -EBADMSG, "the identity '%s' is not one: it is too large.",
			       path);
	return 0;
}

int identity_load(const char *path, struct identity **ret, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	autosecret char *text = NULL;
	ssize_t n;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "open the identity '%s'", path);
	r = check_owner_and_mode(fd, path, err);
	if (r < 0)
		return r;
	text = secret_alloc(FILE_MAX_BYTES + 1);
	if (!text)
		return err_set(err, -ENOMEM, "read the identity '%s'", path);
	n = fd_read_full(fd, text, FILE_MAX_BYTES);
	if (n < 0)
		return err_set(err, (int)n, "read the identity '%s'", path);
	r = identity_parse(text, (size_t)n, ret, err);
	return r < 0 ? err_wrap(err, r, "identity '%s'", path) : 0;
}

static int make_dirs(const char *path, struct err *err)
{
	char dir[PATH_MAX];

	if ((size_t)snprintf(dir, sizeof(dir), "%s", path) >= sizeof(dir))
		return err_set(err, -ENAMETOOLONG, "make the directory of '%s'", path);
	for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return err_set(err, -errno, "make the directory '%s'", dir);
		*p = '/';
	}
	return 0;
}

static int write_file(const struct identity *id, int fd)
{
	char public[IDENTITY_TEXT_SIZE], now[32];
	autosecret char *text = secret_alloc(FILE_MAX_BYTES);
	autosecret char *hex = secret_alloc(SEED_CHARS + 1);
	time_t t = time(NULL);
	struct tm tm;
	int n;

	if (!text || !hex)
		return -ENOMEM;
	identity_public_text(&id->pub, public);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	sodium_bin2hex(hex, SEED_CHARS + 1, id->seed, KEY_LEN);
	n = snprintf(text, FILE_MAX_BYTES,
		     "{\n  \"format\": 1,\n  \"created\": \"%s\",\n  \"public\": \"%s\",\n"
		     "  \"secret\": \"%s\"\n}\n",
		     now, public, hex);
	n = fd_write_full(fd, text, (size_t)n);
	if (n == 0 && fsync(fd) < 0)
		n = -errno;
	return n;
}

static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	autoclose int fd = -1;
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		return 0;
	slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Written aside, then linked: link(2) never replaces, so that of two at once one wins and the other
 * finds that one.  -EEXIST then. */
static int publish(const struct identity *id, const char *path, struct err *err)
{
	char tmp[PATH_MAX];
	autoclose int fd = -1;
	int r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.%ld.new", path, (long)getpid()) >= sizeof(tmp))
		return err_set(err, -ENAMETOOLONG, "write the identity '%s'", path);
	unlink(tmp); /* of a process of this number that was killed here */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, -errno, "create '%s'", tmp);
	r = write_file(id, fd);
	if (r == 0 && link(tmp, path) < 0)
		r = -errno;
	unlink(tmp);
	if (r == 0)
		r = sync_parent(path);
	return r < 0 ? err_set(err, r, "write the identity '%s'", path) : 0;
}

static int identity_create(const char *path, struct identity **ret, struct err *err)
{
	autosecret struct identity *id = secret_alloc(sizeof(*id));
	int r;

	if (!id)
		return err_set(err, -ENOMEM, "make an identity");
	randombytes_buf(id->seed, sizeof(id->seed));
	r = identity_derive(id);
	if (r < 0)
		return err_set(err, r, "make an identity");
	r = make_dirs(path, err);
	if (r == 0)
		r = publish(id, path, err);
	if (r == 0)
		*ret = take_ptr(id);
	return r;
}

int identity_ensure(const char *path, struct identity **ret, bool *ret_created, struct err *err)
{
	int r = identity_load(path, ret, err);

	if (r == 0)
		*ret_created = false;
	if (r != -ENOENT)
		return r;
	r = identity_create(path, ret, err);
	if (r == 0)
		*ret_created = true;
	if (r != -EEXIST)
		return r;
	*ret_created = false;
	return identity_load(path, ret, err);
}
