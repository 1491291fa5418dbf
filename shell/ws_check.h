/* Is this path a workspace?  When not, the sentence says what it is instead and what to type. */
#pragma once

struct err;

/* 0 also when it cannot be looked at: whoever opens it says why. */
int ws_check(const char *ws, struct err *err);
