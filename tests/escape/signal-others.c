/* Attack 14: signals to pid 1, to the supervisor's number, to everybody. Only our own tree is hit.
 */
#include "tests/escape/escape.h"

/* Pid 1 lives on: it is still our ancestor after the signal had time to arrive. */
static int pid1_survives(int sig)
{
	pid_t child;

	kill(1, sig);
	usleep(50000);
	child = fork();
	if (child == 0)
		_exit(7);
	int status = 0;

	return waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7 ? 0 : ESRCH;
}

static int kill_pid1(void)
{
	return pid1_survives(SIGKILL);
}

static int stop_pid1(void)
{
	return pid1_survives(SIGSTOP);
}

static int crash_pid1(void)
{
	return pid1_survives(SIGSEGV);
}

/* HOST_PID is a process on the host: its number means nothing here. */
static int kill_host_pid(void)
{
	const char *pid = getenv("HOST_PID");

	return pid ? errno_of(kill(atoi(pid), in_control ? 0 : SIGKILL)) : 200;
}

/* A signal that is ignored by default, so that the program that counts the acts lives on. */
static int kill_everybody(void)
{
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	kill(-1, SIGURG);
	return errno_of(kill(child, SIGKILL));
}

static int compare_with_pid1(void)
{
	return errno_of(syscall(SYS_kcmp, in_control ? getpid() : 1, getpid(), 0, 0, 0));
}

static const struct act acts[] = {
	{ "SIGKILL to pid 1", kill_pid1, { WORKS }, CONTROL_NONE, { 0 } },
	{ "SIGSTOP to pid 1", stop_pid1, { WORKS }, CONTROL_NONE, { 0 } },
	{ "SIGSEGV to pid 1", crash_pid1, { WORKS }, CONTROL_NONE, { 0 } },
	{ "SIGKILL to a process of the host", kill_host_pid, { ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "a signal to everybody", kill_everybody, { WORKS }, CONTROL_NONE, { 0 } },
	{ "kcmp with pid 1", compare_with_pid1, { EPERM }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
