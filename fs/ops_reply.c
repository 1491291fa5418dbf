#include "fs/ops_reply.h"

#include <pthread.h>

#include "keys/buffer.h"

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void buffer_key_make(void)
{
	(void)pthread_key_create(&buffer_key, buffer_release);
}

char *reply_buffer(void)
{
	char *buf;

	pthread_once(&buffer_once, buffer_key_make);
	buf = pthread_getspecific(buffer_key);
	if (!buf) {
		buf = buffer_alloc(READ_MAX);
		if (buf && pthread_setspecific(buffer_key, buf) != 0) {
			buffer_release(buf);
			return NULL;
		}
	}
	return buf;
}
