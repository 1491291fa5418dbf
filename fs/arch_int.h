/* Shared by fs/arch.c, arch_job.c and arch_store.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "fs/arch.h"
#include "fs/arch_index.h"

enum unpack_state { UNPACK_NOT, UNPACK_RUNS, UNPACK_DONE, UNPACK_FAILED };

struct arch {
	struct arch *next;
	struct arch_cache *c;
	uint32_t slot;
	char name[65];
	int source;
	struct arch_index ix;
	void *mem;
	size_t mem_size;
	bool mapped; /* 'mem' is a mapping, else heap */
	/* guarded by c->lock */
	uint64_t refs, lookups; /* the second are among the first */
	uint32_t uses;
	enum unpack_state unpack;
	uint64_t done; /* unpacked so far */
	int data;      /* the unpacked bytes, or -1; stays while uses > 0 or UNPACK_RUNS */
};

/* One dataset. */
struct arch_item {
	struct arch_item *next;
	char name[65];
	struct arch *now;
	bool busy; /* its index is being made */
	bool gone; /* the dataset was removed meanwhile */
	struct arch_progress progress;
	bool failed;
	struct arch_id failed_id;
	struct err why;
};

struct arch_cache {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* 'threads' became 0 */
	unsigned threads;
	atomic_bool cancel;
	struct arch_cache_params p;
	struct arch_item *items;
	struct arch *all;
	uint32_t next_slot;
	uint64_t reserved; /* bytes that are being unpacked */
};

/* -- arch.c ---------------------------------------------------------------- */

int arch_id_of(int fd, struct arch_id *ret);
bool arch_id_same(const struct arch_id *a, const struct arch_id *b);
/* Takes 'mem' and 'source' on success. */
int arch_make(struct arch_cache *c, const char *name, int source, void *mem, size_t size,
	      bool mapped, struct arch **ret);
void arch_log(struct arch_cache *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* -- arch_job.c ------------------------------------------------------------ */

/* Start the thread. c->lock is held. 'source' is taken in every case. */
int arch_start_index(struct arch_cache *c, struct arch_item *item, const char *base, int source);
int arch_start_unpack(struct arch *a);

/* -- arch_store.c: the files ----------------------------------------------- */

/* WS/cache, made if 'make'. A descriptor. */
int arch_store_dir(struct arch_cache *c, bool make);
/* -ENOENT, -EBADMSG: not usable. */
int arch_store_load(struct arch_cache *c, const char *name, const struct arch_id *id, void **ret,
		    size_t *ret_size);
/* A mapping of what was saved. */
int arch_store_save(struct arch_cache *c, const char *name, const void *mem, size_t size,
		    void **ret);
/* The unpacked bytes, if they are there in full. */
int arch_store_data(struct arch *a);
/* A new file for them, with room made for it. c->lock is held. */
int arch_store_data_new(struct arch *a, struct err *err);
/* It is complete. */
int arch_store_data_done(struct arch *a, int fd);
void arch_store_data_drop(struct arch *a);
void arch_store_remove(struct arch_cache *c, const char *name);
