/* Attack 7: survive: double fork, sessions of their own, all descriptors closed, signals ignored,
 * some stopped. The processes carry the word of the first argument in their command line. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void survive(int nth)
{
	setsid();
	if (fork())
		_exit(0);
	for (int s = 1; s < 32; s++)
		signal(s, SIG_IGN);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	prctl(PR_SET_PDEATHSIG, 0);
	/* A third is stopped, a third is busy. */
	if (nth % 3 == 1)
		raise(SIGSTOP);
	for (;;)
		if (nth % 3 != 2)
			pause();
}

int main(int argc, char **argv)
{
	int many = argc > 2 ? atoi(argv[2]) : 12;

	for (int i = 0; i < many; i++)
		if (fork() == 0)
			survive(i);
	usleep(200000);
	puts("left");
	return 0;
}
