/* The cipher ciphers by number and by name, and how fast each is here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CIPHER_XCHACHA20 1
#define CIPHER_AES_GCM   2
#define CIPHER_AEGIS     3
#define CIPHER_MAX       3

/* "xchacha20", "aes-gcm", "aegis"; NULL for a number that is none. */
const char *cipher_name(uint8_t suite);
/* 0 when no suite has this name. */
uint8_t cipher_by_name(const char *name);
/* Does this build, on this processor, offer it?  'ret_why' receives the reason if not ("this
 * processor has no AES instructions"); may be NULL. */
bool cipher_available(uint8_t suite, const char **ret_why);

/* Seal blocks as the format does (key set-up per request of 64 KiB included) for about 'ms'
 * milliseconds. Returns MB/s of plaintext (10^6 bytes), 0 when not available. */
unsigned cipher_measure(uint8_t suite, unsigned ms);
