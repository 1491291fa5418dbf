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

/* Nobody reads: the stream keeps a buffer full and waits, and loses nothing. */
static void test_slow_reader(void)
{
	static char block[65536], got[65536];
	size_t sent = 0, received = 0;

	setup();
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 20; i++) {
		ssize_t n = write(in[1], block, sizeof(block));

		sent += n > 0 ? (size_t)n : 0;
		turn(0);
	}
	CHECK(sent >= 3 * 65536 && sent <= 5 * 65536);
	CHECK_EQ(s.len, 65536);
	cleanup_close(&in[1]);
	in[1] = -1;
	for (;;) {
		ssize_t n;

		turn(0);
		n = read(out[0], got, sizeof(got));
		if (n <= 0)
			break;
		received += (size_t)n;
	}
	CHECK_EQ(received, sent);
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
	test_reader_is_gone();
	test_drain_does_not_wait();
	test_sockets();
	test_full_disk();
	return check_report();
}
