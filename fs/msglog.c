#include "fs/msglog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"

#define LINES    32
#define LINE_MAX 240
#define FILE_MAX (1 << 20)

struct msglog {
	pthread_mutex_t lock;
	char lines[LINES][LINE_MAX];
	unsigned next, count;
	int fd; /* -1: stderr */
};

/* $XDG_STATE_HOME/sbx or ~/.local/state/sbx, made if needed. */
static char *state_dir(void)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	autofree char *base = NULL;
	char *dir;

	if (xdg && xdg[0] == '/')
		base = strdup(xdg);
	else if (home && home[0] == '/')
		base = str_printf("%s/.local/state", home);
	if (!base)
		return NULL;
	dir = str_printf("%s/sbx", base);
	for (char *p = dir ? dir + 1 : NULL; p && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(dir, 0700);
		*p = '/';
	}
	if (dir)
		(void)mkdir(dir, 0700);
	return dir;
}

static int open_file(const char *id)
{
	autofree char *dir = state_dir(), *path = NULL, *old = NULL;
	struct stat st;
	int fd;

	if (!dir)
		return -1;
	path = str_printf("%s/%s.log", dir, id);
	old = str_printf("%s/%s.log.1", dir, id);
	if (!path || !old)
		return -1;
	if (lstat(path, &st) == 0 && st.st_size > FILE_MAX)
		(void)rename(path, old);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

int msglog_new(const char *id, bool to_stderr, struct msglog **ret)
{
	struct msglog *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	m->fd = to_stderr ? -1 : open_file(id);
	if (m->fd >= 0)
		log_to_fd(m->fd);
	*ret = m;
	return 0;
}

void msglog_free(struct msglog *m)
{
	if (!m)
		return;
	log_to_fd(STDERR_FILENO);
	if (m->fd >= 0)
		close(m->fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void msglog_add(void *ctx, const char *line)
{
	struct msglog *m = ctx;
	char stamp[32];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	pthread_mutex_lock(&m->lock);
	snprintf(m->lines[m->next], LINE_MAX, "%s %.200s", stamp, line);
	m->next = (m->next + 1) % LINES;
	m->count = MIN(m->count + 1, (unsigned)LINES);
	pthread_mutex_unlock(&m->lock);
	log_print(LOG_NOTE, "%s %s", stamp, line);
}

json_t *msglog_last(struct msglog *m)
{
	json_t *list = json_array();
	char safe[LINE_MAX * 4];

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->count; i++) {
		str_printable(m->lines[(m->next + LINES - m->count + i) % LINES], safe,
			      sizeof(safe));
		json_array_append_new(list, json_string(safe));
	}
	pthread_mutex_unlock(&m->lock);
	return list;
}
