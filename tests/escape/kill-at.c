/* Attack 60: the set-up is cut short at any step.  "kill-at N CMD.." runs CMD and sends SIGKILL to
 * it at its N-th system call, leaving what it started to itself.  Exit code 0 = killed there, 3 =
 * it ended earlier, by itself. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long left = argc > 2 ? 2 * atol(argv[1]) : 0; /* a stop on the way in and one out */
	int status, deliver = 0;
	pid_t pid = argc > 2 ? fork() : -1;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(99);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)PTRACE_O_TRACESYSGOOD) < 0)
		return 77;
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)deliver) < 0)
			return errno == ESRCH ? 3 : 77;
		if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
			return 3;
		deliver = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			deliver = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
			continue;
		}
		if (--left > 0)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 1;
	}
}
