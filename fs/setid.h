/* Does whoever sent the request that this thread serves lose set-uid and set-gid on what they
 * write? The kernel leaves that to us and says so in flags that libfuse does not pass on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Before a request is served, by the thread that serves it: its bytes. */
void setid_look(const void *request, size_t len);
/* What it said: for WRITE, and for OPEN with O_TRUNC. */
bool setid_lost(void);
