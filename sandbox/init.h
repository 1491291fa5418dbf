/* Pid 1 of the sandbox, after everything is built: it waits. */
#pragma once

#include <sys/types.h>

struct plan_kernel;

/* Shed everything but the link, then reap, pass S's signals on to the worker's
 * process group, report the worker's end and exit: with pid 1 ends everything in the namespace.
 * Also exits when the link closes, which is how S's death, even by SIGKILL, ends the sandbox.
 * 'kernel' (or NULL): also connect to its channels when S orders it. */
_Noreturn void init_run(int link, pid_t worker, const struct plan_kernel *kernel);
