/* Attack 31: hold on to the terminal: leave it raw, give its foreground to a process that stays and
 * takes what is typed.  For the one who sits there it is lost, unless it was never ours. */
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

int main(void)
{
	struct termios t;
	pid_t pid;
	char c;

	signal(SIGTTOU, SIG_IGN);
	if (tcgetattr(0, &t) < 0)
		return 2;
	cfmakeraw(&t);
	tcsetattr(0, TCSANOW, &t);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		tcsetpgrp(0, getpgrp());
		while (read(0, &c, 1) == 1)
			;
		_exit(0);
	}
	usleep(200000);
	return tcgetpgrp(0) == pid ? 0 : 3;
}
