/* The daemon's own words: a file of its user (0600, kept below 1 MiB) and the last lines in memory
 * for "status".  Never a plaintext name of an output.  Thread-safe. */
#pragma once

#include "base/json.h"

struct msglog;

/* 'id' names the file; to_stderr: there instead of to the file. Works without a file as well. */
int msglog_new(const char *id, bool to_stderr, struct msglog **ret);
void msglog_free(struct msglog *m);
void msglog_add(void *m, const char *line); /* fits the 'log' callbacks of the layers */
json_t *msglog_last(struct msglog *m);      /* array of strings, oldest first */
