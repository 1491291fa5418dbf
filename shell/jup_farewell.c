#include "shell/jup_farewell.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "shell/jup_listen.h"
#include "shell/zmtp.h"

#define PEERS_MAX 64
#define TELL_MS   1000
#define LINGER_MS 300

/* A client that came back. */
struct peer {
	int fd;
	enum jup_channel channel;
	struct zmtp in;
	bool ready; /* its READY has come */
	bool told;
	struct zmtp_out out;
	size_t sent;
};

struct farewell {
	const struct jup_farewell *f;
	struct peer peers[PEERS_MAX];
	size_t n;
	size_t told[JUP_CHANNELS];
	char session[33];
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- what is said ------------------------------------------------------------------------------ */

static json_t *error_content(const struct jup_farewell *f, bool reply)
{
	autofree char *line = str_printf("\x1b[0;31m%s\x1b[0m: %s", f->name, f->text);
	json_t *j = line ? json_pack("{s:s, s:s, s:[s]}", "ename", f->name, "evalue", f->text,
				     "traceback", line)
			 : NULL;

	if (j && reply) {
		json_object_set_new(j, "status", json_string("error"));
		json_object_set_new(j, "user_expressions", json_object());
		json_object_set_new(j, "payload", json_array());
	}
	return j;
}

static void say(const struct farewell *w, struct zmtp_out *o, const char *topic, const char *type,
		const char *parent, json_t *content)
{
	jup_msg_put(o, w->f->conn->key, topic, type, w->session, parent, content);
}

/* The first request is the one that ran; those behind it will not. */
static void say_iopub(const struct farewell *w, struct zmtp_out *o)
{
	const struct jup_requests *q = w->f->requests;
	autofree char *line = str_printf("%s: %s\n", w->f->name, w->f->text);

	if (q->n == 0 && q->last_header && line)
		say(w, o, "stream", "stream", q->last_header,
		    json_pack("{s:s, s:s}", "name", "stderr", "text", line));
	for (size_t i = 0; i < q->n; i++) {
		const char *parent = q->open[i].header;

		if (i == 0)
			say(w, o, "error", "error", parent, error_content(w->f, false));
		say(w, o, "status", "status", parent,
		    json_pack("{s:s}", "execution_state", "idle"));
	}
}

static void say_shell(const struct farewell *w, struct zmtp_out *o)
{
	const struct jup_requests *q = w->f->requests;

	for (size_t i = 0; i < q->n; i++)
		say(w, o, NULL, "execute_reply", q->open[i].header,
		    i == 0 ? error_content(w->f, true) : json_pack("{s:s}", "status", "aborted"));
}

/* -- to whom ----------------------------------------------------------------------------------- */

static void on_frame(void *self, const struct zmtp_frame *f)
{
	struct peer *p = self;

	if ((f->flags & ZMTP_COMMAND) && f->len >= 6 && !memcmp(f->body, "\5READY", 6))
		p->ready = true;
}

static void accept_peer(struct farewell *w, enum jup_channel channel)
{
	autoclose int fd = accept4(w->f->listen[channel], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *p = &w->peers[w->n];

	if (fd < 0 || w->n == PEERS_MAX || !jup_peer_is_ours(fd))
		return;
	*p = (struct peer){ .fd = take_fd(&fd), .channel = channel };
	zmtp_init(&p->in, 256, on_frame, p);
	zmtp_put_greeting(&p->out);
	zmtp_put_ready(&p->out, channel == JUP_IOPUB ? "PUB" : "ROUTER");
	w->n++;
}

static void drop(struct peer *p)
{
	cleanup_close(&p->fd);
	p->fd = -1;
}

static void hear(struct peer *p)
{
	uint8_t buf[4096];
	ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
	    (n > 0 && !p->told && zmtp_feed(&p->in, buf, (size_t)n) < 0))
		drop(p);
}

static void send_rest(struct peer *p)
{
	ssize_t n = 0;

	while (p->fd >= 0 && p->sent < p->out.len && n >= 0) {
		n = send(p->fd, p->out.p + p->sent, p->out.len - p->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			p->sent += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			drop(p);
	}
}

static void serve(struct farewell *w, struct peer *p)
{
	hear(p);
	if (p->fd >= 0 && p->ready && !p->told) {
		if (p->channel == JUP_IOPUB)
			say_iopub(w, &p->out);
		else
			say_shell(w, &p->out);
		p->told = true;
		if (!p->out.failed)
			w->told[p->channel]++;
	}
	send_rest(p);
}

static void wait_turn(struct farewell *w, bool open, int ms)
{
	static const enum jup_channel spoken[] = { JUP_IOPUB, JUP_SHELL };
	struct pollfd set[2 + PEERS_MAX];
	size_t n = w->n;

	for (size_t i = 0; i < 2; i++)
		set[i] = (struct pollfd){ .fd = open ? w->f->listen[spoken[i]] : -1,
					  .events = POLLIN };
	for (size_t i = 0; i < n; i++) {
		const struct peer *p = &w->peers[i];

		set[2 + i] = (struct pollfd){
			.fd = p->fd,
			.events = (short)(POLLIN | (p->sent < p->out.len ? POLLOUT : 0)),
		};
	}
	if (poll(set, 2 + n, ms) <= 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (set[2 + i].revents)
			serve(w, &w->peers[i]);
	for (size_t i = 0; i < 2; i++)
		if (set[i].revents)
			accept_peer(w, spoken[i]);
}

static bool all_told(const struct farewell *w)
{
	return w->told[JUP_IOPUB] >= w->f->expected[JUP_IOPUB] &&
	       w->told[JUP_SHELL] >= w->f->expected[JUP_SHELL];
}

/* Closing with bytes unread would be a reset, and the client might lose what we said. */
static void linger(struct farewell *w)
{
	uint64_t end = now_ms() + LINGER_MS;
	bool left = true;

	for (size_t i = 0; i < w->n; i++)
		if (w->peers[i].fd >= 0 && w->peers[i].sent == w->peers[i].out.len)
			shutdown(w->peers[i].fd, SHUT_WR);
	while (left && now_ms() < end) {
		wait_turn(w, false, (int)(end - now_ms()));
		left = false;
		for (size_t i = 0; i < w->n; i++)
			left |= w->peers[i].fd >= 0;
	}
}

void jup_farewell(const struct jup_farewell *f)
{
	struct farewell w = { .f = f, .session = "sbx" };
	uint64_t end = now_ms() + TELL_MS, now;

	if (!f->conn->can_speak || (f->requests->n == 0 && !f->requests->last_header))
		return;
	while (!all_told(&w) && (now = now_ms()) < end)
		wait_turn(&w, true, (int)(end - now));
	linger(&w);
	for (size_t i = 0; i < w.n; i++) {
		drop(&w.peers[i]);
		zmtp_free(&w.peers[i].in);
		zmtp_out_free(&w.peers[i].out);
	}
}
