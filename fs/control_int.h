/* Shared by control.c and control_data.c: requests of clients in work. */
#pragma once

#include "fs/fsd.h"
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

/* -- control_data.c -------------------------------------------------------- */

json_t *control_dataset_rows(struct fsd *d);
int control_dataset_list(struct work *w, struct answer *a, struct err *err);
int control_dataset_index(struct work *w, struct answer *a, struct err *err);
int control_dataset_add(struct work *w, struct answer *a, struct err *err);
int control_dataset_remove(struct work *w, struct answer *a, struct err *err);
