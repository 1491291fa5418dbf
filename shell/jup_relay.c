#include "shell/jup_relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "sandbox/launch.h"

#define PAIRS_MAX 256
#define KNOCK_MS  10
#define ROUNDS    16 /* events of one turn: the supervisor has limits to keep */

/* One direction. */
struct flow {
	uint8_t *buf; /* owned; made when there is something to keep */
	size_t start, len;
	bool eof;  /* nothing more comes */
	bool shut; /* and the other side was told */
};

struct pair;

/* What an event of the set means. */
struct end {
	enum { END_LISTEN, END_LINK, END_CLIENT, END_KERNEL } kind;
	int fd;
	uint32_t events; /* asked for; 0 = not in the set */
	int channel;
	struct pair *pair;
};

struct pair {
	struct end client, kernel; /* kernel.fd: -1 until pid 1 has connected */
	struct flow up, down;      /* to the kernel, to the client */
	struct jup_tap tap;        /* of the shell channel */
	bool asked;                /* pid 1 was, and has not answered */
	bool dead;                 /* freed at the end of the turn */
	uint64_t knock_at;
	struct pair *next;
};

struct jup_relay {
	int epoll;
	struct end listen[JUP_CHANNELS], link;
	struct sandbox *sb; /* NULL before the start */
	struct jup_requests *requests;
	struct pair *pairs;
	size_t npairs;
	struct pair *asked[PAIRS_MAX]; /* in the order of asking; NULL = it died meanwhile */
	size_t nasked;
	uint64_t last_use;
	bool refused; /* said once */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void watch(struct jup_relay *r, struct end *e, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = e };

	if (e->fd < 0 || e->events == events)
		return;
	/* Not in the set while nothing is asked for: a hang-up is always told, and would be told
	 * again and again. */
	epoll_ctl(r->epoll,
		  !e->events ? EPOLL_CTL_ADD
		  : events   ? EPOLL_CTL_MOD
			     : EPOLL_CTL_DEL,
		  e->fd, &ev);
	e->events = events;
}

/* -- one connection --------------------------------------------------------------------------- */

static bool has_room(const struct flow *f)
{
	return !f->eof && f->len < JUP_BUFFER;
}

static void watch_pair(struct jup_relay *r, struct pair *p)
{
	watch(r, &p->client, (has_room(&p->up) ? EPOLLIN : 0u) | (p->down.len ? EPOLLOUT : 0u));
	watch(r, &p->kernel, (has_room(&p->down) ? EPOLLIN : 0u) | (p->up.len ? EPOLLOUT : 0u));
}

