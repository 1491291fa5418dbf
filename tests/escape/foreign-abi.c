/* Attack 26: system calls by another door than the filter's: x32 and the 32-bit gate. */
#include "tests/escape/escape.h"

#ifdef __x86_64__
#define X32_BIT 0x40000000L

static int x32_getpid(void)
{
	return errno_of(syscall(X32_BIT | SYS_getpid));
}

static int x32_ptrace(void)
{
	return errno_of(syscall(X32_BIT | 521L, 0, 0, 0, 0));
}

static long int80(long nr, long a, long b)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int as_errno(long r)
{
	return (int)r < 0 ? -(int)r : 0;
}

static int int80_getpid(void)
{
	return as_errno(int80(20, 0, 0));
}

/* unshare(CLONE_NEWUSER) is number 310 there. */
static int int80_unshare(void)
{
	return as_errno(int80(310, CLONE_NEWUSER, 0));
}

static int int80_socketcall(void)
{
	return as_errno(int80(102, 1, 0));
}

static const struct act acts[] = {
	{ "x32 getpid", x32_getpid, { ENOSYS, EPERM, DIED(SIGSYS) }, CONTROL_PLAIN, { WORKS } },
	{ "x32 ptrace", x32_ptrace, { ENOSYS, EPERM, DIED(SIGSYS) }, CONTROL_PLAIN, { WORKS } },
	{ "int80 getpid",
	  int80_getpid,
	  { ENOSYS, EPERM, DIED(SIGSYS) },
	  CONTROL_PLAIN,
	  { WORKS, DIED(SIGSEGV) } },
	{ "int80 unshare",
	  int80_unshare,
	  { ENOSYS, EPERM, DIED(SIGSYS) },
	  CONTROL_PLAIN,
	  { WORKS, DIED(SIGSEGV) } },
	{ "int80 socketcall",
	  int80_socketcall,
	  { ENOSYS, EPERM, DIED(SIGSYS) },
	  CONTROL_PLAIN,
	  { EFAULT, DIED(SIGSEGV) } },
};
#else
static int other_machine(void)
{
	return ENOSYS;
}

static const struct act acts[] = {
	{ "no second ABI on this machine", other_machine, { ENOSYS }, CONTROL_NONE, { 0 } },
};
#endif

ESCAPE_MAIN(acts)
