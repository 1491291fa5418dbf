/* Shared by client.c and client_run.c. */
#pragma once

#include "fs/client.h"

#define MESSAGE_MAX 65536

/* A reply that says no carries the daemon's own code and sentence. */
int fsc_reply_check(const json_t *reply, struct err *err);
/* fsc_daemon_path(), with a sentence. */
int fsc_daemon_must(char *ret, size_t size, struct err *err);
/* In a child: run sbxfsd, with no signal blocked and little of our environment. */
_Noreturn void fsc_exec(const char *path, char *const *argv);
