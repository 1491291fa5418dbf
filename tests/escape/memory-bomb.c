/* Attack 2: memory without end: "heap", "memfd", or a file on a tmpfs ("/dev/shm", "/tmp").
 * Prints "met ERRNO after N MiB" when something other than an end by SIGKILL stops it; gives up at
 * the number of MiB of the second argument, which proves that there was no limit. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1 << 20)

static int grow_heap(int max)
{
	for (int n = 0; n < max; n++) {
		char *p =
			mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED) {
			printf("met %s after %d MiB\n", strerrorname_np(errno), n);
			return 0;
		}
		memset(p, 1 + n % 100, MIB);
		/* Slow enough for a supervisor that has to look by itself. */
		usleep(500);
	}
	printf("no limit met after %d MiB\n", max);
	return 1;
}

static int grow_file(int fd, int max)
{
	char *block = malloc(MIB);

	if (!block)
		return 2;
	memset(block, 7, MIB);
	for (int n = 0; n < max; n++) {
		if (write(fd, block, MIB) != MIB) {
			printf("met %s after %d MiB\n", strerrorname_np(errno), n);
			return 0;
		}
		usleep(500);
	}
	printf("no limit met after %d MiB\n", max);
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "heap";
	int max = argc > 2 ? atoi(argv[2]) : 256, fd;
	char path[300];

	setvbuf(stdout, NULL, _IONBF, 0);
	if (strcmp(what, "heap") == 0)
		return grow_heap(max);
	if (strcmp(what, "memfd") == 0) {
		fd = memfd_create("bomb", MFD_CLOEXEC);
	} else {
		snprintf(path, sizeof(path), "%s/bomb", what);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	if (fd < 0) {
		printf("cannot begin: %s\n", strerrorname_np(errno));
		return 2;
	}
	return grow_file(fd, max);
}
