#include "fs/ops_reply.h"

#include <pthread.h>

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void buffer_key_make(void)
{
	(void)pthread_key_create(&buffer_key, free);
}

char *reply_buffer(void)
{
	char *buf;

	pthread_once(&buffer_once, buffer_key_make);
	buf = pthread_getspecific(buffer_key);
	if (!buf) {
		buf = aligned_alloc(4096, READ_MAX);
		if (buf && pthread_setspecific(buffer_key, buf) != 0) {
			free(buf);
			return NULL;
		}
	}
	return buf;
}
