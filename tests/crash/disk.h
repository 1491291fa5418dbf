/* The backing filesystem as a power cut may leave it, computed from a trace.
 *
 * Data of a file: everything up to the last sync that returned; of what was written since, each
 * page on its own holds any version, or bytes of two mixed; the size is any that it had.
 *
 * Names, modes and xattrs follow one of two models, both of them legal:
 *   ordered   one journal for all (ext4, xfs): what came first survives first.  A sync of a file or
 *             directory takes along everything up to its own last change.
 *   own       (btrfs) a sync makes this inode durable and the names it has, and of a directory the
 *             entries it has; all else may be as old as the last sync of the whole filesystem.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/crash/trace.h"

struct disk;

/* 'store': a copy of the store as it was when recording began; 'inodes': lines "INODE PATH" with
 * the numbers that the trace knows its files by.  Exits with a sentence when something is wrong. */
struct disk *disk_load(const char *trace, const char *store, const char *inodes);
uint64_t disk_records(const struct disk *d);
/* The disk forgets that some syncs ran: to see that the tests would notice. */
void disk_lie(struct disk *d);
/* From now on the "own" model is one of the possibilities. */
void disk_own(struct disk *d);
/* Go on to the moment before record 'upto'; never back. */
void disk_advance(struct disk *d, uint64_t upto);
/* One of the things that a power cut at this moment may leave, into the empty directory 'dir'. */
void disk_build(struct disk *d, const char *dir, uint64_t *rnd);
/* What inode of the trace is the one with this number in the state that was built last; others stay
 * as they are. */
uint64_t disk_was_ino(const struct disk *d, uint64_t ino);
