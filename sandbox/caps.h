/* Capabilities: all of them away, for good. */
#pragma once

struct err;

/* Empty the bounding, ambient, inheritable, permitted and effective sets of the caller, lock the
 * security bits, and set no_new_privs. */
int caps_drop_all(struct err *err);
int caps_no_new_privs(struct err *err);
