#include "keys/secret.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/err.h"

/* Every guarded allocation starts with this; the list lets a fork handler lock them again. */
struct region {
	struct region *next, *prev;
	size_t len; /* of the user's bytes */
	bool locked;
} __attribute__((aligned(64)));

/* The first bytes of a free slot link to the next free one: it is wiped memory that nobody owns,
 * so no table of free slots is needed. */
struct free_slot {
	struct free_slot *next;
};

/* With the region's head 16 KiB: a few of them fit the smallest usual limit, 64 KiB. */
#define ARENA_SLOTS 255

static_assert(sizeof(struct region) == SECRET_SLOT_LEN, "slots stay aligned to their size");

/* Guards all below.  The state is one per process, as the memory limit is. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct region list = { .next = &list, .prev = &list };
static struct free_slot *free_slots;
static size_t total_bytes;

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static bool lock_region(struct region *r)
{
	return mlock(r, sizeof(*r) + r->len) == 0;
}

static void fork_child(void)
{
	for (struct region *r = list.next; r != &list; r = r->next)
		r->locked = lock_region(r);
	pthread_mutex_unlock(&lock);
}

static void raise_memlock(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_MEMLOCK, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &rl); /* a refusal shows in secret_usage() */
	}
}

static int setup_result;

static void setup_once(void)
{
	raise_memlock();
	if (sodium_init() < 0)
		setup_result = -EIO;
	else
		setup_result = -pthread_atfork(fork_prepare, fork_parent, fork_child);
}

int secret_setup(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, setup_once);
	if (setup_result < 0)
		return err_set(err, setup_result, "prepare the crypto library");
	return 0;
}

void *secret_alloc(size_t len)
{
	struct region *r;

	if (secret_setup(NULL) < 0 || len > SIZE_MAX / 2)
		return NULL;
	len = (len + 63) / 64 * 64;
	r = sodium_malloc(sizeof(*r) + len);
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r) + len);
	r->len = len;
	/* sodium_malloc() tries to lock but does not tell; locking twice is harmless. */
	r->locked = lock_region(r);
	pthread_mutex_lock(&lock);
	r->next = &list;
	r->prev = list.prev;
	r->prev->next = r;
	list.prev = r;
	total_bytes += len;
	pthread_mutex_unlock(&lock);
	return r + 1;
}

void secret_release(void *p)
{
	struct region *r;

	if (!p)
		return;
	r = (struct region *)p - 1;
	pthread_mutex_lock(&lock);
	r->prev->next = r->next;
	r->next->prev = r->prev;
	total_bytes -= r->len;
	pthread_mutex_unlock(&lock);
	sodium_free(r); /* checks its canary, wipes, unlocks */
}

int secret_new(size_t size, struct secret **ret)
{
	struct secret *s;

	if (size > SIZE_MAX / 4)
		return -ENOMEM;
	s = secret_alloc(sizeof(*s) + size + 1);
	if (!s)
		return -ENOMEM;
	s->size = size + 1;
	*ret = s;
	return 0;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->len == b->len && sodium_memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int add_arena(void)
{
	uint8_t *arena = secret_alloc((size_t)ARENA_SLOTS * SECRET_SLOT_LEN);

	if (!arena)
		return -ENOMEM;
	pthread_mutex_lock(&lock);
	for (size_t i = ARENA_SLOTS; i-- > 0;) {
		struct free_slot *s = (void *)(arena + i * SECRET_SLOT_LEN);

		s->next = free_slots;
		free_slots = s;
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

int secret_slot_new(uint8_t **ret)
{
	struct free_slot *s;

	for (;;) {
		int r;

		pthread_mutex_lock(&lock);
		s = free_slots;
		if (s)
			free_slots = s->next;
		pthread_mutex_unlock(&lock);
		if (s)
			break;
		/* Two threads may each add one: an arena too many does no harm. */
		r = add_arena();
		if (r < 0)
			return r;
	}
	s->next = NULL;
	*ret = (uint8_t *)s;
	return 0;
}

void secret_slot_free(uint8_t *p)
{
	struct free_slot *s = (void *)p;

	if (!p)
		return;
	sodium_memzero(p, SECRET_SLOT_LEN);
	pthread_mutex_lock(&lock);
	s->next = free_slots;
	free_slots = s;
	pthread_mutex_unlock(&lock);
}

void secret_forget_all(void)
{
	pthread_mutex_lock(&lock);
	for (struct region *r = list.next; r != &list; r = r->next)
		sodium_memzero(r + 1, r->len);
	free_slots = NULL;
	pthread_mutex_unlock(&lock);
}

void secret_usage(struct secret_usage *ret)
{
	*ret = (struct secret_usage){ .locked = true };
	pthread_mutex_lock(&lock);
	ret->bytes = total_bytes;
	for (struct region *r = list.next; r != &list; r = r->next)
		ret->locked = ret->locked && r->locked;
	pthread_mutex_unlock(&lock);
}
