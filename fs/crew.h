/* Helpers for one thing that has several parts: whoever has it does parts of it himself, and others
 * that are idle take the rest.  Never slower than alone by more than waking them.  Thread-safe. */
#pragma once

#include <stddef.h>

struct crew;

/* At most 'max' helpers, and fewer than there are processors; they are started when first of use.
 */
int crew_new(unsigned max, struct crew **ret);
/* Nothing may run. NULL is accepted. */
void crew_free(struct crew *c);
/* part(ctx, i) for each i below 'n', in any order and side by side; returns when all are done. */
void crew_do(struct crew *c, size_t n, void (*part)(void *ctx, size_t i), void *ctx);
