/* The kit of the escape attempts.  Each program is one attack made of acts; an act returns 0 when
 * it worked or the errno it met.
 *
 *   PROGRAM            the attack, run inside: each act must meet exactly one of its errnos
 *   PROGRAM control    the positive control, run outside: the same acts must work there (or get as
 *                      far as 'control_want' says), else the attack would prove nothing
 *
 * Each act runs in a child of its own, so that none spoils the next.  Exit code 0 = as expected, 1
 * = not, 77 = no act has a control that this host and user can do. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum control {
	CONTROL_NONE,   /* cannot be done harmlessly anywhere */
	CONTROL_PLAIN,  /* anybody can do it outside */
	CONTROL_USERNS, /* anybody can do it in new namespaces of his own */
	CONTROL_ROOT,   /* only root can do it outside */
};

#define DIED(sig) (1000 + (sig)) /* instead of an errno: a signal ended the act */
#define WORKS     2000           /* instead of an errno: it must work inside as well */

struct act {
	const char *name;
	int (*fn)(void);
	int want[4]; /* any of these, 0 ends the list */
	enum control control;
	int control_want[4]; /* none = must work */
};

static bool in_control;

/* The usual end of an act. */
static inline int errno_of(long r)
{
	return r < 0 ? errno : 0;
}

static inline const char *outcome_text(int outcome, char buf[64])
{
	if (outcome == 0 || outcome == WORKS)
		return "works";
	if (outcome > 1000)
		snprintf(buf, 64, "SIG%s", sigabbrev_np(outcome - 1000));
	else
		snprintf(buf, 64, "%s", strerrorname_np(outcome) ? strerrorname_np(outcome) : "?");
	return buf;
}

static inline void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(200);
	close(fd);
}

/* All the power that an unprivileged user can give himself. */
static inline void enter_userns(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
		_exit(200);
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_text("/proc/self/gid_map", map);
}

/* Returns 0, an errno, DIED(signal), or 200 when the surroundings could not be made. */
static inline int act_outcome(const struct act *a)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		if (in_control && a->control == CONTROL_USERNS)
			enter_userns();
		alarm(20);
		_exit(a->fn());
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? DIED(WTERMSIG(status)) : WEXITSTATUS(status);
}

static inline bool outcome_in(int outcome, const int want[4])
{
	for (int i = 0; i < 4 && want[i]; i++)
		if (outcome == want[i] || (outcome == 0 && want[i] == WORKS))
			return true;
	return false;
}

/* 1 = held, 0 = did not, -1 = not possible here. */
static inline int control_act(const struct act *a)
{
	char buf[64];
	int outcome;

	if (a->control == CONTROL_NONE || (a->control == CONTROL_ROOT && geteuid() != 0)) {
		printf("none %s: no control as this user\n", a->name);
		return -1;
	}
	outcome = act_outcome(a);
	if (outcome == 0 ? !a->control_want[0] || outcome_in(0, a->control_want)
			 : outcome_in(outcome, a->control_want)) {
		printf("ok   %s: control %s\n", a->name, outcome_text(outcome, buf));
		return 1;
	}
	if (outcome == ENOSYS || outcome == EAFNOSUPPORT || outcome == EPROTONOSUPPORT ||
	    outcome == ENOPROTOOPT || outcome == ESOCKTNOSUPPORT || outcome == 200) {
		printf("none %s: not on this kernel (%s)\n", a->name, outcome_text(outcome, buf));
		return -1;
	}
	printf("BAD  %s: the control does not hold: %s\n", a->name, outcome_text(outcome, buf));
	return 0;
}

static inline int attack_act(const struct act *a)
{
	char buf[64];
	int outcome = act_outcome(a);
	bool good = outcome_in(outcome, a->want);

	printf("%s %s: %s\n", good ? "ok  " : "BAD ", a->name, outcome_text(outcome, buf));
	return good;
}

static inline int escape_main(int argc, char **argv, const struct act *acts, size_t n)
{
	size_t held = 0, bad = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	in_control = argc > 1 && strcmp(argv[1], "control") == 0;
	for (size_t i = 0; i < n; i++) {
		int r = in_control ? control_act(&acts[i]) : attack_act(&acts[i]);

		held += r > 0;
		bad += r == 0;
	}
	if (bad)
		return 1;
	return held ? 0 : 77;
}

#define ESCAPE_MAIN(acts)                                                                          \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return escape_main(argc, argv, acts, sizeof(acts) / sizeof((acts)[0]));            \
	}
