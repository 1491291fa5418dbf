/* The brake: an exact quota under cached writes.
 *
 * The kernel takes writes into its cache before we see them.  It holds at most so many bytes that
 * we have not charged (the bound).  While what is free exceeds the bound by a margin, every byte it
 * takes will find its place: that is green, and costs nothing.  Before the free room falls below,
 * the brake goes on (red):
 *
 *   1 whoever charges the byte that crosses the line, and all other cached writes, are not answered
 *     until 2 is done: what the kernel cannot give away it cannot take anew;
 *   2 of every file that is open for writing the kernel forgets the attributes, so that it must ask
 *     for them before it takes the next write(2); these questions wait until 3 is done;
 *   3 what it holds of these files is written, and so charged.
 *
 * From then on the answer to such a question makes the kernel write through: each write(2) is a
 * request of its own, charged before it returns, with its exact error.  (The answer shows a set-uid
 * bit, which a write must clear in the same request.  Only this question is answered so, no stat(2)
 * sees it; nothing like it is stored.)  Callers that may keep such bits, root of the host on a
 * mount of the host, cannot be told so: before each of their writes what the kernel holds of the
 * file is written, and they are refused while less than BRAKE_GRANT is free.
 *
 * Stores through shared mappings ask nothing: they fail at msync(2) or fsync(2).  The same is true
 * for the rest of one write(2) larger than the margin that was begun in green.
 *
 * Thread-safe. One thread per mount does the work, for it must hold no lock and no request while
 * it waits for the kernel. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct brake;
struct quota;

/* What a caller that cannot be made to write through may take before it is asked again. */
#define BRAKE_GRANT (UINT64_C(1) << 20)
/* The least bound that is asked for. */
#define BRAKE_BOUND_MIN (UINT64_C(16) << 20)

/* -- decisions, pure ------------------------------------------------------ */

/* What so many writers may have under way, one write(2) each, when red begins. */
uint64_t brake_slack(unsigned writers);
/* Free room that must be left in green when the kernel may hold 'bound' bytes: a quarter more, for
 * its bound is soft, and the slack. */
uint64_t brake_margin(uint64_t bound, uint64_t slack);
/* Red is left only well above the margin. */
bool brake_red_next(bool red, uint64_t room, uint64_t margin);
/* The bound to ask for, given the free room and the one that holds now: it becomes narrower before
 * its margin is all that is free. */
uint64_t brake_bound_next(uint64_t room, uint64_t slack, uint64_t bound);

/* -- the brake of a mount ------------------------------------------------- */

struct brake_ops {
	void *ctx;
	/* Free bytes of the disk below, UINT64_MAX if that is not known. */
	uint64_t (*disk_room)(void *ctx);
	/* Which files are open for writing (caller frees; -ENOMEM). */
	int (*writers)(void *ctx, uint64_t **ret, size_t *ret_n);
	/* The kernel shall forget the attributes of a file. */
	void (*expire)(void *mount, uint64_t nodeid);
	/* Somebody shall have the kernel write what it holds: a descriptor that reads end of file
	 * once that is on its way (caller closes), or negative errno.  Never a wait inside the
	 * kernel: killed in there, we would be what it waits for. */
	int (*sync_start)(void *ctx);
	/* Have the kernel hold at most 'want' bytes; what it may hold comes back. */
	uint64_t (*bound)(void *ctx, uint64_t want); /* 0: as it is */
};

/* 'root_writes': callers with uid 0 cannot be made to write through. Starts red, as nothing is
 * known yet; brake_start() starts its thread. */
int brake_new(struct quota *q, const struct brake_ops *ops, bool root_writes, struct brake **ret);
/* The mount is up. 'write_through': the kernel can be made to write through. 'mount' goes to
 * expire. */
int brake_start(struct brake *b, void *mount, bool write_through);
/* Off for good: everybody who waits is answered, the thread is gone. The mount may still ask. */
void brake_stop(struct brake *b);
void brake_free(struct brake *b);

#define BRAKE_RED      1u
#define BRAKE_HOLD     2u /* cached writes wait for their answer */
#define BRAKE_FLUSHING 4u /* questions wait for their answer */

/* The only thing that is asked in green. NULL is never on. */
static inline bool brake_is_on(const struct brake *b)
{
	return b && atomic_load_explicit((const atomic_uint *)(const void *)b,
					 memory_order_relaxed) != 0;
}

/* Files that are opened for writing, and closed: +1, -1 for each handle. */
void brake_count(struct brake *b, int n);

/* A cached write was stored, or failed, while the brake is on: wait while it must not be answered.
 */
void brake_hold(struct brake *b, uint64_t nodeid);
/* A cached write did not find room: the disk below has less than we knew. */
void brake_look(struct brake *b);

/* How to answer a writer who asks before its write(2). */
enum brake_answer {
	BRAKE_AS_EVER,
	BRAKE_WRITE_THROUGH,
	BRAKE_REFUSE, /* there is no room */
	BRAKE_LATER,  /* fn(arg, answer) will be called, on another thread */
};
enum brake_answer brake_ask(struct brake *b, uint64_t nodeid, unsigned uid,
			    void (*fn)(void *arg, enum brake_answer answer), void *arg);
