/* A lock of four bytes, for things of which there may be a million: a pthread_mutex_t has forty.
 * All zeros is free; nothing to destroy.  Not recursive, no condition variables; otherwise alike:
 * one compare-and-exchange when nobody is in the way, else who waits sleeps in the kernel. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct mutex {
	_Atomic uint32_t state; /* 0 free, 1 taken, 2 taken and somebody may sleep */
};

/* Slow paths of the two below, for them alone. */
void mutex_wait(struct mutex *m);
void mutex_wake(struct mutex *m);

static inline void mutex_lock(struct mutex *m)
{
	uint32_t unlocked = 0;

	if (!atomic_compare_exchange_strong_explicit(&m->state, &unlocked, 1, memory_order_acquire,
						     memory_order_relaxed))
		mutex_wait(m);
}

static inline void mutex_unlock(struct mutex *m)
{
	if (atomic_exchange_explicit(&m->state, 0, memory_order_release) == 2)
		mutex_wake(m);
}