static int take(struct flow *f, int fd, const uint8_t **ret_new, size_t *ret_n)
{
	ssize_t n;

	if (!f->buf)
		f->buf = malloc(JUP_BUFFER);
	if (!f->buf)
		return -ENOMEM;
	if (f->start && f->start + f->len == JUP_BUFFER) {
		memmove(f->buf, f->buf + f->start, f->len);
		f->start = 0;
	}
	n = recv(fd, f->buf + f->start + f->len, JUP_BUFFER - f->start - f->len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->eof = n == 0;
	*ret_new = f->buf + f->start + f->len;
	*ret_n = (size_t)n;
	f->len += (size_t)n;
	return 0;
}

static int give(struct flow *f, int fd)
{
	while (f->len > 0) {
		ssize_t n = send(fd, f->buf + f->start, f->len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		f->start += (size_t)n;
		f->len -= (size_t)n;
	}
	f->start = 0;
	if (f->eof && !f->shut) {
		f->shut = true;
		shutdown(fd, SHUT_WR);
	}
	return 0;
}

static void used(struct jup_relay *r, const struct pair *p)
{
	if (p->client.channel != JUP_HB)
		r->last_use = now_ms();
}

/* The client's bytes to the kernel. */
static int pump_up(struct jup_relay *r, struct pair *p, bool readable)
{
	const uint8_t *fresh = NULL;
	size_t n = 0;
	int e = readable && has_room(&p->up) ? take(&p->up, p->client.fd, &fresh, &n) : 0;

	if (n > 0) {
		used(r, p);
		if (p->client.channel == JUP_SHELL)
			jup_tap_client(&p->tap, fresh, n);
	}
	return e == 0 && p->kernel.fd >= 0 ? give(&p->up, p->kernel.fd) : e;
}

static int pump_down(struct jup_relay *r, struct pair *p, bool readable)
{
	const uint8_t *fresh = NULL;
	size_t n = 0;
	int e = readable && has_room(&p->down) ? take(&p->down, p->kernel.fd, &fresh, &n) : 0;

	if (n > 0) {
		used(r, p);
		if (p->client.channel == JUP_SHELL)
			jup_tap_kernel(&p->tap, fresh, n);
	}
	return e == 0 ? give(&p->down, p->client.fd) : e;
}

/* Nobody listened after all: a connection that does not wait says so when it is used.  Nothing has
 * passed through it; knock again. */
static int not_yet(struct pair *p, int bad)
{
	if (bad != -ECONNREFUSED || p->kernel.fd < 0)
		return bad;
	close(p->kernel.fd);
	p->kernel.fd = -1;
	p->kernel.events = 0;
	p->knock_at = now_ms() + KNOCK_MS;
	return 0;
}

static void on_pair(struct jup_relay *r, const struct end *e, uint32_t events)
{
	struct pair *p = e->pair;
	bool readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR);
	int bad;

	if (p->dead)
		return;
	bad = pump_up(r, p, e->kind == END_CLIENT && readable);
	if (bad == 0 && p->kernel.fd >= 0)
		bad = pump_down(r, p, e->kind == END_KERNEL && readable);
	bad = not_yet(p, bad);
	/* A client that only looked whether somebody listens. */
	if (p->kernel.fd < 0 && p->up.eof && p->up.len == 0)
		bad = -ECONNRESET;
	p->dead = bad < 0 || (p->up.shut && p->down.shut);
	if (!p->dead)
		watch_pair(r, p);
}

static void free_pair(struct jup_relay *r, struct pair *p)
{
	for (size_t i = 0; i < r->nasked; i++)
		if (r->asked[i] == p)
			r->asked[i] = NULL;
	if (p->client.channel == JUP_SHELL)
		jup_tap_free(&p->tap);
	cleanup_close(&p->client.fd);
	cleanup_close(&p->kernel.fd);
	free(p->up.buf);
	free(p->down.buf);
	free(p);
	r->npairs--;
}

static void bury(struct jup_relay *r)
{
	for (struct pair **at = &r->pairs; *at;) {
		struct pair *p = *at;

		if (p->dead) {
			*at = p->next;
			free_pair(r, p);
		} else {
			at = &p->next;
		}
	}
}

/* -- making connections ------------------------------------------------------------------------ */

static void set_nodelay(int fd)
{
	const int one = 1;

	/* Small messages go both ways, and each waits for the other; fails on socket files. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void ask(struct jup_relay *r, struct pair *p)
{
	if (!r->sb || p->asked || r->nasked == PAIRS_MAX)
		return;
	if (sandbox_connect(r->sb, (unsigned)p->client.channel) < 0) {
		p->dead = true;
		return;
	}
	p->asked = true;
	r->asked[r->nasked++] = p;
}

static void refuse(struct jup_relay *r)
{
	if (!r->refused)
		log_print(LOG_WARN, "a connection to the kernel by another user was refused");
	r->refused = true;
}

static void on_listen(struct jup_relay *r, const struct end *e)
{
	autoclose int fd = accept4(e->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct pair *p;

	if (fd < 0 || r->npairs == PAIRS_MAX)
		return;
	if (!jup_peer_is_ours(fd)) {
		refuse(r);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	set_nodelay(fd);
	p->client = (struct end){ END_CLIENT, take_fd(&fd), 0, e->channel, p };
	p->kernel = (struct end){ END_KERNEL, -1, 0, e->channel, p };
	if (e->channel == JUP_SHELL)
		jup_tap_init(&p->tap, r->requests);
	p->next = r->pairs;
	r->pairs = p;
	r->npairs++;
	watch_pair(r, p);
	ask(r, p);
}

/* The oldest question was answered. */
static void on_answer(struct jup_relay *r, int result, int fd)
{
	struct pair *p = r->nasked ? r->asked[0] : NULL;

	if (r->nasked)
		memmove(&r->asked[0], &r->asked[1], --r->nasked * sizeof(r->asked[0]));
	if (!p) {
		cleanup_close(&fd);
		return;
	}
	p->asked = false;
	p->knock_at = now_ms() + KNOCK_MS;
	if (result < 0)
		return;
	set_nodelay(fd);
	p->kernel.fd = fd;
	p->dead = not_yet(p, give(&p->up, fd)) < 0;
	if (!p->dead)
		watch_pair(r, p);
}

static void on_link(struct jup_relay *r)
{
	int fd = -1, result = sandbox_connected(r->sb, &fd);

	if (result == -ENOTCONN)
		watch(r, &r->link, 0); /* pid 1 has ended: the supervisor knows by its pidfd */
	else if (result != -EAGAIN)
		on_answer(r, result, fd);
}

/* -- the outside ------------------------------------------------------------------------------- */

int jup_relay_new(const int listen[JUP_CHANNELS], struct jup_requests *requests,
		  struct jup_relay **ret, struct err *err)
{
	struct jup_relay *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(err, -ENOMEM, "relay to the kernel");
	r->requests = requests;
	r->last_use = now_ms();
	r->link.fd = -1;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0) {
		int e = -errno;

		free(r);
		return err_set(err, e, "relay to the kernel");
	}
	for (int i = 0; i < JUP_CHANNELS; i++) {
		r->listen[i] = (struct end){ END_LISTEN, listen[i], 0, i, NULL };
		watch(r, &r->listen[i], EPOLLIN);
	}
	*ret = r;
	return 0;
}

int jup_relay_start(struct jup_relay *r, struct sandbox *sb, struct err *err)
{
	r->sb = sb;
	r->link = (struct end){ END_LINK, sandbox_link(sb), 0, 0, NULL };
	watch(r, &r->link, EPOLLIN);
	return 0;
}

int jup_relay_fd(const struct jup_relay *r)
{
	return r->epoll;
}

void jup_relay_turn(struct jup_relay *r)
{
	struct epoll_event evs[ROUNDS];
	int n = epoll_wait(r->epoll, evs, ROUNDS, 0);

	for (int i = 0; i < n; i++) {
		const struct end *e = evs[i].data.ptr;

		if (e->kind == END_LISTEN)
			on_listen(r, e);
		else if (e->kind == END_LINK)
			on_link(r);
		else
			on_pair(r, e, evs[i].events);
	}
	bury(r);
}

uint64_t jup_relay_tick(struct jup_relay *r, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (struct pair *p = r->pairs; p; p = p->next) {
		if (p->kernel.fd >= 0 || p->asked || p->dead)
			continue;
		if (now >= p->knock_at)
			ask(r, p);
		else
			next = MIN(next, p->knock_at);
	}
	bury(r);
	return next;
}

size_t jup_relay_count(const struct jup_relay *r, int channel)
{
	size_t n = 0;

	for (const struct pair *p = r->pairs; p; p = p->next)
		n += p->client.channel == channel;
	return n;
}

uint64_t jup_relay_last_use(const struct jup_relay *r)
{
	return r->last_use;
}

void jup_relay_free(struct jup_relay *r)
{
	if (!r)
		return;
	for (struct pair *p = r->pairs; p; p = p->next)
		p->dead = true;
	bury(r);
	close(r->epoll);
	free(r);
}
