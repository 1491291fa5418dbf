/* The signature of Jupyter messages: HMAC-SHA256 in hex. */
#pragma once

#include <stddef.h>

/* Over the 'n' texts, one after the other.  'ret' gets 64 digits, or nothing with an empty key. */
void jup_sign(const char *key, const char *const *texts, size_t n, char ret[static 65]);
