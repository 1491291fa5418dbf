/* Memory for keys: between guard pages, locked, never in a core dump, wiped when given back.
 *
 * Locking may be impossible (RLIMIT_MEMLOCK of 0 and no privilege).  We carry on then, with guard
 * pages and MADV_DONTDUMP, because a key that may reach the swap is a weakness of that host which
 * its user can mend, and say so: secret_usage() feeds 'status' and 'doctor'.
 *
 * Locks are not inherited by fork(2): a child that goes on working with keys is relocked by a fork
 * handler; a child that has no business with them calls secret_forget_all() first of all. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Once per process, before anything else of this header (a second call does nothing): raises
 * RLIMIT_MEMLOCK to its hard limit, for no more than that may be had without privilege, and readies
 * the crypto library.  -EIO when that fails. */
int secret_setup(struct err *err);

/* 'len' zeroed bytes; NULL when out of memory.  Aligned to 16.  Give back with secret_release(). */
void *secret_alloc(size_t len);
void secret_release(void *p); /* wipes; accepts NULL */

static inline void cleanup_secret(void *p)
{
	secret_release(*(void **)p);
}
/* autosecret uint8_t *key = secret_alloc(32); */
#define autosecret __attribute__((cleanup(cleanup_secret)))

/* A secret that knows its length: passphrases, seeds. */
struct secret {
	size_t len;
	size_t size; /* of 'bytes', at least len + 1: a NUL always follows */
	uint8_t bytes[];
};
int secret_new(size_t size, struct secret **ret); /* len = 0.  -ENOMEM */
/* Constant time for equal lengths; the lengths themselves are not secret. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* Slots for the keys of open files: SECRET_SLOT_LEN zeroed bytes inside guarded, locked arenas.
 * Cheap and thread-safe.  -ENOMEM. */
#define SECRET_SLOT_LEN 64
int secret_slot_new(uint8_t **ret);
void secret_slot_free(uint8_t *p); /* wipes; accepts NULL */

/* Wipe every secret of this process: for a forked child that needs none of them.  After it no
 * secret may be used or released in this process. */
void secret_forget_all(void);

struct secret_usage {
	size_t bytes; /* guarded bytes in use */
	bool locked;  /* all of them are locked into memory */
};
void secret_usage(struct secret_usage *ret);
