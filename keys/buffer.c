#include "keys/buffer.h"

#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Before each buffer, in a page of its own. */
struct head {
	size_t len; /* of the buffer */
	bool locked;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t locked_bytes;
static bool process_locked;

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_MEMLOCK, &rl) < 0)
		return 0;
	return rl.rlim_cur == RLIM_INFINITY || rl.rlim_cur > SIZE_MAX / 4 ? SIZE_MAX / 4
									  : (size_t)rl.rlim_cur;
}

/* Tried, because a capability counts in the first user namespace only, and which one this is cannot
 * be asked: more than the limit, of addresses that take no memory. */
static bool unlimited(void)
{
	size_t len = limit();
	void *p;

	if (len == SIZE_MAX / 4)
		return true;
	p = mmap(NULL, len + page_size(), PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_LOCKED, -1, 0);
	if (p == MAP_FAILED)
		return false;
	munmap(p, len + page_size());
	return true;
}

bool buffer_lock_process(void)
{
	/* With a limit every allocation beyond it would fail. On fault: nothing is touched for it.
	 */
	if (unlimited() && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		process_locked = true;
	return process_locked;
}

bool buffer_process_locked(void)
{
	return process_locked;
}

/* Within our half of the limit. */
static bool lock_pages(void *p, size_t len)
{
	size_t half = limit() / 2;
	bool ok;

	(void)madvise(p, len, MADV_DONTDUMP);
	if (process_locked)
		return false;
	pthread_mutex_lock(&lock);
	ok = len <= half && locked_bytes <= half - len && mlock2(p, len, MLOCK_ONFAULT) == 0;
	if (ok)
		locked_bytes += len;
	pthread_mutex_unlock(&lock);
	return ok;
}

void *buffer_alloc(size_t len)
{
	size_t page = page_size();
	struct head *h;

	len = (len + page - 1) / page * page;
	h = mmap(NULL, page + len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h == MAP_FAILED)
		return NULL;
	h->len = len;
	h->locked = lock_pages((uint8_t *)h + page, len);
	return (uint8_t *)h + page;
}

void buffer_release(void *p)
{
	size_t page = page_size();
	struct head *h;

	if (!p)
		return;
	h = (struct head *)((uint8_t *)p - page);
	sodium_memzero(p, h->len);
	if (h->locked) {
		pthread_mutex_lock(&lock);
		locked_bytes -= h->len;
		pthread_mutex_unlock(&lock);
	}
	munmap(h, page + h->len); /* unlocks */
}

void buffer_lock(void *p, size_t len)
{
	size_t page = page_size(), skip = (page - (uintptr_t)p % page) % page;

	if (p && len > skip + page)
		(void)lock_pages((uint8_t *)p + skip, (len - skip) / page * page);
}

void buffer_forbid_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}
