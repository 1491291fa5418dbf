/* Attack 6: file descriptors without end, in one process and in many. Prints "EMFILE after N", then
 * how many files many processes could hold open together. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_until_refused(void)
{
	int n = 0;

	while (n < 100000 && open("held", O_RDONLY | O_CREAT, 0600) >= 0)
		n++;
	return n;
}

int main(int argc, char **argv)
{
	int many = argc > 1 ? atoi(argv[1]) : 20, ready[2], hold[2];
	char c;
	long total = 0;
	pid_t first = fork();

	setvbuf(stdout, NULL, _IONBF, 0);
	if (first == 0) {
		int n = open_until_refused();

		printf("%s after %d\n", strerrorname_np(errno), n);
		_exit(n >= 100000);
	}
	waitpid(first, NULL, 0);
	if (pipe(ready) < 0 || pipe(hold) < 0)
		return 2;
	for (int i = 0; i < many; i++) {
		if (fork() == 0) {
			int n;

			close(hold[1]);
			n = open_until_refused();
			if (write(ready[1], &n, sizeof(n)) != sizeof(n))
				_exit(1);
			/* Until all have theirs. */
			_exit(read(hold[0], &c, 1) != 0);
		}
	}
	for (int i = 0, n; i < many; i++)
		if (read(ready[0], &n, sizeof(n)) == sizeof(n))
			total += n;
	close(hold[1]);
	printf("together %ld\n", total);
	while (wait(NULL) > 0)
		;
	/* All were closed: the filesystem serves on. */
	return open("after", O_RDWR | O_CREAT, 0600) < 0;
}
