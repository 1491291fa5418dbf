#include "shell/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "shell/termfilter.h"
#include "tests/check.h"

static struct err e;
static struct stream s;
static int in[2], out[2];

/* A stream from in[1] to out[0]; the reading side of the stream is not blocking. */
static void setup(void)
{
	CHECK_EQ(pipe2(in, O_CLOEXEC), 0);
	CHECK_EQ(pipe2(out, O_CLOEXEC), 0);
	CHECK_EQ(stream_init(&s, &e), 0);
	CHECK_EQ(stream_adopt_src(&s, in[0], &e), 0);
	CHECK_EQ(stream_adopt_dst(&s, out[1], &e), 0);
	close(in[0]);
	close(out[1]);
}

static void teardown(void)
{
	stream_free(&s);
	cleanup_close(&in[1]);
	cleanup_close(&out[0]);
}

static int turn(int timeout)
{
	struct pollfd set[4];
	size_t n = 0;
	int r;

	stream_poll(&s, set, &n);
	r = poll(set, n, timeout);
	stream_move(&s, set, NULL);
	return r;
}

static void test_passes_and_ends(void)
{
	char buf[16] = "";

	setup();
	CHECK_EQ(write(in[1], "hello", 5), 5);
	turn(1000);
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 5);
	CHECK_MEM(buf, "hello", 5);
	CHECK_EQ(s.total, 5);
	cleanup_close(&in[1]);
	in[1] = -1;
	turn(1000);
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 0);
	CHECK(stream_done(&s));
	teardown();
}

static void test_does_not_block_the_callers_descriptor(void)
{
	setup();
	CHECK(!(fcntl(in[1], F_GETFL) & O_NONBLOCK));
	CHECK(fcntl(s.src, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(s.dst, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(s.src, F_GETFD) & FD_CLOEXEC);
	teardown();
}

/* Nobody reads: the stream keeps a buffer full and waits, and loses nothing; spliced, it keeps
 * nothing at all. */
static void slow_reader(bool splices, size_t least, size_t most)
{
	static uint8_t block[65536], got[65536];
	size_t sent = 0, received = 0;

	setup();
	if (!splices)
		s.src_pipe = false;
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 60; i++) {
		ssize_t n;

		for (size_t k = 0; k < sizeof(block); k++)
			block[k] = (uint8_t)((sent + k) % 251);
		n = write(in[1], block, sizeof(block));
		sent += n > 0 ? (size_t)n : 0;
		turn(0);
	}
	CHECK(sent >= least && sent <= most);
	CHECK_EQ(s.len > 0, !splices);
	/* It waits for room, and does not turn round and round meanwhile. */
	CHECK_EQ(turn(0), 0);
	cleanup_close(&in[1]);
	in[1] = -1;
	for (;;) {
		ssize_t n;
		size_t wrong = 0;

		turn(0);
		n = read(out[0], got, sizeof(got));
		if (n <= 0)
			break;
		for (ssize_t k = 0; k < n; k++)
			wrong += got[k] != (received + (size_t)k) % 251;
		CHECK_EQ(wrong, 0);
		received += (size_t)n;
	}
	CHECK_EQ(received, sent);
	CHECK_EQ(s.total, sent);
	CHECK(stream_done(&s));
	teardown();
}

static void test_slow_reader(void)
{
	slow_reader(false, 5 * 65536, 40 * 65536);
	slow_reader(true, 2 * 65536, 33 * 65536);
}

/* The cap is exact to the byte also when pages are moved. */
static void test_budget_of_splices(void)
{
	uint64_t budget = 100000;
	static uint8_t block[60000], got[65536];
	size_t received = 0;
	ssize_t n;

	setup();
	s.budget = &budget;
	for (int i = 0; i < 3 && !s.over; i++) {
		CHECK_EQ(write(in[1], block, sizeof(block)), (ssize_t)sizeof(block));
		for (int k = 0; k < 4; k++) {
			turn(0);
			fcntl(out[0], F_SETFL, O_NONBLOCK);
			n = read(out[0], got, sizeof(got));
			received += n > 0 ? (size_t)n : 0;
		}
	}
	CHECK(s.over);
	CHECK_EQ(s.total, 100000);
	CHECK_EQ(received, 100000);
	teardown();
}

/* To a terminal: filtered, and counted as it was written. */
static void test_filter(void)
{
	struct termfilter filter;
	char buf[64] = "";

	setup();
	termfilter_init(&filter, true, NULL);
	CHECK_EQ(stream_set_edit(&s, termfilter_edit, &filter, &e), 0);
	CHECK_EQ(write(in[1], "a\033]0;t\007b\033[3", 11), 11);
	turn(1000);
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 2);
	CHECK_MEM(buf, "ab", 2);
	CHECK_EQ(s.total, 11);
	CHECK_EQ(write(in[1], "1mc", 3), 3);
	turn(1000);
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "\033[31mc", 6);
	teardown();
}

