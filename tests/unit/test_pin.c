/* Pins: the digest against the independent implementation's, the file against every change of it.
 */
#include "fs/pin_job.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/pin.h"
#include "keys/secret.h"
#include "tests/check.h"

static char dir[] = "/tmp/test-pin-XXXXXX";
static int dirfd;

static void put(const char *name, size_t size, unsigned seed)
{
	uint8_t *mem = malloc(size + 1);
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(mem && fd >= 0);
	for (size_t i = 0; i < size; i++)
		mem[i] = (uint8_t)((i * 7 + i / 251 + seed) & 0xff);
	CHECK_EQ(fd_write_full(fd, mem, size), 0);
	CHECK_EQ(fchmod(fd, 0644), 0);
	close(fd);
	free(mem);
}

/* Until it ends. */
static int wait_for(struct pin_job *j, struct err *err)
{
	struct pin_progress p;
	int r;

	while ((r = pin_job_state(j, &p, err)) == -EINPROGRESS)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return r;
}

static struct pin_job *start(struct pin_jobs *js, int pins, struct pin *with)
{
	char path[64];
	struct data_source s = { .name = "t", .source = path, .what = DATA_IS_DIR };
	struct pin_job_params p = { .source = &s, .pin = with, .dir = pins };
	struct pin_job *j = NULL;

	snprintf(path, sizeof(path), "%s/src", dir);
	CHECK_EQ(pin_job_start(js, &p, &j, NULL), 0);
	return j;
}

/* From tests/lib/pin_digest.py over the same tree. */
static const char want[] = "b37c9369266daf6826f461c9f2de2dff9f8f1c3a27dd546e477a153388410b65";

static struct pin *open_pin(int pins, const uint8_t *table, int expect)
{
	int fd = openat(pins, "t.pin", O_RDONLY | O_CLOEXEC);
	struct pin *p = NULL;

	CHECK_EQ(pin_open(fd, "t", table, &p, NULL), expect);
	if (!p)
		close(fd);
	return p;
}

static void look(struct pin *p)
{
	struct pin_record top, rec;
	char path[300], name[256];
	uint32_t i;

	CHECK_EQ(pin_record(p, 0, &top), 0);
	CHECK_EQ(top.type, 'd');
	CHECK_EQ(top.count, 5);
	CHECK_EQ(pin_find(p, &top, "nothing", &i, &rec), -ENOENT);
	CHECK_EQ(pin_find(p, &top, "big", &i, &rec), 0);
	CHECK_EQ(rec.size, 9000000);
	CHECK_EQ(rec.mode, 0644);
	CHECK_EQ(pin_find(p, &rec, "x", &i, &rec), -ENOTDIR);
	CHECK_EQ(pin_find(p, &top, "d", &i, &rec), 0);
	CHECK_EQ(pin_find(p, &rec, "leaf", &i, &rec), 0);
	pin_path(p, i, path, sizeof(path));
	CHECK_STR(path, "d/leaf");
	CHECK_EQ(pin_name(p, &rec, name), 0);
	CHECK_STR(name, "leaf");
	CHECK_EQ(pin_by_id(p, pin_id(p, i)), i);
	CHECK_EQ(pin_by_id(p, 0), PIN_NO_RECORD);
	CHECK_EQ(pin_record(p, pin_head(p)->records, &rec), -ENOENT);
	CHECK(pin_first_time(p, 3, 1) && !pin_first_time(p, 3, 1) && pin_first_time(p, 3, 2));
}

/* A change of any page is seen, at the latest when that page is used. */
static void tamper(int pins, const uint8_t *table)
{
	int fd = openat(pins, "t.pin", O_RDWR | O_CLOEXEC);
	struct stat st;
	uint8_t b;

	CHECK_EQ(fstat(fd, &st), 0);
	for (off_t at = 7; at < st.st_size; at += 1021) {
		struct pin_record rec;
		struct pin *p = NULL;
		bool seen = false;
		int own = openat(pins, "t.pin", O_RDONLY | O_CLOEXEC), r;
		uint8_t leaf[PIN_HASH];
		char name[256];

		CHECK_EQ(pread(fd, &b, 1, at), 1);
		b ^= 4;
		CHECK_EQ(pwrite(fd, &b, 1, at), 1);
		r = pin_open(own, "t", table, &p, NULL);
		seen = r == -EBADMSG;
		for (uint32_t i = 0; p && i < pin_head(p)->records; i++) {
			r = pin_record(p, i, &rec);
			seen |= r == -EBADMSG;
			seen |= r == 0 && pin_name(p, &rec, name) == -EBADMSG;
		}
		for (uint64_t i = 0; p && i < pin_head(p)->leaves; i++)
			seen |= pin_leaf(p, i, 1, leaf) == -EBADMSG;
		/* The padding of a part is in no use, but is verified with its page. */
		CHECK(seen);
		if (p)
			pin_unref(p);
		else
			close(own);
		b ^= 4;
		CHECK_EQ(pwrite(fd, &b, 1, at), 1);
	}
	CHECK_EQ(ftruncate(fd, st.st_size - 1), 0);
	open_pin(pins, table, -EBADMSG);
	close(fd);
}

