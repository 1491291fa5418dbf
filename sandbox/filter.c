#include "sandbox/filter.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Made by filter_gen.c: filter_allow_insns[] and so on. */
#include "sandbox/filter_data.h"

#define PROGRAM(name)                                                                              \
	const struct filter_program name = { sizeof(name##_insns) / sizeof(name##_insns[0]),       \
					     name##_insns }

PROGRAM(filter_allow);
PROGRAM(filter_deny);
PROGRAM(filter_explain);
PROGRAM(filter_init);
PROGRAM(filter_connector);
PROGRAM(filter_daemon);
PROGRAM(filter_parser);

static int load(const struct filter_program *p, unsigned flags, struct err *err)
{
	const struct sock_fprog prog = {
		.len = p->len,
		.filter = (struct sock_filter *)p->insns,
	};
	int r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);

	return r < 0 ? err_set(err, -errno, "load the system call filter") : r;
}

int filter_load(const struct filter_program *p, struct err *err)
{
	return load(p, 0, err);
}

int filter_load_listener(const struct filter_program *p, struct err *err)
{
	return load(p, SECCOMP_FILTER_FLAG_NEW_LISTENER, err);
}

static bool jumps(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGT:
		return a > f->k;
	case BPF_JGE:
		return a >= f->k;
	default: /* BPF_JSET */
		return a & f->k;
	}
}

/* The instructions that libseccomp uses. */
uint32_t filter_run(const struct filter_program *p, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (uint32_t pc = 0; pc < p->len; pc++) {
		const struct sock_filter *f = &p->insns[pc];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k > sizeof(*d) - sizeof(a))
				return SECCOMP_RET_KILL_PROCESS;
			memcpy(&a, (const char *)d + f->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += jumps(f, a) ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			return SECCOMP_RET_KILL_PROCESS;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* The kernel takes the strictest, by number with a sign; of equals the one loaded last. */
uint32_t filter_decide(const struct seccomp_data *d)
{
	const uint32_t allow = filter_run(&filter_allow, d), deny = filter_run(&filter_deny, d);

	return (int32_t)(deny & SECCOMP_RET_ACTION_FULL) <=
			       (int32_t)(allow & SECCOMP_RET_ACTION_FULL)
		       ? deny
		       : allow;
}

const struct filter_call *filter_find_call(int nr)
{
	for (size_t i = 0; i < ARRAY_LEN(call_rows); i++) {
		if (call_rows[i].nr == nr)
			return &call_rows[i];
	}
	return NULL;
}
