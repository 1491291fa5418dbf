/* What the kernel may hold of a mount and reads ahead of it (/sys/class/bdi). */
#pragma once

#include <stdint.h>

/* Let the kernel hold 'want' bytes of the mount with this st_dev, UINT64_MAX for as much as is good
 * for speed, 0 to leave it as it is. Only root may change it.  Returns what it may hold now, at
 * most, in bytes: a soft bound, which tasks pass by a few pages each.  'dev' 0: unknown, an
 * assumption comes back. */
uint64_t bdi_dirty_bound(uint64_t dev, uint64_t want);
/* A FUSE mount reads 128 KiB ahead: more, if we are root. */
void bdi_read_ahead(uint64_t dev);
