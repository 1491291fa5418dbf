/* More terminals into a run: what the supervisor offers to "sbx-shell --join".
 *
 * It listens on an abstract socket named after the run, which leaves nothing behind however the
 * supervisor ends, and talks to its own user only.  Messages are JSON, one per packet:
 *
 *   to the joiner    {"run","name"}                      once, at once: the workspace's name
 *   from it          {"op":"join","argv":[..],"env":[..],"cwd"?,"rows"?,"cols"?}
 *                    with three pipes; without them a pty is made inside
 *   to it            {"running":true} with the pty's outer end, or {"error","errno","exec"}
 *   from it          {"op":"signal","signal":N}, as often as it likes
 *   to it            {"end":WAIT STATUS}; end of file: the sandbox has ended
 *
 * A joiner that goes takes its processes' terminal along. */
#pragma once

#include <stddef.h>

struct err;
struct joins;
struct sandbox;
struct sandbox_plan;
struct supervise_more;

/* Of abstract names; RUN follows. */
#define JOINS_PREFIX "sbx-run-"

/* The most of one message. */
#define JOINS_MESSAGE_MAX 65536

/* 'plan', 'sb' and the strings are borrowed. */
int joins_open(const char *run_id, const char *name, const struct sandbox_plan *plan,
	       struct sandbox *sb, struct joins **ret, struct err *err);
/* What the loop of the supervisor is to call. */
void joins_offer(struct joins *js, struct supervise_more *ret);
/* Tells nobody: that the connection closes says it. Accepts NULL. */
void joins_free(struct joins *js);
