/* What session.c and session_serve.c share. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fs/fuse_wire.h"
#include "fs/session.h"

/* Data of one request. */
#define WRITE_MAX   (1024 * 1024)
#define MAX_WORKERS 8

struct session {
	struct fuse_session *se;
	int fd;
	int ended;             /* eventfd */
	pthread_mutex_t place; /* of the listener; guards the next ones */
	bool backlog;          /* the last request was waiting already */
	uint32_t spin_waste;   /* moving average: how often looking again failed */
	uint32_t spin_skipped;
	uint64_t serve_ns; /* moving average: how long a short request takes */
	uint64_t slow_until;
	atomic_uint_fast64_t counts[SESSION_OPCODES]; /* requests served */
	pthread_t threads[MAX_WORKERS];
	unsigned nthreads;
	atomic_uint running;
	atomic_uint helpers; /* detached threads that still use this */
	atomic_bool stop;
	atomic_bool init_seen, init_sent;
	uint32_t offered, offered2;
	bool idmap;                      /* wished for */
	struct passthrough *passthrough; /* NULL: not wished for */
	bool passing;                    /* the kernel was told so */
	uint64_t bdi_dev;
	struct brake *brake;
	int (*sync_start)(void *ctx);
	void *sync_ctx;
	void *layer;
};

/* A worker from its start to its end; 'arg' is the session. */
void *session_worker(void *arg);
