/* One direction of a relay: bytes from one descriptor to another, through a buffer of fixed size.
 *
 * No descriptor of the caller's ever gets inside (/proc/self/fd would let a payload open it anew, a
 * terminal could be written commands), so its files, pipes and terminals are relayed.  Never
 * blocks: the supervisor has limits to keep.  A description that we share with others is not made
 * non-blocking for them; pipes and terminals are opened anew through /proc/self/fd, and where that
 * is not allowed, at most PIPE_BUF bytes are written after poll() said that they fit.
 *
 * From pipe to pipe the bytes are not copied but moved, by splice(2). */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Looks at, and may change, bytes on their way: 'n' of them, to 'out', which has room for
 * STREAM_EDIT_ROOM(n).  Returns how many there are then. */
typedef size_t (*stream_edit)(void *arg, const uint8_t *in, size_t n, uint8_t *out);
#define STREAM_EDIT_ROOM(n) (2 * (n) + 160)

/* What the pipes of a relay hold, where the kernel grants it. */
#define STREAM_PIPE_BYTES (1 << 20)

struct stream {
	int src, dst; /* owned; -1 = closed */
	bool src_tty; /* read only while we are in the foreground */
	bool src_sock, dst_sock, dst_careful, dst_tty;
	bool src_pipe, dst_pipe;     /* both, and nothing edits: spliced */
	bool dst_full;               /* spliced: wait for room, not for bytes */
	bool mid_line;               /* the last byte written did not end a line */
	bool cut;                    /* the last write was short: what was begun comes first */
	stream_edit edit;            /* NULL = the bytes pass as they are */
	void *edit_arg;              /* borrowed */
	uint8_t *raw;                /* owned, with 'edit': what was read */
	const struct stream *beside; /* writes to the same terminal; NULL = nobody does */
	bool eof;                    /* nothing more comes from src */
	bool over;                   /* src had more than 'budget' allowed */
	int error;                   /* why dst was given up: -EPIPE, -ENOSPC, .. */
	uint8_t *buf;                /* owned */
	size_t start, len;
	uint64_t total;         /* bytes taken, before any edit */
	uint64_t *budget;       /* bytes that may still be taken, shared; NULL = no limit */
	int src_slot, dst_slot; /* in the poll set, -1 = not there */
};

/* A descriptor of our own for the caller's 'fd' (borrowed), non-blocking where that is possible. */
int stream_adopt_src(struct stream *s, int fd, struct err *err);
int stream_adopt_dst(struct stream *s, int fd, struct err *err);
int stream_init(struct stream *s, struct err *err);
/* From now on 'edit' sees everything first. */
int stream_set_edit(struct stream *s, stream_edit edit, void *arg, struct err *err);
void stream_free(struct stream *s);

/* Add what this stream waits for; then, after poll(), move what can be moved.  stream_move()
 * returns the count of bytes read; *ret_new (may be NULL) points to them, unless they were edited
 * or spliced. */
void stream_poll(struct stream *s, struct pollfd *set, size_t *n);
size_t stream_move(struct stream *s, const struct pollfd *set, const uint8_t **ret_new);
/* Take what is there without waiting: the writers are gone. */
void stream_drain(struct stream *s);
/* A word of our own between what passes, whole or not at all. */
void stream_say(struct stream *s, const char *text);
/* Bytes wait to be written, and somebody may read them. */
bool stream_pending(const struct stream *s);
/* Both ends closed. */
bool stream_done(const struct stream *s);
/* Drop what is buffered and close both ends. */
void stream_close(struct stream *s);
