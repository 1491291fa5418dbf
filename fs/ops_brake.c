#include "fs/ops_brake.h"

void ops_reply_stat(fuse_req_t req, int r, const struct stat *st)
{
	if (r < 0)
		reply_code(req, r);
	else
		fuse_reply_attr(req, st, attr_timeout(req, st));
}

struct question {
	fuse_req_t req;
	uint64_t nodeid;
};

static void question_reply(fuse_req_t req, uint64_t nodeid, enum brake_answer answer)
{
	struct stat st;
	int r = answer == BRAKE_REFUSE ? -ENOSPC : out_getattr(req_layer(req), nodeid, &st);

	if (r == 0 && answer == BRAKE_WRITE_THROUGH)
		st.st_mode |= S_ISUID;
	ops_reply_stat(req, r, &st);
}

static void question_later(void *arg, enum brake_answer answer)
{
	struct question *q = arg;

	question_reply(q->req, q->nodeid, answer);
	free(q);
}

void ops_ask(fuse_req_t req, fuse_ino_t ino)
{
	struct question *q = malloc(sizeof(*q));
	enum brake_answer answer = BRAKE_REFUSE;

	if (q) {
		*q = (struct question){ req, ino };
		answer = brake_ask(brake(req), ino, fuse_req_ctx(req)->uid, question_later, q);
	}
	if (answer == BRAKE_LATER)
		return;
	free(q);
	question_reply(req, ino, answer);
}

/* The kernel may ignore the answer to its next question, but not this one. */
void ops_unchanged(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st;
	int r = out_getattr(req_layer(req), ino, &st);

	if (r == 0 && brake_is_on(brake(req)) && S_ISREG(st.st_mode))
		st.st_mode |= S_ISUID;
	ops_reply_stat(req, r, &st);
}

void ops_wrote(fuse_req_t req, fuse_ino_t ino, ssize_t n)
{
	struct brake *b = brake(req);

	if (!b)
		return;
	if (n < 0)
		brake_look(b);
	if (brake_is_on(b))
		brake_hold(b, ino);
}
