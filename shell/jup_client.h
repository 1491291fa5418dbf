/* A Jupyter client, as small as it can be: starts a kernel by its kernelspec and talks to it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shell/jup_conn.h"
#include "shell/kspec.h"

struct err;
struct jup_client;

/* What came back for a request. */
struct jup_answer {
	bool ok;         /* the reply's status */
	char text[256];  /* text/plain of the result, or the name of the error */
	char about[128]; /* kernel_info_reply: the implementation and its version */
	uint64_t ms;     /* how long the reply took */
};

/* Choose ports and write a connection file into the directory 'dir' (borrowed, 0700). */
int jup_client_new(const struct kspec *k, const char *dir, struct jup_client **ret,
		   struct err *err);
/* Ends the kernel, if it runs. Accepts NULL. */
void jup_client_free(struct jup_client *c);

/* Start the kernel in 'dir', in a session of its own, as front ends do. */
int jup_client_start(struct jup_client *c, struct err *err);
/* Connect, and ask who it is until it answers. */
int jup_client_ready(struct jup_client *c, struct jup_answer *ret, struct err *err);
/* Run 'code'; with 'interrupt_ms' interrupt it so long after it began. */
int jup_client_execute(struct jup_client *c, const char *code, uint64_t interrupt_ms,
		       struct jup_answer *ret, struct err *err);
/* shutdown_request, then wait for the process. */
int jup_client_shutdown(struct jup_client *c, bool restart, uint64_t *ret_ms, struct err *err);
/* The process that was started, 0 = none. */
pid_t jup_client_pid(const struct jup_client *c);
