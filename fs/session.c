#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "fs/bdi.h"
#include "fs/brake.h"
#include "fs/passthrough.h"
#include "fs/session_int.h"

#define WAKE_SIGNAL SIGUSR2 /* makes a worker's read(2) return */
/* What the kernel holds: we wait so long for it, in steps. */
#define FLUSH_MS      2000
#define FLUSH_STEP_MS 4

/* The sources of passthrough may be on an overlay, as the root of a container is. */
#define STACK_DEPTH 2u

/* -- INIT ----------------------------------------------------------------- */

/* libfuse 3.17 and newer: 'want' and its wider sibling must not both be written by hand. */
static void want(struct fuse_conn_info *conn, uint64_t flag, bool on)
{
	if (!(conn->capable & flag))
		return;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	if (on)
		fuse_set_feature_flag(conn, flag);
	else
		fuse_unset_feature_flag(conn, flag);
#else
	if (on)
		conn->want |= (unsigned)flag;
	else
		conn->want &= ~(unsigned)flag;
#endif
}

void session_configure(struct fuse_conn_info *conn, bool cached_writes, bool auto_invalidate)
{
	want(conn, FUSE_CAP_WRITEBACK_CACHE, cached_writes);
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, auto_invalidate);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, !auto_invalidate);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_ASYNC_DIO, true);
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
	/* We touch every byte anyway, and locks of one mount are the kernel's own business. */
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);
	want(conn, FUSE_CAP_EXPORT_SUPPORT, false);
	want(conn, FUSE_CAP_POSIX_ACL, false);
	want(conn, FUSE_CAP_IOCTL_DIR, false);
	conn->max_write = WRITE_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* The INIT reply is out: the kernel's own values are set, and the mount is used from now on. */
static void on_up(struct session *s)
{
	bdi_read_ahead(s->bdi_dev);
	if (s->brake && brake_start(s->brake, s, (s->offered & WIRE_HANDLE_KILLPRIV_V2) != 0) < 0)
		fuse_session_exit(s->se); /* without it the quota would not hold */
}

static void init_remember(struct session *s, const void *buf, size_t len)
{
	struct wire_in_header h;
	struct wire_init_in in = { 0 };

	if (len < sizeof(h) + 16)
		return;
	memcpy(&h, buf, sizeof(h));
	if (h.opcode != WIRE_INIT)
		return;
	memcpy(&in, (const char *)buf + sizeof(h), MIN(len - sizeof(h), sizeof(in)));
	s->offered = in.flags;
	s->offered2 = in.flags & WIRE_INIT_EXT ? in.flags2 : 0;
	atomic_store(&s->init_seen, true);
}

static void init_edit(struct session *s, struct wire_init_out *out)
{
	out->flags |= (WIRE_PARALLEL_DIROPS | WIRE_HANDLE_KILLPRIV_V2) & s->offered;
	if (s->offered & WIRE_INIT_EXT) {
		out->flags |= WIRE_INIT_EXT;
		out->flags2 |=
			(WIRE2_DIRECT_IO_MMAP | (s->idmap ? WIRE2_ALLOW_IDMAP : 0)) & s->offered2;
		s->passing = s->passthrough && s->offered2 & WIRE2_PASSTHROUGH;
		if (s->passing) {
			out->flags2 |= WIRE2_PASSTHROUGH;
			out->max_stack_depth = STACK_DEPTH;
		}
	}
}

/* -- I/O ------------------------------------------------------------------ */

/* The descriptor does not block: -EAGAIN, nothing is waiting. */
static ssize_t io_read(int fd, void *buf, size_t len, void *userdata)
{
	struct session *s = userdata;
	ssize_t n = read(fd, buf, len);

	if (n > 0 && !atomic_load_explicit(&s->init_seen, memory_order_relaxed))
		init_remember(s, buf, (size_t)n);
	return n;
}

/* The first reply is the one to INIT: nothing else is asked before it. */
static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct session *s = userdata;
	ssize_t n;

	if (atomic_load_explicit(&s->init_sent, memory_order_relaxed))
		return writev(fd, iov, count);
	if (count == 2 && iov[1].iov_len == sizeof(struct wire_init_out))
		init_edit(s, iov[1].iov_base);
	n = writev(fd, iov, count);
	if (n > 0) {
		atomic_store(&s->init_sent, true);
		on_up(s);
	}
	return n;
}

static const struct fuse_custom_io session_io = { .writev = io_writev, .read = io_read };

void *session_layer(void *userdata)
{
	return ((struct session *)userdata)->layer;
}

struct brake *session_brake(void *userdata)
{
	return ((struct session *)userdata)->brake;
}

struct passthrough *session_passthrough(void *userdata)
{
	struct session *s = userdata;

	return s->passing ? s->passthrough : NULL;
}

/* -- work beside the workers ---------------------------------------------- */

struct flush_job {
	struct session *s;
	void (*fn)(void *arg);
	void *arg;
};

/* Until what the kernel holds has come.  We cannot wait for that inside the kernel: killed in
 * there, we would be what it waits for. */
static void flush_wait(struct session *s)
{
	struct pollfd p = { .fd = s->sync_start(s->sync_ctx), .events = POLLIN };
	struct pollfd queue = { .fd = s->fd, .events = POLLIN };
	uint64_t seen = UINT64_MAX, now;

	for (int ms = 0; p.fd >= 0 && ms < FLUSH_MS && !atomic_load(&s->stop); ms += FLUSH_STEP_MS)
		if (poll(&p, 1, FLUSH_STEP_MS) > 0)
			break;
	if (p.fd >= 0)
		close(p.fd);
	for (int ms = 0; ms < FLUSH_MS && !atomic_load(&s->stop); ms += FLUSH_STEP_MS) {
		now = atomic_load_explicit(&s->counts[WIRE_WRITE], memory_order_relaxed);
		if (now == seen && poll(&queue, 1, 0) == 0)
			break;
		seen = now;
		nanosleep(&(struct timespec){ .tv_nsec = FLUSH_STEP_MS * 1000000L }, NULL);
	}
}

