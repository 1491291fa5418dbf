/* The records of runs that have ended.  Plain files that anybody with rights on the directory may
 * have changed or cut short, so one that cannot be read is passed over. */
#include "shell/sbxctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

#define RECORD_MAX 65536

static int is_record(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && len > 5 && !strcmp(e->d_name + len - 5, ".json");
}

static json_t *read_record(int dirfd, const char *name)
{
	autofree char *text = NULL;
	json_t *j = NULL;
	size_t len;

	if (fd_read_file(dirfd, name, RECORD_MAX, &text, &len, NULL) < 0 ||
	    json_parse(text, len, name, &j, NULL) < 0)
		return NULL;
	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

int ctl_run_records(const char *ws, size_t max, json_t **ret, struct err *err)
{
	autoclose int wsfd = open(ws, O_PATH | O_DIRECTORY | O_CLOEXEC), dirfd = -1;
	struct dirent **names = NULL;
	json_t *list = json_array();
	int n;

	if (wsfd >= 0)
		dirfd = fd_open_beneath(wsfd, "runs", O_RDONLY | O_DIRECTORY, 0);
	/* A run's id begins with its time, so the order of names is the order in time. */
	n = dirfd >= 0 ? scandirat(dirfd, ".", &names, is_record, alphasort) : -1;
	if (n < 0 || !list) {
		json_decref(list);
		return err_set(err, dirfd < -1 ? dirfd : -errno, "read '%s/runs'", ws);
	}
	while (n-- > 0) {
		json_t *j =
			json_array_size(list) < max ? read_record(dirfd, names[n]->d_name) : NULL;

		if (j)
			json_array_insert_new(list, 0, j);
		free(names[n]);
	}
	free(names);
	*ret = list;
	return 0;
}
