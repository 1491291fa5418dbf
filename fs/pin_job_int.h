/* Shared by fs/pin_job.c, pin_hashing.c, pin_compare.c and pin_write.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "fs/pin_job.h"
#include "fs/pin_tree.h"

#define PIN_THREADS_MAX 64u
#define PIN_BATCH       64u /* leaves that one thread takes at once */

enum pin_finding_kind {
	PIN_MISSING,
	PIN_ADDED,
	PIN_OTHER_TYPE,
	PIN_OTHER_MODE,
	PIN_OTHER_SIZE,
	PIN_OTHER_TARGET,
	PIN_OTHER_CONTENT,
	PIN_UNREADABLE,
};

struct pin_finding {
	enum pin_finding_kind kind;
	bool pinned; /* 'i' is a record of the pin, else of the tree */
	uint32_t i;
	uint64_t a, b; /* what was pinned and what is; bad leaves and the first of them; errno */
};

struct pin_jobs {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned running; /* guarded by lock */
	atomic_bool cancel;
};

struct pin_job {
	struct pin_jobs *all;
	atomic_uint refs; /* who started it, and its thread */
	atomic_bool cancel;
	char *path, *base;
	char **include, **exclude;
	enum data_what what;
	struct arch *arch;
	struct pin *pin;
	dev_t own[2];
	int top;
	struct pin_tree tree;
	uint32_t *match; /* compare: the record of the pin for each of the tree */
	/* the file that is made */
	int dir, fd;
	char temp[PIN_FILE_NAME];
	bool committed;
	struct pin_layout at;
	struct pin_made made;

	atomic_uint_fast64_t done, files;
	pthread_mutex_t lock;
	/* guarded by lock */
	uint64_t total, total_files;
	uint32_t next; /* record, and leaf of it, that nobody has taken yet */
	uint64_t next_leaf;
	bool ended;
	int result;
	struct err err;
	struct pin_finding *found;
	size_t nfound, room, told;
};

/* Stays: the first failure ends the job. Returns 'r'. */
int job_fail(struct pin_job *j, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool job_cancelled(struct pin_job *j);
/* Add a finding, or to the last one of the same file. */
int job_find(struct pin_job *j, const struct pin_finding *f);

/* pin_hashing.c: the content of all files of the tree, by all threads. */
int pin_hash_content(struct pin_job *j);
/* pin_compare.c: the names of the tree with those of the pin. */
int pin_compare_names(struct pin_job *j);
json_t *pin_finding_json(struct pin_job *j, const struct pin_finding *f);
/* pin_write.c: the file, before and after its leaves are known. */
int pin_write_begin(struct pin_job *j);
int pin_write_end(struct pin_job *j);
