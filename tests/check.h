/* The smallest unit-test kit: one CHECK per fact; a failure prints the place and goes on; the
 * program exits 1 when any failed, 77 when it skipped itself. */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures, check_count;

/* A build that is several times slower, and in which some system calls are taken over. */
#if defined(__SANITIZE_ADDRESS__)
#define CHECK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECK_SANITIZED 1
#endif
#endif
#ifndef CHECK_SANITIZED
#define CHECK_SANITIZED 0
#endif

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		check_count++;                                                                     \
		if (!(cond)) {                                                                     \
			check_failures++;                                                          \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);         \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		intmax_t check_a_ = (intmax_t)(a), check_b_ = (intmax_t)(b);                       \
		check_count++;                                                                     \
		if (check_a_ != check_b_) {                                                        \
			check_failures++;                                                          \
			fprintf(stderr, "%s:%d: %s is %jd, expected %s = %jd\n", __FILE__,         \
				__LINE__, #a, check_a_, #b, check_b_);                             \
		}                                                                                  \
	} while (0)

#define CHECK_STR(a, b)                                                                            \
	do {                                                                                       \
		const char *check_a_ = (a), *check_b_ = (b);                                       \
		check_count++;                                                                     \
		if (!check_a_ || !check_b_ || strcmp(check_a_, check_b_) != 0) {                   \
			check_failures++;                                                          \
			fprintf(stderr, "%s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__,        \
				__LINE__, #a, check_a_ ? check_a_ : "(null)",                      \
				check_b_ ? check_b_ : "(null)");                                   \
		}                                                                                  \
	} while (0)

#define CHECK_MEM(a, b, len)                                                                       \
	do {                                                                                       \
		check_count++;                                                                     \
		if (memcmp((a), (b), (len)) != 0) {                                                \
			check_failures++;                                                          \
			fprintf(stderr, "%s:%d: %s differs from %s\n", __FILE__, __LINE__, #a,     \
				#b);                                                               \
		}                                                                                  \
	} while (0)

/* Say why and leave: counted as skipped. */
#define CHECK_SKIP(why)                                                                            \
	do {                                                                                       \
		fprintf(stderr, "skipped: %s\n", (why));                                           \
		exit(77);                                                                          \
	} while (0)

static inline int check_report(void)
{
	printf("%d checks, %d failed\n", check_count, check_failures);
	return check_failures ? 1 : 0;
}
