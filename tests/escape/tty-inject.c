/* Attack 30: type into the terminal that we were started from. Standard input is a terminal. */
#include "tests/escape/escape.h"

#include <sys/ioctl.h>
#include <termios.h>

static int inject(unsigned long request)
{
	char c = 'X';

	return errno_of(syscall(SYS_ioctl, 0, request, &c));
}

static int sti(void)
{
	return inject(TIOCSTI);
}

/* The kernel takes 32 bits of the request; a filter that compares 64 lets this one pass. */
static int sti_high_bits(void)
{
	return inject(TIOCSTI | (1UL << 32));
}

static int sti_stderr(void)
{
	char c = 'X';

	return errno_of(ioctl(2, TIOCSTI, &c));
}

static int linux_paste(void)
{
	char sub = 3;

	return errno_of(ioctl(0, TIOCLINUX, &sub));
}

static int set_discipline(void)
{
	int n = 15;

	return errno_of(ioctl(0, TIOCSETD, &n));
}

static int steal_console(void)
{
	return errno_of(ioctl(0, TIOCCONS));
}

static const struct act acts[] = {
	{ "TIOCSTI", sti, { EPERM, ENOTTY }, CONTROL_ROOT, { WORKS, EIO } },
	{ "TIOCSTI + 2^32", sti_high_bits, { EPERM, ENOTTY }, CONTROL_ROOT, { WORKS, EIO } },
	{ "TIOCSTI on stderr", sti_stderr, { EPERM, ENOTTY }, CONTROL_NONE, { 0 } },
	{ "TIOCLINUX", linux_paste, { EPERM, ENOTTY }, CONTROL_NONE, { 0 } },
	{ "TIOCSETD", set_discipline, { EPERM, ENOTTY }, CONTROL_NONE, { 0 } },
	{ "TIOCCONS", steal_console, { EPERM, ENOTTY }, CONTROL_NONE, { 0 } },
};

ESCAPE_MAIN(acts)
