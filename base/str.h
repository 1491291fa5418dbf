/* Strings from people: numbers, sizes, durations, names, paths. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only: no sign, no blanks, no overflow. 0 or -EINVAL / -ERANGE. */
int parse_u64(const char *s, uint64_t *ret);
/* "4096", "64K", "1.5G": units K M G T P are powers of 1024, lower case too, "B"/"iB" suffix
 * allowed. */
int parse_size(const char *s, uint64_t *ret_bytes);
/* "500ms", "2s", "1.5m", "1h", "2d"; a bare number means seconds.  Milliseconds come back. */
int parse_duration(const char *s, uint64_t *ret_ms);
/* A positive decimal fraction such as "1.5"; 'ret' in thousandths. */
int parse_milli(const char *s, uint64_t *ret_milli);

/* "100M", "1.5G", "123": the shortest exact or one-decimal form. */
void format_size(uint64_t bytes, char out[static 24]);
/* "500 ms", "60 s", "1 h" */
void format_duration(uint64_t ms, char out[static 24]);

/* Dataset and similar names: [A-Za-z0-9][A-Za-z0-9._-]{0,63} */
bool name_is_plain(const char *s);
/* Absolute, no "." or ".." component, no "//", no trailing "/", at most PATH_MAX-1. */
bool path_is_clean_absolute(const char *s);

/* Heap string by printf; NULL when out of memory. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Copy for a terminal or log: control bytes, and bytes that are not UTF-8, become \xNN. */
void str_printable(const char *s, char *out, size_t size);

/* Lower-case hex; 'out' has 2*len+1 bytes. */
void hex_encode(const uint8_t *p, size_t len, char *out);
/* Exactly 2*len digits, either case. 0 or -EINVAL. */
int hex_decode(const char *s, uint8_t *out, size_t len);
