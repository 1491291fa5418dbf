/* Shared by control.c and control_data.c: requests of clients in work. */
#pragma once

#include "fs/fsd.h"
#include "fs/arch.h"
#include "fs/data.h"
#include "fs/request.h"

struct answer {
	json_t *j;  /* object, "ok" set */
	int fds[4]; /* sent along */
	size_t nfds;
	int owned; /* one of them that is closed after sending, or -1 */
};

/* A request in work, with the descriptors that came with it (the first only is ever used). */
struct work {
	struct fsd *d;
	struct conn *c;
	const struct request *req;
	int fd; /* -1: none */
};

/* A copy of the settings to change, and the change put into force. */
json_t *control_settings(const struct fsd *d);
int control_settings_put(struct fsd *d, const json_t *settings, struct err *err);

/* -- control_pin.c --------------------------------------------------------- */

int control_dataset_pin(struct work *w, struct answer *a, struct err *err);
int control_dataset_verify(struct work *w, struct answer *a, struct err *err);
/* The pin of a row of the settings, or NULL with a line in the log. */
struct pin *pins_open(struct fsd *d, const json_t *row);
/* What this client had pinned for the dataset to be added: its file gets its name, its facts go
 * into the row. */
int pins_commit(struct work *w, json_t *row, struct err *err);
void pins_remove(struct fsd *d, const char *name);

/* -- control_data.c -------------------------------------------------------- */

json_t *control_dataset_rows(struct fsd *d);
int control_dataset_list(struct work *w, struct answer *a, struct err *err);
int control_dataset_index(struct work *w, struct answer *a, struct err *err);
int control_dataset_add(struct work *w, struct answer *a, struct err *err);
int control_dataset_remove(struct work *w, struct answer *a, struct err *err);

/* The place of a dataset in the list of the settings; its length: there is none. */
size_t dataset_find(const json_t *rows, const char *name);
/* What a row says but the patterns; the strings stay the row's. */
struct data_source dataset_source(const json_t *row);
/* The strings of an array, NULL-terminated; they stay the array's. NULL: no memory. */
const char **dataset_strings(const json_t *array);
/* The archive behind a path without links, as arch_get(). */
int dataset_archive(struct fsd *d, const char *name, const char *path, bool start,
		    struct arch **ret, struct arch_progress *progress, struct err *err);
/* For one that is to be added: there is none of its name; its source may be one; it is of the kind
 * that the request says. */
int dataset_name_free(struct work *w, struct err *err);
int dataset_source_check(struct fsd *d, const char *typed, char **ret_path, bool *ret_is_file,
			 struct err *err);
int dataset_check_kind(struct work *w, const char *path, bool is_file, const char **ret,
		       struct err *err);
/* Put the settings into force and answer with the list. */
int datasets_put(struct work *w, const json_t *settings, struct answer *a, struct err *err);
