/* Making the pin of a dataset, or comparing a dataset with its pin: reads all of it, with all
 * processors, in threads of its own.  Whoever starts a job asks it now and then how far it is; he
 * may let go of it at any moment, and nothing is left of it then.
 *
 * One file is hashed by several threads when it is large; small ones are taken many at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "fs/data.h"
#include "fs/pin.h"

struct arch;
struct err;
struct pin_job;
struct pin_jobs;

/* All jobs of a daemon. */
int pin_jobs_new(struct pin_jobs **ret);
/* Ends them all, and waits for that. */
void pin_jobs_free(struct pin_jobs *js);

struct pin_job_params {
	const struct data_source *source; /* copied */
	struct arch *arch;                /* of an archive: takes a reference and uses it */
	dev_t own[2];                     /* our own mounts: left out */
	struct pin *pin; /* compare with this one (takes a reference), or make one: */
	int dir;         /* where (borrowed for good) */
};

int pin_job_start(struct pin_jobs *js, const struct pin_job_params *p, struct pin_job **ret,
		  struct err *err);
/* Takes what it made away with it, unless that was committed. NULL is accepted. */
void pin_job_end(struct pin_job *j);

struct pin_progress {
	uint64_t done, total; /* bytes; 0 while names are read */
	uint64_t files, total_files;
};
/* Runs: -EINPROGRESS.  0: done.  Else what it failed with, and -ECANCELED. */
int pin_job_state(struct pin_job *j, struct pin_progress *ret, struct err *err);

/* Of one that is done and made a pin: its file gets the name of dataset 'name' (pin_file_name). */
struct pin_made {
	uint8_t digest[PIN_HASH], table[PIN_HASH];
	uint64_t files, bytes;
};
void pin_job_made(struct pin_job *j, struct pin_made *ret);
int pin_job_commit(struct pin_job *j, const char *name, struct err *err);

/* Of one that compares: what it found since it was last asked, at most 'max' of them:
 *   {"kind":K,"path":P,"what":TEXT}
 * K is "missing", "added", "type", "mode", "size", "target", "content" or "unreadable". */
json_t *pin_job_findings(struct pin_job *j, size_t max);
/* All of them so far. */
uint64_t pin_job_found(struct pin_job *j);

#define PIN_FILE_NAME 80
void pin_file_name(const char *name, char ret[static PIN_FILE_NAME]);
