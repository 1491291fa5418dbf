/* Attack 58: the host's clock jumps.  Preloaded into sbx-shell: whoever asks for the time of day
 * gets one that leaps a day ahead or back at each call; the clocks that only run are left alone. */
#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t leap(void)
{
	static int calls;

	return calls++ % 2 ? 86400 : -86400;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += leap();
	return r;
}

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict ret,
							void *restrict zone)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	*ret = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
	return 0;
}
