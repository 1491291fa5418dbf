/* Ownership made visible: what a scope owns is released when the scope ends, and errno survives
 * that; a transfer is a visible take_fd() or take_ptr() on the line that hands it over. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

static inline void cleanup_free(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d) {
		int saved = errno;

		closedir(*d);
		errno = saved;
	}
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f) {
		int saved = errno;

		fclose(*f);
		errno = saved;
	}
}

/* autoclose int fd = -1;   autofree char *s = NULL;   always initialised where declared */
#define autoclose    __attribute__((cleanup(cleanup_close)))
#define autofree     __attribute__((cleanup(cleanup_free)))
#define autoclosedir __attribute__((cleanup(cleanup_closedir)))
#define autofclose   __attribute__((cleanup(cleanup_fclose)))

/* Define 'auto_NAME' style cleanups for own types:  CLEANUP(json_t *, json_decref_p) is used as
 * __attribute__((cleanup(fn))) by the header that declares the destructor. */

static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

/* return take_ptr(p);  hands the pointer over and leaves NULL behind */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) take_tmp_ = (p);                                                     \
		(p) = NULL;                                                                        \
		take_tmp_;                                                                         \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))