static void *flush_thread(void *arg)
{
	struct flush_job *j = arg;
	struct session *s = j->s;

	flush_wait(s);
	j->fn(j->arg);
	free(j);
	atomic_fetch_sub(&s->helpers, 1);
	return NULL;
}

bool session_flush_then(void *userdata, void (*fn)(void *arg), void *arg)
{
	struct session *s = userdata;
	struct flush_job *j = malloc(sizeof(*j));
	pthread_attr_t attr;
	pthread_t t;
	int r;

	if (!j || !s->sync_start) {
		free(j);
		return false;
	}
	*j = (struct flush_job){ s, fn, arg };
	atomic_fetch_add(&s->helpers, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&t, &attr, flush_thread, j);
	pthread_attr_destroy(&attr);
	if (r != 0) {
		atomic_fetch_sub(&s->helpers, 1);
		free(j);
	}
	return r == 0;
}

void session_forget_attr(void *userdata, uint64_t nodeid)
{
	const struct session *s = userdata;

	/* A negative offset: no data is touched, so no lock is taken that a request may hold. */
	(void)fuse_lowlevel_notify_inval_inode(s->se, nodeid, -1, 0);
}

static void on_wake(int sig)
{
	(void)sig;
}

static int workers_start(struct session *s, unsigned n)
{
	struct sigaction sa = { .sa_handler = on_wake }; /* no SA_RESTART: read(2) shall return */
	sigset_t all, old;

	sigaction(WAKE_SIGNAL, &sa, NULL);
	sigfillset(&all);
	sigdelset(&all, WAKE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
	atomic_store(&s->running, n);
	for (; s->nthreads < n; s->nthreads++) {
		int r = pthread_create(&s->threads[s->nthreads], NULL, session_worker, s);

		if (r != 0 && s->nthreads == 0) {
			pthread_sigmask(SIG_SETMASK, &old, NULL);
			return -r;
		}
		if (r != 0) { /* fewer than wished will do */
			atomic_fetch_sub(&s->running, n - s->nthreads);
			break;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return 0;
}

static void session_free(struct session *s)
{
	if (s->se)
		fuse_session_destroy(s->se); /* closes the descriptor once it was given */
	else if (s->fd >= 0)
		close(s->fd);
	if (s->ended >= 0)
		close(s->ended);
	passthrough_free(s->passthrough);
	pthread_mutex_destroy(&s->place);
	free(s);
}

int session_start(int fd, const struct session_params *p, struct session **ret, struct err *err)
{
	char *argv[] = { (char *)"sbxfsd", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct session *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (!s) {
		close(fd);
		return err_set(err, -ENOMEM, "serve a mount");
	}
	pthread_mutex_init(&s->place, NULL);
	s->fd = fd;
	s->layer = p->layer;
	s->bdi_dev = p->bdi_dev;
	s->brake = p->brake;
	s->sync_start = p->sync_start;
	s->sync_ctx = p->sync_ctx;
	s->idmap = p->idmap;
	s->ended = eventfd(0, EFD_CLOEXEC);
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	s->se = fuse_session_new(&args, p->ops, sizeof(*p->ops), s);
	fuse_opt_free_args(&args);
	if (p->passthrough && passthrough_new(fd, &s->passthrough) < 0)
		s->passthrough = NULL;
	if (s->ended >= 0 && s->se && fuse_session_custom_io(s->se, &session_io, fd) == 0)
		r = workers_start(s, MIN(p->workers, (unsigned)MAX_WORKERS));
	if (r < 0) {
		session_free(s);
		return err_set(err, r, "serve a mount");
	}
	*ret = s;
	return 0;
}

bool session_will_idmap(void *userdata)
{
	const struct session *s = userdata;

	return s->idmap && s->offered2 & WIRE2_ALLOW_IDMAP;
}

bool session_idmapped(const struct session *s)
{
	while (!atomic_load(&s->init_sent) && atomic_load(&s->running) > 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return s->idmap && s->offered2 & WIRE2_ALLOW_IDMAP;
}

void session_counts(const struct session *s, uint64_t ret[static SESSION_OPCODES])
{
	for (size_t i = 0; i < SESSION_OPCODES; i++)
		ret[i] = atomic_load_explicit(&s->counts[i], memory_order_relaxed);
}

int session_ended_fd(const struct session *s)
{
	return s->ended;
}

/* A signal that comes just before read(2) is lost, so it is sent until the threads are gone; to all
 * from 'first' on, which are not joined yet, for any may be the listener. */
static void worker_join(struct session *s, unsigned first)
{
	for (;;) {
		struct timespec ts;

		for (unsigned i = first; i < s->nthreads; i++)
			pthread_kill(s->threads[i], WAKE_SIGNAL);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 2000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		if (pthread_timedjoin_np(s->threads[first], NULL, &ts) == 0)
			return;
	}
}

void session_end(struct session *s, unsigned wait_ms)
{
	struct pollfd p;

	if (!s)
		return;
	p = (struct pollfd){ .fd = s->ended, .events = POLLIN };
	(void)poll(&p, 1, (int)wait_ms);
	atomic_store(&s->stop, true);
	for (unsigned i = 0; i < s->nthreads; i++)
		worker_join(s, i);
	while (atomic_load(&s->helpers) > 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	session_free(s); /* the kernel fails what still waits for an answer */
}
