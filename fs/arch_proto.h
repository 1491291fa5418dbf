/* What sbx-archive, the confined reader of archives, writes into its pipe.  It parses hostile
 * bytes, so its own output is hostile as well: fs/arch_stream.c checks everything.
 *
 *   record:    le32 length of the body, u8 kind, body
 *   ENTRY      u8 type, u8 flags, le16 mode, le64 size, le64 place, le64 mtime (signed), le32 nsec,
 *              le16 name length, le16 target length, name, target
 *   DATA       bytes of the members, in the order of their entries, those in place left out
 *   PROGRESS   le64 bytes of the archive read so far
 *   END        u8 flags, text: the format ("tar, gzip")
 *   FAIL       u8 reason, text
 *
 * "index" sends ENTRY for all, "unpack" DATA; both end with END or FAIL. */
#pragma once

#include <stdint.h>

#define ARCH_FD_SOURCE 0
#define ARCH_FD_OUT    1

enum arch_record {
	ARCH_ENTRY = 'E',
	ARCH_DATA = 'D',
	ARCH_PROGRESS = 'P',
	ARCH_END = 'Z',
	ARCH_FAIL = 'F',
};

#define ARCH_HEAD_SIZE  5u
#define ARCH_ENTRY_SIZE 36u
#define ARCH_DATA_MAX   (256u * 1024)
#define ARCH_BODY_MAX   ARCH_DATA_MAX
#define ARCH_PATH_MAX   4095u
#define ARCH_NAME_MAX   255u
#define ARCH_TEXT_MAX   400u

enum arch_type {
	ARCH_FILE = 1,
	ARCH_DIR,
	ARCH_SYMLINK,
	ARCH_HARDLINK, /* 'target' is an earlier file; with a size it carries the bytes of both */
	ARCH_OTHER,    /* devices, fifos, sockets: left out */
};

#define ARCH_IN_PLACE 1u /* flag of an entry: 'place' is where the bytes are in the archive */
#define ARCH_SINGLE   1u /* flag of the end: one compressed file, no archive */

enum arch_reason {
	ARCH_NOT = 1, /* not an archive */
	ARCH_LOCKED,  /* encrypted */
	ARCH_BROKEN,  /* damaged or cut off */
	ARCH_TOO_BIG, /* beyond a limit of ours */
	ARCH_FAILED,  /* memory and the like */
};
