/* Attack 1: processes without end. Prints "EAGAIN after N" and goes on trying for ever. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	int made = 0, told = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid > 0) {
			made++;
			/* Without any limit: enough to have shown it, harmless to the host. */
			if (made >= 2000) {
				printf("no limit met after %d\n", made);
				return 1;
			}
			continue;
		}
		if (!told)
			printf("%s after %d\n", strerrorname_np(errno), made);
		told = 1;
		usleep(1000);
	}
}
