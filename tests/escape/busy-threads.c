/* Attack 11: all processors at once: as many busy threads as the first argument says, for at most
 * as many seconds as the second says. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *spin(void *arg)
{
	for (volatile unsigned long n = 0;; n++)
		if (!arg)
			return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 64, seconds = argc > 2 ? atoi(argv[2]) : 20,
	    made = 0;
	pthread_t t;

	for (int i = 0; i < threads; i++)
		made += pthread_create(&t, NULL, spin, argv) == 0;
	printf("%d threads\n", made);
	fflush(stdout);
	sleep((unsigned)seconds);
	return 0;
}
