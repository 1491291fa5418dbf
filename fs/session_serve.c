/* The workers of a session: who waits for the next request, for how long awake, and who serves it.
 *
 * One of them listens, the others wait for its place.  Short requests the listener serves itself
 * and listens on; before a longer one, or when more requests wait already, it gives the place away.
 * So a program that does one thing after the other meets one awake thread and no hand-over, and one
 * that does many things at once has all of them. */

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/session_int.h"
#include "fs/setid.h"
#include "fs/slow.h"
#include "keys/buffer.h"

/* How long the listener looks for the next request before it sleeps.  Longer than it takes to wake
 * a program on a CPU that was halted, which is 25 to 50 us in a virtual machine. */
#define SPIN_NS 100000u
/* Looking again never succeeds: 1; it is done while it does half the time. */
#define SPIN_WASTE_ONE 65536u
#define SPIN_WASTE_MAX (SPIN_WASTE_ONE / 2)
#define SPIN_RETRY     64u
/* Between two looks; now and then whoever shares our CPU gets his turn. */
#define SPIN_PAUSES 20
#define SPIN_YIELD  16u
/* Short requests that take longer than this on average meet a slow disk, and for so long we expect
 * more of it.  One that took long was interrupted, or had more to do: it counts as 'most'. */
#define SLOW_NS        300000u
#define SLOW_MOST_NS   2000000u
#define SLOW_MEMORY_NS 100000000u

/* A request that moves more bytes is a long one. */
#define LONG_BYTES 32768u

static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct worker {
	struct session *s;
	struct fuse_buf buf;
	bool listening;
};

static void place_take(struct worker *w)
{
	pthread_mutex_lock(&w->s->place);
	w->listening = true;
}

static void place_give(void *arg)
{
	struct worker *w = arg;

	if (w->listening) {
		w->listening = false;
		pthread_mutex_unlock(&w->s->place);
	}
}

/* Requests that move much data or wait for the disk. */
static bool is_long(const struct fuse_buf *buf, uint32_t opcode)
{
	struct wire_read_in in;

	if (opcode == WIRE_WRITE)
		return buf->size > LONG_BYTES;
	if (opcode == WIRE_READ && buf->size >= sizeof(in)) {
		memcpy(&in, buf->mem, sizeof(in));
		return in.size > LONG_BYTES;
	}
	return opcode == WIRE_FSYNC || opcode == WIRE_FSYNCDIR || opcode == WIRE_FALLOCATE ||
	       opcode == WIRE_LSEEK;
}

/* Requests whose sender does not wait: they are short, and nobody is kept waiting. */
static bool is_async(uint32_t opcode)
{
	return opcode == WIRE_FORGET || opcode == WIRE_BATCH_FORGET || opcode == WIRE_RELEASE ||
	       opcode == WIRE_RELEASEDIR;
}

/* A program that works on files sends its next request some microseconds after the last answer.
 * While that is so and a CPU is free, looking again for that long is cheaper for both sides than
 * going to sleep and being woken; when it mostly fails (the program thinks, or has no CPU of its
 * own because of us) it is a waste, and is only tried again now and then. */
static bool spin_pays(struct session *s)
{
	return s->spin_waste <= SPIN_WASTE_MAX || ++s->spin_skipped % SPIN_RETRY == 0;
}

/* Look again until a request comes or the time is over: -EAGAIN. */
static int receive_spinning(struct worker *w)
{
	struct session *s = w->s;
	uint64_t end = now_ns() + SPIN_NS;
	unsigned looks = 0;
	int r;

	do {
		for (int i = 0; i < SPIN_PAUSES; i++)
			cpu_pause();
		if (++looks % SPIN_YIELD == 0)
			sched_yield();
		r = fuse_session_receive_buf(s->se, &w->buf);
	} while (r == -EAGAIN && now_ns() < end);
	s->spin_waste += (r > 0 ? 0 : SPIN_WASTE_ONE) / 16 - s->spin_waste / 16;
	return r;
}

/* The listener's next request into w->buf; its length, 0 at the end, -EAGAIN or -EINTR. */
static int receive(struct worker *w)
{
	struct session *s = w->s;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int r = fuse_session_receive_buf(s->se, &w->buf);

	s->backlog = r > 0;
	if (r == -EAGAIN && spin_pays(s))
		r = receive_spinning(w);
	if (r != -EAGAIN)
		return r;
	if (poll(&p, 1, -1) < 0)
		return -EINTR;
	return fuse_session_receive_buf(s->se, &w->buf);
}

/* One request at a time may be here already when we look for it: its sender was faster than our way
 * back.  Two are from two senders. */
static bool more_waiting(const struct session *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}

/* The store's disk is slow just now: work side by side for a while. */
static void note_time(struct session *s, uint64_t begin, uint64_t end)
{
	s->serve_ns += MIN(end - begin, (uint64_t)SLOW_MOST_NS) / 8 - s->serve_ns / 8;
	if (s->serve_ns > SLOW_NS) {
		s->serve_ns = 0;
		s->slow_until = end + SLOW_MEMORY_NS;
	}
}

/* Serve a request as listener, or give the place away first. */
static void serve_one(struct worker *w)
{
	struct session *s = w->s;
	struct wire_in_header h = { 0 };
	uint64_t begin;

	memcpy(&h, w->buf.mem, MIN(sizeof(h), w->buf.size));
	setid_look(w->buf.mem, w->buf.size);
	atomic_fetch_add_explicit(&s->counts[MIN(h.opcode, SESSION_OPCODES - 1)], 1,
				  memory_order_relaxed);
	begin = now_ns();
	if (is_long(&w->buf, h.opcode) || begin < s->slow_until ||
	    (s->backlog && !is_async(h.opcode) && more_waiting(s)))
		place_give(w);
	fuse_session_process_buf(s->se, &w->buf);
	if (w->listening)
		note_time(s, begin, now_ns());
}

void *session_worker(void *arg)
{
	struct session *s = arg;
	struct worker w = { .s = s };
	bool locked = false;

	slow_hook = place_give;
	slow_hook_arg = &w;
	for (;;) {
		int r;

		if (!w.listening)
			place_take(&w);
		if (atomic_load(&s->stop) || fuse_session_exited(s->se))
			break;
		r = receive(&w);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r <= 0) { /* unmounted or aborted: so it is for the others */
			fuse_session_exit(s->se);
			break;
		}
		if (!locked) /* libfuse's own, which serves for every request */
			buffer_lock(w.buf.mem, WRITE_MAX);
		locked = true;
		serve_one(&w);
	}
	place_give(&w);
	free(w.buf.mem);
	if (atomic_fetch_sub(&s->running, 1) == 1) {
		uint64_t one = 1;
		ssize_t n = write(s->ended, &one, sizeof(one));

		(void)n; /* cannot fail: the counter is far from full */
	}
	return NULL;
}
