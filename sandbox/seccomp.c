#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef UDP_ENCAP
#define UDP_ENCAP 100
#endif

/* Complete structs: the library's own macros leave fields out. */
#define EQ(arg, value) ((struct scmp_arg_cmp){ (arg), SCMP_CMP_EQ, (scmp_datum_t)(value), 0 })
#define LT(arg, value) ((struct scmp_arg_cmp){ (arg), SCMP_CMP_LT, (scmp_datum_t)(value), 0 })
#define GT(arg, value) ((struct scmp_arg_cmp){ (arg), SCMP_CMP_GT, (scmp_datum_t)(value), 0 })
#define MASKED(arg, mask, value)                                                                   \
	((struct scmp_arg_cmp){ (arg), SCMP_CMP_MASKED_EQ, (mask), (scmp_datum_t)(value) })

static void cleanup_ctx(scmp_filter_ctx *ctx)
{
	seccomp_release(*ctx);
}
#define autoctx __attribute__((cleanup(cleanup_ctx)))

/* The kernel looks at 32 bits of such arguments, a filter at 64: without the mask TIOCSTI + 2^32
 * passes (CVE-2019-10063). */
#define LOW32(arg, value) MASKED(arg, 0xffffffffULL, value)

#define CLONE_NAMESPACES                                                                           \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

#ifdef __s390x__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif

int seccomp_number(const char *name)
{
	return seccomp_syscall_resolve_name(name);
}

