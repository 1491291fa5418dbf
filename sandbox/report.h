/* What the processes of a launch say to each other, over one SOCK_SEQPACKET pair, the *link*: J, I
 * and W report upwards to S; S sends orders to I.  The link is also the leash: when S dies, even by
 * SIGKILL, I reads end of file and ends, and the kernel ends everything in its pid namespace. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum report_kind {
	REPORT_JOINED = 1, /* J: value = pid of I as S sees it */
	REPORT_ERROR,      /* anyone: the launch failed with 'err' */
	REPORT_EXEC,       /* I: everything stood, execve failed with errno 'value' */
	REPORT_TMPFS,      /* I: descriptors of the tmpfs that count as memory */
	REPORT_LISTENER,   /* W: descriptor: who listens is notified of refused calls */
	REPORT_SPACES,     /* I: descriptors of all namespaces, in the order of attach.h */
	REPORT_RUNNING,    /* I: W runs; descriptor: the pty master, if any */
	REPORT_END,        /* I: W ended with wait status 'value' */
	REPORT_CONNECTED,  /* I: answer to ORDER_CONNECT: a descriptor, or -errno in 'value' */
};

struct report {
	uint32_t kind;
	int32_t value;
	struct err err;
};

enum order_kind {
	ORDER_GO = 1,  /* limits are in force: load these filters and start W */
	ORDER_SIGNAL,  /* deliver signal 'value' to W's process group */
	ORDER_CONNECT, /* connect to channel 'value' of a kernel; answered in the order of asking */
};

struct order {
	uint32_t kind;
	int32_t value;
};

/* Send 'kind' and 'value', with descriptors (borrowed). Returns 0 or -errno. */
int report_send(int link, enum report_kind kind, int value, const int *fds, size_t nfds);
/* Send an error; 'err' is the sentence that goes with 'code'. */
int report_send_error(int link, int code, const struct err *err);
/* Receive one report.  'fds' gets FD_PASS_MAX slots.  0, -ENOTCONN when the other side is gone,
 * -errno otherwise. */
int report_recv(int link, struct report *ret, int *fds, size_t *ret_nfds);
