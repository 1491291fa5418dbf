/* Attack 15: processes that nobody waits for, orphaned by the thousand: pid 1 must reap them all.
 * First argument: how many. Prints how many processes are left at the end. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int processes(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] >= '0' && e->d_name[0] <= '9';
	if (d)
		closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	long want = argc > 1 ? atol(argv[1]) : 10000, made = 0, refused = 0;

	while (made < want) {
		pid_t middle = fork();

		if (middle < 0) {
			/* Pid 1 has to be given the time to reap. */
			if (++refused > 20000)
				break;
			usleep(500);
			continue;
		}
		if (middle == 0) {
			for (int i = 0; i < 40; i++) {
				pid_t p = fork();

				if (p == 0)
					_exit(0);
			}
			_exit(0);
		}
		waitpid(middle, NULL, 0);
		made += 40;
	}
	for (int i = 0; i < 200 && processes() > 10; i++)
		usleep(10000);
	printf("made %ld left %d\n", made, processes());
	return made < want || processes() > 10;
}
