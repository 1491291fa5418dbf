#include "base/mutex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void mutex_wait(struct mutex *m)
{
	/* From here on whoever unlocks wakes one, maybe for nothing; a wait that returns early, by
	 * a signal or because the state changed, looks again. */
	while (atomic_exchange_explicit(&m->state, 2, memory_order_acquire) != 0)
		(void)syscall(SYS_futex, &m->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void mutex_wake(struct mutex *m)
{
	/* By now another may have taken the lock, released it and freed what it is in.  The address
	 * is all that is used: the kernel wakes nobody, or somebody who looks again. */
	(void)syscall(SYS_futex, &m->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
