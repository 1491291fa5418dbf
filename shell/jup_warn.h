/* A word in the running cell, from outside. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Write one line to the standard error of the process, if that is a pipe: ipykernel reads its own
 * from one, and shows the line where the cell's other output is.  Never blocks, truncates or
 * creates; false when it was not written. */
bool jup_warn(pid_t pid, const char *line);
