/* Asking for a passphrase.  The only header of keys/ that programs for people include. */
#pragma once

#include <stdbool.h>

#include "keys/secret.h"

struct err;

/* Longest passphrase in bytes. */
#define PROMPT_MAX 1024

/* Ask on /dev/tty with echo off; the terminal is as before on every way out, signals included.
 * 'confirm' asks twice (a new passphrase) and refuses an empty one.  -ENOTTY: no terminal (the
 * sentence names no option, the caller adds it); -ECANCELED: interrupted or end of file;
 * -EINVAL: the two differ.  Not for a process with other threads: it takes the signals. */
int prompt_passphrase(const char *question, bool confirm, struct secret **ret, struct err *err);

/* All bytes up to end of file or the first line end, from a pipe or file. -EINVAL when there is
 * none, or it is longer than PROMPT_MAX. */
int prompt_read_fd(int fd, struct secret **ret, struct err *err);
/* The same from a file, which must not be readable by others than its owner ("-" is stdin). */
int prompt_read_file(const char *path, struct secret **ret, struct err *err);