int seccomp_name(int nr, char ret[static 48])
{
	autofree char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

	if (!name || strlen(name) >= 48)
		return -ENOENT;
	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

int seccomp_next_name(const char **cursor, char name[static 48])
{
	const char *p = *cursor + strspn(*cursor, " ");
	size_t n = strcspn(p, " ");

	if (n == 0 || n >= 48)
		return -ENOENT;
	memcpy(name, p, n);
	name[n] = '\0';
	*cursor = p + n;
	return 0;
}

static int add_calls(scmp_filter_ctx ctx, uint32_t action, const char *names, int *last)
{
	char name[48];

	while (seccomp_next_name(&names, name) == 0) {
		int nr = seccomp_syscall_resolve_name(name);
		int r;

		if (nr < 0)
			continue;
		if (last)
			*last = MAX(*last, nr);
		r = seccomp_rule_add_array(ctx, action, nr, 0, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_rows(scmp_filter_ctx ctx, const struct seccomp_row *rows, int *last)
{
	int r = 0;

	for (; rows->names && r == 0; rows++)
		r = add_calls(ctx, SCMP_ACT_ALLOW, rows->names, last);
	return r;
}

struct arg_rule {
	const char *call;
	unsigned n;
	struct scmp_arg_cmp cmp[2];
};

static int add_arg_rules(scmp_filter_ctx ctx, uint32_t action, const struct arg_rule *rules,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(rules[i].call);
		int r = nr < 0 ? 0
			       : seccomp_rule_add_array(ctx, action, nr, rules[i].n, rules[i].cmp);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Allowed with these arguments only. */
static int add_allowed_args(scmp_filter_ctx ctx)
{
	const struct arg_rule rules[] = {
		/* threads and forks, no namespaces */
		{ "clone", 1, { MASKED(CLONE_FLAGS_ARG, CLONE_NAMESPACES, 0) } },
		/* families: all others (VSOCK, ALG, PACKET, RXRPC, XDP, ...) reach kernel code that
		 * knows no network namespace, or too much code */
		{ "socket", 1, { EQ(0, AF_UNIX) } },
		{ "socket", 1, { EQ(0, AF_INET) } },
		{ "socket", 1, { EQ(0, AF_INET6) } },
		/* NETLINK_ROUTE, for getifaddrs() */
		{ "socket", 2, { EQ(0, AF_NETLINK), EQ(2, 0) } },
		/* ordinary, ask, no randomisation (debuggers, lisps) */
		{ "personality", 1, { EQ(0, 0x0) } },
		{ "personality", 1, { EQ(0, 0xffffffff) } },
		{ "personality", 1, { EQ(0, 0x40000) } },
		{ "ioctl", 0, { { 0 } } },
	};

	return add_arg_rules(ctx, SCMP_ACT_ALLOW, rules, ARRAY_LEN(rules));
}

static int add_denied_args(scmp_filter_ctx ctx)
{
	const struct arg_rule rules[] = {
		/* typing into the terminal of somebody else */
		{ "ioctl", 1, { LOW32(1, TIOCSTI) } },
		{ "ioctl", 1, { LOW32(1, TIOCLINUX) } },
		/* pid 1 has the payload's id, so the kernel lets it be slowed down or ended by a
		 * limit of its own: it reports how the run ended */
		{ "prlimit64", 2, { LOW32(0, 1), GT(2, 0) } },
		{ "sched_setscheduler", 1, { LOW32(0, 1) } },
		{ "sched_setparam", 1, { LOW32(0, 1) } },
		{ "sched_setattr", 1, { LOW32(0, 1) } },
		{ "sched_setaffinity", 1, { LOW32(0, 1) } },
		{ "setpriority", 2, { LOW32(0, PRIO_PROCESS), LOW32(1, 1) } },
		/* a lease makes whoever writes the file wait: the host, for what --ro shows */
		{ "fcntl", 1, { LOW32(1, F_SETLEASE) } },
		{ "fcntl64", 1, { LOW32(1, F_SETLEASE) } },
		/* line disciplines: kernel modules by number */
		{ "ioctl", 1, { LOW32(1, TIOCSETD) } },
		/* kernel TLS and ESP on sockets: page cache attacks of 2026 */
		{ "setsockopt", 2, { LOW32(1, IPPROTO_TCP), LOW32(2, TCP_ULP) } },
		{ "setsockopt", 2, { LOW32(1, IPPROTO_UDP), LOW32(2, UDP_ENCAP) } },
	};
	int r = add_arg_rules(ctx, SCMP_ACT_ERRNO(EPERM), rules, ARRAY_LEN(rules));

	return r < 0 ? r : add_calls(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL);
}

/* Before the list: numbers that are newer than it get ENOSYS, as on an older kernel.  A foreign ABI
 * (32-bit, x32) goes on to the list, which kills it. */
static void prepend_enosys(struct seccomp_program *p, int last)
{
	const uint32_t arch = seccomp_arch_native();
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)last, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	memmove(p->insns + ARRAY_LEN(head), p->insns, p->len * sizeof(p->insns[0]));
	memcpy(p->insns, head, sizeof(head));
	p->len += ARRAY_LEN(head);
}

/* libseccomp writes the program to a descriptor. */
static int export(scmp_filter_ctx ctx, size_t room, struct seccomp_program *ret)
{
	autoclose int fd = memfd_create("sbx-filter", MFD_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	n = fd_pread_full(fd, ret->insns, sizeof(ret->insns), 0);
	if (n < 0)
		return (int)n;
	ret->len = (uint32_t)((size_t)n / sizeof(ret->insns[0]));
	return ret->len + room > SECCOMP_INSNS_MAX ? -E2BIG : 0;
}

static int new_ctx(uint32_t dflt, scmp_filter_ctx *ret)
{
	scmp_filter_ctx ctx = seccomp_init(dflt);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A tree and not a chain: half a microsecond less per call with a list of this length. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0) {
		seccomp_release(ctx);
		return r;
	}
	*ret = ctx;
	return 0;
}

static int build_allow(struct seccomp_program *ret)
{
	autoctx scmp_filter_ctx ctx = NULL;
	int last = 0;
	int r = new_ctx(SCMP_ACT_ERRNO(EPERM), &ctx);

	if (r == 0)
		r = add_rows(ctx, seccomp_allowed, &last);
	if (r == 0)
		r = add_allowed_args(ctx);
	if (r == 0)
		r = export(ctx, 8, ret);
	for (const struct seccomp_row *row = seccomp_refused; row->names; row++) {
		const char *names = row->names;
		char name[48];

		while (seccomp_next_name(&names, name) == 0)
			last = MAX(last, seccomp_syscall_resolve_name(name));
	}
	if (r == 0)
		prepend_enosys(ret, last);
	return r;
}

static int build_deny(struct seccomp_program *ret)
{
	autoctx scmp_filter_ctx ctx = NULL;
	int r = new_ctx(SCMP_ACT_ALLOW, &ctx);

	if (r == 0)
		r = add_denied_args(ctx);
	return r < 0 ? r : export(ctx, 0, ret);
}

/* Copy 'from' behind 'to': what it refuses with an error becomes a notification, and what it allows
 * goes on to the instruction 'next' (0: is allowed). */
static void append_explained(struct seccomp_program *to, const struct seccomp_program *from,
			     uint32_t next)
{
	for (uint32_t i = 0; i < from->len; i++) {
		struct sock_filter f = from->insns[i];
		const bool ret = f.code == (BPF_RET | BPF_K);

		if (ret && (f.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
			f.k = SECCOMP_RET_USER_NOTIF;
		else if (ret && f.k == SECCOMP_RET_ALLOW && next)
			f = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, next - to->len - 1);
		to->insns[to->len++] = f;
	}
}

/* Both in one program: of several filters only one may have a listener. */
static int build_explain(const struct seccomp_program *allow, const struct seccomp_program *deny,
			 struct seccomp_program *ret)
{
	if (allow->len + deny->len > SECCOMP_INSNS_MAX)
		return -E2BIG;
	ret->len = 0;
	append_explained(ret, deny, deny->len);
	append_explained(ret, allow, 0);
	return 0;
}

/* Our own daemons: everything but the table, and sockets of one family. */
static int build_daemon(struct seccomp_program *ret)
{
	const struct arg_rule rules[] = {
		{ "socket", 1, { LT(0, AF_UNIX) } },
		{ "socket", 1, { GT(0, AF_UNIX) } },
	};
	autoctx scmp_filter_ctx ctx = NULL;
	int r = new_ctx(SCMP_ACT_ALLOW, &ctx);

	for (const struct seccomp_row *row = seccomp_daemon_refused; row->names && r == 0; row++)
		r = add_calls(ctx, SCMP_ACT_ERRNO(EPERM), row->names, NULL);
	if (r == 0)
		r = add_arg_rules(ctx, SCMP_ACT_ERRNO(EPERM), rules, ARRAY_LEN(rules));
	return r < 0 ? r : export(ctx, 0, ret);
}

static int build_init(struct seccomp_program *ret, const struct seccomp_row *more)
{
	autoctx scmp_filter_ctx ctx = NULL;
	int r = new_ctx(SCMP_ACT_KILL_PROCESS, &ctx);

	if (r == 0)
		r = add_rows(ctx, seccomp_init_allowed, NULL);
	if (r == 0 && more)
		r = add_rows(ctx, more, NULL);
	return r < 0 ? r : export(ctx, 0, ret);
}

static int build_parser(struct seccomp_program *ret)
{
	autoctx scmp_filter_ctx ctx = NULL;
	int r = new_ctx(SCMP_ACT_KILL_PROCESS, &ctx);

	if (r == 0)
		r = add_rows(ctx, seccomp_parser_allowed, NULL);
	for (const struct seccomp_row *row = seccomp_parser_refused; row->names && r == 0; row++)
		r = add_calls(ctx, SCMP_ACT_ERRNO(EPERM), row->names, NULL);
	return r < 0 ? r : export(ctx, 0, ret);
}

int seccomp_build_set(struct seccomp_set *ret, struct err *err)
{
	int r = build_allow(&ret->allow);

	if (r == 0)
		r = build_deny(&ret->deny);
	if (r == 0)
		r = build_explain(&ret->allow, &ret->deny, &ret->explain);
	if (r == 0)
		r = build_init(&ret->init, NULL);
	if (r == 0)
		r = build_init(&ret->connector, seccomp_connector_allowed);
	if (r == 0)
		r = build_daemon(&ret->daemon);
	if (r == 0)
		r = build_parser(&ret->parser);
	return r < 0 ? err_set(err, r, "build the system call filter") : 0;
}
