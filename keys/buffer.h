/* Memory for plaintext on its way: not for keys (secret.h), and much more of it.  It is kept out of
 * the swap as far as this host lets us, and said to be so by 'status'.
 *
 * Where the limit on locked memory does not apply to us (root), all of the process is locked, page
 * by page as it is touched.  Elsewhere half of the limit is for these buffers, first come, first
 * served: the other half stays for the keys, which matter more. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* After secret_setup(), before threads: lock the whole process, now and in future, if nothing
 * limits that.  Returns whether it did. */
bool buffer_lock_process(void);
/* Is all of the process locked? */
bool buffer_process_locked(void);

/* 'len' bytes from a page boundary on, locked if that may be, never in a core dump; NULL: out of
 * memory.  Give back with buffer_release(). */
void *buffer_alloc(size_t len);
void buffer_release(void *p); /* wipes; accepts NULL */

static inline void cleanup_buffer(void *p)
{
	buffer_release(*(void **)p);
}
/* autobuffer uint8_t *page = buffer_alloc(4096); */
#define autobuffer __attribute__((cleanup(cleanup_buffer)))

/* The same for memory that somebody else allocated and that stays as long as the process. */
void buffer_lock(void *p, size_t len);

/* For a process that handles secrets and has nothing else to hide or to show: no core dump, and
 * nobody of the same user may trace it or read its memory. */
void buffer_forbid_dumps(void);
