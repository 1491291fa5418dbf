/* "This may take a while", said by whoever knows, before a long piece of work inside a request.
 *
 * A worker that serves short requests goes on listening alone, which saves two context switches for
 * each; before it disappears into something long it must let another listen.  The layers know when,
 * the session knows how: this is the one function between them. */
#pragma once

/* Set by the session's workers for their thread. */
extern _Thread_local void (*slow_hook)(void *arg);
extern _Thread_local void *slow_hook_arg;

static inline void slow_ahead(void)
{
	if (slow_hook)
		slow_hook(slow_hook_arg);
}
