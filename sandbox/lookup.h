/* From the name of a program to the program. */
#pragma once

#include "sandbox/plan.h"

struct err;

/* As execvpe() with the plan's PATH, but a file that is no program is an error (ENOEXEC), not a
 * shell script.  Returns only when that failed: the errno.  'err' says more where the file is
 * there, but what it needs (the end of a link, an interpreter) is not shown in the sandbox. */
int lookup_exec(const struct sandbox_plan *p, struct err *err);
