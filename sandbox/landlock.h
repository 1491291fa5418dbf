/* Landlock: a second, independent rule about files, signals and abstract sockets. */
#pragma once

#include <stdint.h>

struct err;

/* One path inside and what may be done below it. */
enum landlock_use { LANDLOCK_READ, LANDLOCK_WRITE, LANDLOCK_DEVICES };

/* Rights of files known to this ABI; 0 for ABI 0. Pure, for tests. */
uint64_t landlock_rights(int abi);
uint64_t landlock_scopes(int abi);
/* The subset of landlock_rights(abi) that 'use' grants on a directory. */
uint64_t landlock_grant(int abi, enum landlock_use use);

/* The kernel's ABI, 0 when there is none. */
int landlock_abi(void);
/* Restrict the caller for good, with one single ruleset (a second one would lose the right to
 * rename between directories). no_new_privs must be set. Does nothing when the ABI is 0. */
int landlock_restrict(struct err *err);
