/* Looking at the bytes of one file of the store without believing any of them: what recovery
 * (recover_file.c) and the check (fsck_file.c) share.  doc/format.md section 7, steps 3 and 4.
 * Reads only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/cfile_priv.h"

/* How to look. */
struct examine {
	uint32_t epoch; /* E: of the state that was found */
	bool crashed;   /* the state is not clean: blocks of epochs E and E+1 may be lost */
	bool all;       /* verify every block, not only those that a crash can have lost */
	/* Blocks that are looked at elsewhere (the log holds them): taken for mapped. */
	const struct ranges *skip;
	/* Told now and then how many backing bytes were gone through; NULL = nobody asks. */
	void (*progress)(void *ctx, uint64_t bytes);
	void *ctx;
};

/* What was found. Zero-initialise; give back with findings_clear(). */
struct findings {
	struct ranges lost;    /* not verified, and the crash explains it */
	struct ranges bad;     /* not verified, and nothing explains it */
	struct ranges missing; /* holes in a file that has none */
	struct ranges newer;   /* of an epoch that the state does not know */
	uint64_t mapped;
	uint64_t good_end; /* first byte after the last good block */
	bool past;         /* entries past the end are not zero */
	bool too_long;     /* the last block is longer than the size says */
};
void findings_clear(struct findings *fi);

/* Page 0 of the file; zeros past its end. */
int examine_page0(int fd, uint8_t page[static BLOCK_SIZE]);
/* The header in 'image' (256 bytes) into 'h', the file's two keys (F, K_b) into 'key' (64 bytes of
 * guarded memory). -EBADMSG, -EOPNOTSUPP as head_open(). */
int examine_image(const struct store *s, const uint8_t *image, struct head *h, uint8_t *key);
/* The same into the file's state. */
int examine_header(struct cfile *f, const uint8_t *page);
/* Can this page 0, whose header does not open, be one that the crash kept from the disk? */
bool examine_never_durable(uint32_t epoch, const uint8_t *page);
/* The blocks below the size that the header says. On a crashed store holes of a file that is not
 * sparse count as lost. */
int examine_blocks(const struct examine *x, struct cfile *f, struct findings *fi);
/* The group in which a file of 'size' ends: what is past the end, and the last block's length. */
int examine_end(struct cfile *f, uint64_t size, struct findings *fi);
