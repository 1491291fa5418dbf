#include "shell/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "shell/pty.h"

#define BUFFER 65536

/* Our own description of a pipe or terminal, so that O_NONBLOCK is ours alone; -1 if refused. */
static int open_anew(int fd, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int duplicate(int fd, struct err *err)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return r < 0 ? err_set(err, -errno, "duplicate descriptor %d", fd) : r;
}

int stream_adopt_src(struct stream *s, int fd, struct err *err)
{
	struct stat st;
	int own = -1;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "look at standard input");
	s->src_tty = isatty(fd);
	s->src_sock = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || s->src_tty)
		own = open_anew(fd, O_RDONLY);
	s->src = own >= 0 ? own : duplicate(fd, err);
	return s->src < 0 ? s->src : 0;
}

int stream_adopt_dst(struct stream *s, int fd, struct err *err)
{
	struct stat st;
	bool waits;
	int own = -1;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "look at standard output");
	waits = S_ISFIFO(st.st_mode) || isatty(fd);
	s->dst_sock = S_ISSOCK(st.st_mode);
	if (waits)
		own = open_anew(fd, O_WRONLY);
	s->dst_careful = waits && own < 0;
	s->dst = own >= 0 ? own : duplicate(fd, err);
	return s->dst < 0 ? s->dst : 0;
}

int stream_init(struct stream *s, struct err *err)
{
	*s = (struct stream){ .src = -1, .dst = -1, .src_slot = -1, .dst_slot = -1 };
	s->buf = malloc(BUFFER);
	return s->buf ? 0 : err_set(err, -ENOMEM, "make a buffer");
}

static void close_src(struct stream *s)
{
	cleanup_close(&s->src);
	s->src = -1;
	s->eof = true;
}

static void close_dst(struct stream *s)
{
	cleanup_close(&s->dst);
	s->dst = -1;
	s->len = 0;
}

void stream_close(struct stream *s)
{
	close_src(s);
	close_dst(s);
}

void stream_free(struct stream *s)
{
	stream_close(s);
	free(s->buf);
	s->buf = NULL;
}

bool stream_pending(const struct stream *s)
{
	return s->len > 0 && s->dst >= 0;
}

bool stream_done(const struct stream *s)
{
	return s->src < 0 && s->dst < 0;
}

static int add(struct pollfd *set, size_t *n, int fd, short events)
{
	set[*n] = (struct pollfd){ .fd = fd, .events = events };
	return (int)(*n)++;
}

void stream_poll(struct stream *s, struct pollfd *set, size_t *n)
{
	bool room = s->len < BUFFER, ours = !s->src_tty || pty_foreground(s->src);

	s->src_slot = s->dst_slot = -1;
	if (s->src >= 0 && room && ours)
		s->src_slot = add(set, n, s->src, POLLIN);
	/* Without POLLOUT too: that the reader is gone shall be known while nobody writes. */
	if (s->dst >= 0)
		s->dst_slot = add(set, n, s->dst, s->len ? POLLOUT : 0);
}

static ssize_t take(struct stream *s, uint8_t *at, size_t room)
{
	if (s->src_sock)
		return recv(s->src, at, room, MSG_DONTWAIT);
	return read(s->src, at, room);
}

/* One read, after poll() said that it will not wait. Returns the count kept. */
static size_t fill(struct stream *s, const uint8_t **ret_new)
{
	size_t room;
	ssize_t n;

	if (s->start) {
		memmove(s->buf, s->buf + s->start, s->len);
		s->start = 0;
	}
	room = BUFFER - s->len;
	if (room == 0)
		return 0;
	n = take(s, s->buf + s->len, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		/* EIO: nobody has the pty open (any more), or we read from the background. */
		if (n < 0 && errno == EIO && s->src_tty)
			return 0;
		close_src(s);
		return 0;
	}
	if (s->budget && (uint64_t)n > *s->budget) {
		n = (ssize_t)*s->budget;
		s->over = true;
	}
	if (s->budget)
		*s->budget -= (uint64_t)n;
	if (ret_new)
		*ret_new = s->buf + s->len;
	s->len += (size_t)n;
	s->total += (uint64_t)n;
	return (size_t)n;
}

static ssize_t put(struct stream *s)
{
	const uint8_t *at = s->buf + s->start;

	if (s->dst_sock)
		return send(s->dst, at, s->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(s->dst, at, s->dst_careful ? MIN(s->len, (size_t)PIPE_BUF) : s->len);
}

static bool writable(const struct stream *s)
{
	struct pollfd p = { .fd = s->dst, .events = POLLOUT };

	return !s->dst_careful || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT));
}

static void flush(struct stream *s)
{
	while (stream_pending(s) && writable(s)) {
		ssize_t n = put(s);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			/* EPIPE, or a full disk: those inside learn it as EPIPE. */
			s->error = -errno;
			stream_close(s);
			return;
		}
		s->start += (size_t)n;
		s->len -= (size_t)n;
	}
}

size_t stream_move(struct stream *s, const struct pollfd *set, const uint8_t **ret_new)
{
	size_t n = 0;

	if (s->dst_slot >= 0 && (set[s->dst_slot].revents & (POLLERR | POLLHUP | POLLNVAL)) &&
	    !(set[s->dst_slot].revents & POLLOUT && s->len)) {
		s->error = -EPIPE;
		stream_close(s);
		return 0;
	}
	if (s->src_slot >= 0 && s->src >= 0 && set[s->src_slot].revents)
		n = fill(s, ret_new);
	flush(s);
	if (s->eof && s->len == 0)
		close_dst(s);
	return n;
}

void stream_drain(struct stream *s)
{
	struct pollfd p = { .events = POLLIN };

	flush(s);
	while (s->src >= 0 && s->len < BUFFER) {
		p.fd = s->src;
		if (poll(&p, 1, 0) != 1 || (fill(s, NULL) == 0 && s->src >= 0))
			break;
		flush(s);
	}
}