static void found(struct pin_jobs *js, int pins, struct pin *p, const char *kind, const char *path)
{
	struct pin_job *j = start(js, pins, p);
	json_t *list;

	CHECK_EQ(wait_for(j, NULL), 0);
	CHECK_EQ(pin_job_found(j), kind ? 1 : 0);
	list = pin_job_findings(j, 10);
	CHECK_EQ(json_array_size(list), kind ? 1 : 0);
	if (kind && json_array_size(list) == 1) {
		const char *have = NULL;

		CHECK_EQ(json_get_str(json_array_get(list, 0), "kind", &have, NULL), 0);
		CHECK_STR(have, kind);
		CHECK_EQ(json_get_str(json_array_get(list, 0), "path", &have, NULL), 0);
		CHECK_STR(have, path);
	}
	json_decref(list);
	pin_job_end(j);
}

static void compare(struct pin_jobs *js, int pins, struct pin *p)
{
	int fd;

	found(js, pins, p, NULL, NULL);
	fd = openat(dirfd, "src/big", O_RDWR | O_CLOEXEC);
	CHECK_EQ(pwrite(fd, "x", 1, 8900000), 1);
	close(fd);
	found(js, pins, p, "content", "big");
	put("src/big", 9000000, 1);
	CHECK_EQ(fchmodat(dirfd, "src/d", 0700, 0), 0);
	found(js, pins, p, "mode", "d");
	CHECK_EQ(fchmodat(dirfd, "src/d", 0755, 0), 0);
	put("src/more", 1, 1);
	found(js, pins, p, "added", "more");
	CHECK_EQ(unlinkat(dirfd, "src/more", 0), 0);
	CHECK_EQ(unlinkat(dirfd, "src/empty", 0), 0);
	found(js, pins, p, "missing", "empty");
	CHECK_EQ(symlinkat("x", dirfd, "src/empty"), 0);
	found(js, pins, p, "type", "empty");
	CHECK_EQ(unlinkat(dirfd, "src/empty", 0), 0);
	put("src/empty", 0, 0);
	found(js, pins, p, NULL, NULL);
}

/* Given up at any moment, it leaves nothing. */
static void give_up(struct pin_jobs *js, int pins)
{
	for (int i = 0; i < 20; i++) {
		struct pin_job *j = start(js, pins, NULL);

		nanosleep(&(struct timespec){ .tv_nsec = i * 300000 }, NULL);
		pin_job_end(j);
	}
	pin_jobs_free(js);
	CHECK_EQ(unlinkat(pins, "t.pin", 0), 0);
	CHECK_EQ(unlinkat(dirfd, "pins", AT_REMOVEDIR), 0); /* it is empty */
}

static void all(void)
{
	struct pin_jobs *js = NULL;
	struct pin_made made = { 0 };
	struct err err = { 0 };
	struct pin_job *j;
	struct pin *p;
	char hex[65];
	int pins;

	CHECK_EQ(mkdirat(dirfd, "pins", 0700), 0);
	pins = openat(dirfd, "pins", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQ(pin_jobs_new(&js), 0);
	j = start(js, pins, NULL);
	CHECK_EQ(wait_for(j, &err), 0);
	if (err.code)
		fprintf(stderr, "%s\n", err.text);
	pin_job_made(j, &made);
	CHECK_EQ(pin_job_commit(j, "t", NULL), 0);
	pin_job_end(j);
	hex_encode(made.digest, sizeof(made.digest), hex);
	CHECK_STR(hex, want);
	CHECK_EQ(made.files, 3);
	CHECK_EQ(made.bytes, 9000000 + 131072);
	p = open_pin(pins, made.table, 0);
	if (!p)
		return;
	look(p);
	compare(js, pins, p);
	pin_unref(p);
	tamper(pins, made.table);
	made.table[0] ^= 1;
	open_pin(pins, made.table, -EBADMSG);
	give_up(js, pins);
	close(pins);
}

int main(void)
{
	static const char *const files[] = { "src/d/leaf", "src/big", "src/empty", "src/link",
					     "src/fifo" };

	CHECK_EQ(secret_setup(NULL), 0);
	CHECK(mkdtemp(dir) != NULL);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQ(mkdirat(dirfd, "src", 0755), 0);
	CHECK_EQ(mkdirat(dirfd, "src/d", 0755), 0);
	CHECK_EQ(fchmodat(dirfd, "src", 0755, 0), 0);
	CHECK_EQ(fchmodat(dirfd, "src/d", 0755, 0), 0);
	put("src/big", 9000000, 1);
	put("src/empty", 0, 0);
	put("src/d/leaf", 131072, 5);
	CHECK_EQ(symlinkat("d/leaf", dirfd, "src/link"), 0);
	CHECK_EQ(mkfifoat(dirfd, "src/fifo", 0600), 0);
	CHECK_EQ(fchmodat(dirfd, "src/fifo", 0600, 0), 0);
	all();
	for (size_t i = 0; i < 5; i++)
		CHECK_EQ(unlinkat(dirfd, files[i], 0), 0);
	CHECK_EQ(unlinkat(dirfd, "src/d", AT_REMOVEDIR), 0);
	CHECK_EQ(unlinkat(dirfd, "src", AT_REMOVEDIR), 0);
	close(dirfd);
	CHECK_EQ(rmdir(dir), 0);
	return check_report();
}
