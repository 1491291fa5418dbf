/* sbx-archive: reads one archive, confined.  Started by sbxfsd (fs/arch_job.c) with the archive as
 * descriptor 0, a pipe as descriptor 1 and nothing else: no key, no environment, no other file.
 *
 *   sbx-archive index|unpack MAX_BYTES MAX_ENTRIES */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "config.h"
#include "fs/arch_read.h"
#include "sandbox/confine.h"

/* The largest window of xz -9 is 64 MiB, of zstd --long=27 128 MiB; the tables of a zip, an iso or
 * a 7z with a million entries are some hundred MiB. */
#define MEMORY_MAX (2ull << 30)
/* A bomb is bounded by its bytes; this bounds what does not even make progress. */
#define CPU_S_MAX (4 * 3600)

int main(int argc, char **argv)
{
	struct arch_read_options o = { 0 };
	struct err err = { 0 };

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("sbx-archive %s\n", SBX_VERSION);
		return 0;
	}
	if (argc != 4 || (strcmp(argv[1], "index") != 0 && strcmp(argv[1], "unpack") != 0) ||
	    parse_u64(argv[2], &o.max_bytes) < 0 || parse_u64(argv[3], &o.max_entries) < 0)
		return 2;
	o.unpack = strcmp(argv[1], "unpack") == 0;
	/* Names in tar and zip are kept in UTF-8 or as they are; libarchive gives NULL for what the
	 * locale cannot say. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, "");
	if (confine_parser(2, MEMORY_MAX, CPU_S_MAX, &err) < 0)
		return 3;
	return arch_read(&o);
}
