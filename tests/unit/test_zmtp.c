/* The ZeroMQ wire: frames by the byte, hostile sizes, and what we send is what we read. */
#include "shell/zmtp.h"

#include <errno.h>

#include "tests/check.h"

struct seen {
	unsigned n;
	uint8_t flags[8];
	uint64_t full[8];
	size_t len[8];
	char text[8][64];
};

static void on_frame(void *self, const struct zmtp_frame *f)
{
	struct seen *s = self;

	if (s->n >= 8)
		return;
	s->flags[s->n] = f->flags;
	s->full[s->n] = f->full;
	s->len[s->n] = f->len;
	memcpy(s->text[s->n++], f->body, f->len < 63 ? f->len : 63);
}

static void put_all(struct zmtp_out *o)
{
	char big[300];

	memset(big, 'b', sizeof(big));
	zmtp_put_greeting(o);
	zmtp_put_ready(o, "ROUTER");
	zmtp_put_frame(o, ZMTP_MORE, "one", 3);
	zmtp_put_frame(o, ZMTP_MORE, "", 0);
	zmtp_put_frame(o, 0, big, sizeof(big));
}

static void check_all(const struct seen *s, size_t max)
{
	CHECK_EQ(s->n, 4);
	CHECK_EQ(s->flags[0], ZMTP_COMMAND);
	CHECK_MEM(s->text[0], "\5READY\13Socket-Type\0\0\0\6ROUTER", 28);
	CHECK_EQ(s->flags[1], ZMTP_MORE);
	CHECK_STR(s->text[1], "one");
	CHECK_EQ(s->full[2], 0);
	CHECK_EQ(s->flags[3], ZMTP_LONG);
	CHECK_EQ(s->full[3], 300);
	CHECK_EQ(s->len[3], max < 300 ? max : 300);
}

/* In pieces of every size: the same frames. */
static void test_pieces(size_t max)
{
	struct zmtp_out o = { 0 };

	put_all(&o);
	for (size_t piece = 1; piece <= o.len; piece++) {
		struct seen s = { 0 };
		struct zmtp z;

		zmtp_init(&z, max, on_frame, &s);
		for (size_t at = 0; at < o.len; at += piece)
			CHECK_EQ(zmtp_feed(&z, o.p + at, o.len - at < piece ? o.len - at : piece),
				 0);
		CHECK(z.greeted);
		check_all(&s, max);
		zmtp_free(&z);
	}
	zmtp_out_free(&o);
}

static int feed(const void *p, size_t n, struct seen *s)
{
	struct zmtp z;
	int r;

	zmtp_init(&z, 64, on_frame, s);
	r = zmtp_feed(&z, p, n);
	CHECK_EQ(zmtp_feed(&z, (const uint8_t *)"\0\0", 2), r < 0 ? -EPROTO : 0);
	zmtp_free(&z);
	return r;
}

static void test_refused(void)
{
	struct zmtp_out o = { 0 };
	struct seen s = { 0 };
	uint8_t g[80] = { 0 };

	zmtp_put_greeting(&o);
	memcpy(g, o.p, 64);
	CHECK_EQ(feed(g, 64, &s), 0);
	memcpy(g + 12, "CURVE", 5);
	CHECK_EQ(feed(g, 64, &s), -EPROTO);
	memcpy(g, o.p, 64);
	g[10] = 2;
	CHECK_EQ(feed(g, 64, &s), -EPROTO);
	CHECK_EQ(feed("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: "
		      "close\r\n\r\n",
		      66, &s),
		 -EPROTO);
	/* An unknown flag; a command that has more; a frame of 2^63 bytes. */
	memcpy(g, o.p, 64);
	g[64] = 8;
	CHECK_EQ(feed(g, 66, &s), -EPROTO);
	g[64] = ZMTP_COMMAND | ZMTP_MORE;
	CHECK_EQ(feed(g, 66, &s), -EPROTO);
	g[64] = ZMTP_LONG;
	g[65] = 0x80;
	CHECK_EQ(feed(g, 73, &s), -EPROTO);
	CHECK_EQ(s.n, 1); /* of the good greeting: "\0\0" is an empty frame */
	zmtp_out_free(&o);
}

int main(void)
{
	test_pieces(1000);
	test_pieces(40);
	test_refused();
	return check_report();
}
