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

#define BUFFER (256 << 10) /* cat(1) and friends write 128 KiB at a time */
#define TURNS  16          /* of a splice, before limits and signals are looked at again */

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

/* Fewer turns for the same bytes: with the 64 KiB that a pipe begins with, everybody along a
 * pipeline waits for everybody (measured: 0.8 of a plain cat, and with this twice that). */
static void widen(int fd)
{
	if (fcntl(fd, F_GETPIPE_SZ) < STREAM_PIPE_BYTES)
		fcntl(fd, F_SETPIPE_SZ,
		      STREAM_PIPE_BYTES); /* a user with many pipes gets no more */
}

int stream_adopt_src(struct stream *s, int fd, struct err *err)
{
	struct stat st;
	int own = -1;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "look at standard input");
	s->src_tty = isatty(fd);
	s->src_sock = S_ISSOCK(st.st_mode);
	s->src_pipe = S_ISFIFO(st.st_mode);
	if (s->src_pipe)
		widen(fd);
	if (s->src_pipe || s->src_tty)
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
	s->dst_tty = isatty(fd);
	s->dst_pipe = S_ISFIFO(st.st_mode);
	waits = s->dst_pipe || s->dst_tty;
	if (s->dst_pipe)
		widen(fd);
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

int stream_set_edit(struct stream *s, stream_edit edit, void *arg, struct err *err)
{
	s->raw = malloc(BUFFER);
	if (!s->raw)
		return err_set(err, -ENOMEM, "make a buffer");
	s->edit = edit;
	s->edit_arg = arg;
	return 0;
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
	free(s->raw);
	s->buf = s->raw = NULL;
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

/* How much may be read now. */
static size_t room(const struct stream *s)
{
	size_t left = BUFFER - s->len, slack = STREAM_EDIT_ROOM((size_t)0);

	if (!s->edit)
		return left;
	return left > slack + 1 ? (left - slack) / 2 : 0;
}

/* The other one has written half of a sequence: ours between its halves would make another. */
static bool is_held_up(const struct stream *s)
{
	return s->beside && s->beside->cut && s->beside->dst >= 0;
}

/* The last byte of a budget, and whether there is one more, is for fill() to find. */
static bool spliced(const struct stream *s)
{
	return s->src_pipe && s->dst_pipe && !s->edit && !s->dst_careful && s->len == 0 &&
	       s->src >= 0 && s->dst >= 0 && !(s->budget && *s->budget == 0);
}

void stream_poll(struct stream *s, struct pollfd *set, size_t *n)
{
	bool ours = !s->src_tty || pty_foreground(s->src), full = s->dst_full && spliced(s);

	s->src_slot = s->dst_slot = -1;
	if (s->src >= 0 && room(s) && ours && !full)
		s->src_slot = add(set, n, s->src, POLLIN);
	/* Without POLLOUT too: that the reader is gone shall be known while nobody writes. */
	if (s->dst >= 0)
		s->dst_slot = add(set, n, s->dst, (s->len && !is_held_up(s)) || full ? POLLOUT : 0);
}

static ssize_t take(struct stream *s, uint8_t *at, size_t room)
{
	if (s->src_sock)
		return recv(s->src, at, room, MSG_DONTWAIT);
	return read(s->src, at, room);
}

/* 'n' bytes were read to where the next belong, or into 'raw'. */
static void keep(struct stream *s, size_t n)
{
	s->total += n;
	if (s->edit)
		n = s->edit(s->edit_arg, s->raw, n, s->buf + s->len);
	s->len += n;
}

/* One read, after poll() said that it will not wait. Returns the count kept. */
static size_t fill(struct stream *s, const uint8_t **ret_new)
{
	uint8_t *to;
	ssize_t n;

	if (s->start) {
		memmove(s->buf, s->buf + s->start, s->len);
		s->start = 0;
	}
	if (room(s) == 0)
		return 0;
	to = s->edit ? s->raw : s->buf + s->len;
	n = take(s, to, room(s));
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
		*ret_new = to;
	keep(s, (size_t)n);
	return (size_t)n;
}

/* Nothing is lost when it cannot be done: then the bytes are still in the pipe. */
static size_t move_pages(struct stream *s)
{
	size_t moved = 0;

	s->dst_full = false;
	for (int i = 0; i < TURNS && spliced(s); i++) {
		uint64_t most = s->budget ? MIN(*s->budget, (uint64_t)1 << 20) : 1 << 20;
		ssize_t n = splice(s->src, NULL, s->dst, NULL, (size_t)most,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		struct pollfd p = { .fd = s->dst, .events = POLLOUT };

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			s->dst_full = poll(&p, 1, 0) == 0;
			break;
		}
		if (n < 0 && errno == EPIPE) {
			s->error = -EPIPE;
			stream_close(s);
			break;
		}
		if (n < 0) {
			s->src_pipe = false; /* not here: copy */
			break;
		}
		if (n == 0) {
			close_src(s);
			break;
		}
		if (s->budget)
			*s->budget -= (uint64_t)n;
		s->total += (uint64_t)n;
		moved += (size_t)n;
	}
	return moved;
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
	while (stream_pending(s) && !is_held_up(s) && writable(s)) {
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
		if (n > 0)
			s->mid_line = s->buf[s->start + (size_t)n - 1] != '\n';
		s->start += (size_t)n;
		s->len -= (size_t)n;
		s->cut = s->len > 0;
	}
}

size_t stream_move(struct stream *s, const struct pollfd *set, const uint8_t **ret_new)
{
	size_t n = 0;

	if (s->dst_slot >= 0 && (set[s->dst_slot].revents & (POLLERR | POLLHUP | POLLNVAL)) &&
	    !(set[s->dst_slot].revents & POLLOUT && (s->len || s->dst_full))) {
		s->error = -EPIPE;
		stream_close(s);
		return 0;
	}
	if (spliced(s) && ((s->src_slot >= 0 && set[s->src_slot].revents) || s->dst_full))
		n = move_pages(s);
	else if (s->src_slot >= 0 && s->src >= 0 && set[s->src_slot].revents)
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
	while (s->src >= 0 && room(s)) {
		p.fd = s->src;
		if (poll(&p, 1, 0) != 1 || (fill(s, NULL) == 0 && s->src >= 0))
			break;
		flush(s);
	}
}

void stream_say(struct stream *s, const char *text)
{
	size_t n = strlen(text);

	if (s->dst < 0 || s->start + s->len + n > BUFFER)
		return;
	memcpy(s->buf + s->start + s->len, text, n);
	s->len += n;
	flush(s);
}
