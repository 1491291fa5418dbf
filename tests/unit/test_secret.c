#include "keys/secret.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/check.h"

#define MANY 3000

/* The address sanitizer answers mlock() itself, always with success. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define MLOCK_IS_REAL 0
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define MLOCK_IS_REAL 0
#endif
#ifndef MLOCK_IS_REAL
#define MLOCK_IS_REAL 1
#endif

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void allocations(void)
{
	struct secret_usage before, during, after;
	uint8_t *p;

	secret_usage(&before);
	p = secret_alloc(100);
	CHECK(p != NULL);
	CHECK(all_zero(p, 100));
	CHECK_EQ((uintptr_t)p % 16, 0);
	memset(p, 0xff, 100);
	secret_usage(&during);
	CHECK_EQ(during.bytes - before.bytes, 128);
	CHECK(during.locked);
	secret_release(p);
	secret_release(NULL);
	secret_usage(&after);
	CHECK_EQ(after.bytes, before.bytes);
}

static void slots(void)
{
	static uint8_t *p[MANY];

	for (size_t i = 0; i < MANY; i++) {
		CHECK_EQ(secret_slot_new(&p[i]), 0);
		CHECK(all_zero(p[i], SECRET_SLOT_LEN));
		CHECK_EQ((uintptr_t)p[i] % SECRET_SLOT_LEN, 0);
		memset(p[i], (int)i, SECRET_SLOT_LEN);
	}
	for (size_t i = 0; i < MANY; i++)
		CHECK(p[i][0] == (uint8_t)i && p[i][SECRET_SLOT_LEN - 1] == (uint8_t)i);
	for (size_t i = 0; i < MANY; i++)
		secret_slot_free(p[i]);
	secret_slot_free(NULL);
	CHECK_EQ(secret_slot_new(&p[0]), 0);
	CHECK(all_zero(p[0], SECRET_SLOT_LEN));
	secret_slot_free(p[0]);
}

static void *churn(void *arg)
{
	size_t bad = 0;

	for (int i = 0; i < 20000; i++) {
		uint8_t *a = NULL, *b = NULL;

		if (secret_slot_new(&a) < 0 || secret_slot_new(&b) < 0)
			return (void *)1;
		bad += !all_zero(a, SECRET_SLOT_LEN) + !all_zero(b, SECRET_SLOT_LEN);
		memset(a, 1, SECRET_SLOT_LEN);
		memset(b, 2, SECRET_SLOT_LEN);
		secret_slot_free(a);
		secret_slot_free(b);
	}
	return (void *)bad;
}

static void threads(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, churn, NULL), 0);
	for (int i = 0; i < 4; i++) {
		void *bad;

		pthread_join(t[i], &bad);
		CHECK(bad == NULL);
	}
}

/* Exit status of a child that runs 'fn'. */
static int in_child(int (*fn)(uint8_t *), uint8_t *p)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(p));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int child_is_locked(uint8_t *p)
{
	struct secret_usage u;

	secret_usage(&u);
	return !(u.locked && p[0] == 7);
}

static int child_forgets(uint8_t *p)
{
	secret_forget_all();
	return p[0] != 0;
}

static int child_overruns(uint8_t *p)
{
	volatile uint8_t *q = p;

	q[64] = 1;
	return 0;
}

static int child_without_lock(uint8_t *p)
{
	struct rlimit none = { 0, 0 };
	struct secret_usage u;
	uint8_t *q;

	setrlimit(RLIMIT_MEMLOCK, &none);
	if (setuid(65534) < 0)
		return 77;
	q = secret_alloc(64);
	if (!q)
		return 2;
	secret_usage(&u);
	return u.locked;
}

static void children(void)
{
	uint8_t *p = secret_alloc(64);

	p[0] = 7;
	CHECK_EQ(in_child(child_is_locked, p), 0);
	CHECK_EQ(in_child(child_forgets, p), 0);
	CHECK(in_child(child_overruns, p) != 0); /* a signal, or a sanitizer's exit */
	CHECK_EQ(p[0], 7);
	if (MLOCK_IS_REAL && geteuid() == 0)
		CHECK_EQ(in_child(child_without_lock, p), 0);
	secret_release(p);
}

static void lengths(void)
{
	struct secret *a, *b;

	CHECK_EQ(secret_new(10, &a), 0);
	CHECK_EQ(secret_new(20, &b), 0);
	memcpy(a->bytes, "abc", 3);
	memcpy(b->bytes, "abd", 3);
	a->len = b->len = 3;
	CHECK(!secret_equal(a, b));
	b->bytes[2] = 'c';
	CHECK(secret_equal(a, b));
	b->len = 2;
	CHECK(!secret_equal(a, b));
	secret_release(a);
	secret_release(b);
}

int main(void)
{
	CHECK_EQ(secret_setup(NULL), 0);
	CHECK_EQ(secret_setup(NULL), 0);
	allocations();
	slots();
	threads();
	children();
	lengths();
	return check_report();
}
