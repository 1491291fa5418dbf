/* In pid 1 of a kernel's sandbox: connections to the kernel, made inside and used outside. */
#pragma once

struct plan_kernel;

/* A connection to one of the kernel's channels (0 .. PLAN_CHANNELS - 1), non-blocking and perhaps
 * still connecting.  Returns a descriptor owned by the caller, or -errno: -ECONNREFUSED or -ENOENT
 * when the kernel does not listen (yet), -EINVAL for another channel. */
int connector_dial(const struct plan_kernel *k, unsigned channel);
