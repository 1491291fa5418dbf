/* W: from the fork of pid 1 to execve. */
#pragma once

#include "sandbox/enter.h"

/* 'tty': the inner end of the pty, or -1.  What fails is written to 'report_pipe' as one struct
 * report (REPORT_EXEC or REPORT_ERROR); a successful execve closes it. */
_Noreturn void work(const struct enter *e, int tty, int report_pipe);
