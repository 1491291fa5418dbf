/* Without libFuzzer a fuzz target replays files: each argument is a file, or a directory of them.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t cap = 1 << 20, len;
	uint8_t *data = malloc(cap);

	if (f && data) {
		/* An exact heap copy, so that the address sanitizer sees the first byte too many.
		 */
		len = fread(data, 1, cap, f);
		uint8_t *exact = malloc(len ? len : 1);

		memcpy(exact, data, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
		replayed++;
	}
	free(data);
	if (f)
		fclose(f);
}

static void replay(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char sub[4096];

	if (!d) {
		replay_file(path);
		return;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		replay(sub);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%u inputs replayed\n", replayed);
	return 0;
}
