/* Descriptors of a process about to change hands. */
#pragma once

#include <stddef.h>

struct err;

/* Close everything from 3 up except the given ones (any order, negative ones are ignored). */
int fds_close_except(const int *keep, size_t n, struct err *err);
/* Mark everything from 3 up close-on-exec: the last thing before execve. */
int fds_cloexec_all(struct err *err);
/* Make these three descriptors 0, 1 and 2, whatever their numbers are now. */
int fds_set_stdio(const int fds[3], struct err *err);
