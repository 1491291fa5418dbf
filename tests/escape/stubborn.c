/* Attacks 8 to 10: do not end in time. "ignore": TERM, INT, HUP ignored; "stop": the process stops
 * itself, "stop-group": the whole group; "orphan": leaves a child that holds stdout open. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "ignore";

	setvbuf(stdout, NULL, _IONBF, 0);
	puts("begun");
	if (strcmp(how, "ignore") == 0) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
	} else if (strcmp(how, "stop") == 0) {
		raise(SIGSTOP);
	} else if (strcmp(how, "stop-group") == 0) {
		if (fork() == 0)
			pause();
		kill(0, SIGSTOP);
	} else if (strcmp(how, "orphan") == 0) {
		if (fork() == 0) {
			setsid();
			sleep(60);
		}
		puts("ended");
		return 0;
	}
	for (;;)
		sleep(60);
}
