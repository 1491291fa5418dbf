/* The rows of sbxctl doctor that are not about the sandbox (those are sandbox/probe.h): what the
 * filesystem and the keys need. Each is tried; nothing is left behind. */
#pragma once

#include <stddef.h>

struct probe_result;

/* Fills at most 'max' rows, returns how many. */
size_t doctor_host(struct probe_result *ret, size_t max);