/* Two streams to one terminal: none writes into what the other has begun. */
static void test_beside(void)
{
	struct stream other = { .cut = true, .dst = 1 };
	char buf[8];

	setup();
	s.src_pipe = false;
	s.beside = &other;
	CHECK_EQ(write(in[1], "x", 1), 1);
	turn(1000);
	CHECK_EQ(s.len, 1);
	CHECK_EQ(turn(0), 0);
	other.cut = false;
	turn(1000);
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 1);
	teardown();
}

static void test_budget(void)
{
	uint64_t budget = 10;
	char buf[32];

	setup();
	s.budget = &budget;
	CHECK_EQ(write(in[1], "0123456789", 10), 10);
	turn(1000);
	CHECK(!s.over);
	CHECK_EQ(budget, 0);
	CHECK_EQ(write(in[1], "x", 1), 1);
	turn(1000);
	CHECK(s.over);
	CHECK_EQ(s.total, 10);
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 10);
	teardown();
}

static void test_reader_is_gone(void)
{
	signal(SIGPIPE, SIG_IGN);
	setup();
	cleanup_close(&out[0]);
	out[0] = -1;
	/* Known although nothing was written. */
	CHECK_EQ(turn(1000), 1);
	CHECK_EQ(s.error, -EPIPE);
	CHECK(stream_done(&s));
	CHECK_EQ(write(in[1], "x", 1), -1);
	teardown();
}

static void test_drain_does_not_wait(void)
{
	char buf[16];

	setup();
	CHECK_EQ(write(in[1], "last", 4), 4);
	stream_drain(&s); /* in[1] is still open: an orphan holds it */
	CHECK(!stream_pending(&s));
	CHECK_EQ(read(out[0], buf, sizeof(buf)), 4);
	teardown();
}

static void test_sockets(void)
{
	int pair[2];
	char buf[16];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setup();
	cleanup_close(&s.dst);
	CHECK_EQ(stream_adopt_dst(&s, pair[0], &e), 0);
	CHECK(s.dst_sock);
	CHECK_EQ(write(in[1], "abc", 3), 3);
	turn(1000);
	CHECK_EQ(read(pair[1], buf, sizeof(buf)), 3);
	close(pair[0]);
	close(pair[1]);
	teardown();
}

static void test_full_disk(void)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	setup();
	cleanup_close(&s.dst);
	CHECK_EQ(stream_adopt_dst(&s, full, &e), 0);
	CHECK_EQ(write(in[1], "abc", 3), 3);
	turn(1000);
	CHECK_EQ(s.error, -ENOSPC);
	close(full);
	teardown();
}

int main(void)
{
	test_passes_and_ends();
	test_does_not_block_the_callers_descriptor();
	test_slow_reader();
	test_budget();
	test_budget_of_splices();
	test_filter();
	test_beside();
	test_reader_is_gone();
	test_drain_does_not_wait();
	test_sockets();
	test_full_disk();
	return check_report();
}
