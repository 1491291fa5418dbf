/* In W, before the filters: what a kernel finds on its desk. */
#pragma once

struct plan_kernel;
struct err;

/* Write the kernel's private file and make its links in the working directory, which is the current
 * one.  Links of an earlier run that lead nowhere are removed; names that exist are left alone. */
int desk_lay(const struct plan_kernel *k, struct err *err);
