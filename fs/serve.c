/* The life of a daemon: open the volume, say that it is ready, serve clients until the last one has
 * left, close everything.
 *
 * Ready is said only when everything works; until then we are a child with its terminal (a
 * passphrase may be asked), afterwards a daemon without one.  Whoever starts us gets one message,
 * ready or the reason why not. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "fs/arch.h"
#include "fs/data.h"
#include "fs/fsd.h"
#include "fs/msglog.h"
#include "fs/out.h"
#include "fs/pin_job.h"
#include "fs/quota.h"
#include "fs/session.h"
#include "fs/store.h"
#include "fs/volume.h"
#include "keys/buffer.h"
#include "keys/secret.h"
#include "sandbox/confine.h"

/* Started by hand: somebody has to call within this time. */
#define FIRST_CLIENT_MS 5000
#define MAX_CLIENTS     250
#define NO_ROOM_MS      100

/* -- becoming one --------------------------------------------------------- */

/* Keys and foreign bytes meet here: whatever a mistake of ours lets in must find little to call.
 * What must start a setuid program, fusermount3, is split off before. */
static int harden(struct fsd *d, bool foreground, struct err *err)
{
	struct rlimit files;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	r = mounter_start(foreground, &d->mounter, err);
	umask(0); /* modes come with the requests, the kernel applied the caller's umask */
	return r < 0 ? r : confine_self(CONFINE_DAEMON, err);
}

static int open_store(struct fsd *d, struct err *err)
{
	struct store_params sp = { 0 };
	const json_t *s = volume_settings(d->vol);
	uint64_t bytes = 0, files = 0;
	autoclose int fd = -1;
	int r;

	(void)json_get_u64(s, "quota.bytes", &bytes, NULL);
	(void)json_get_u64(s, "quota.files", &files, NULL);
	r = quota_new(bytes, files, &d->quota);
	if (r < 0)
		return err_set(err, r, "count the quota");
	volume_store_params(d->vol, &sp);
	sp.quota = d->quota;
	sp.log = msglog_add;
	sp.log_ctx = d->log;
	fd = openat(volume_dirfd(d->vol), "store", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open '%s/store'", volume_path(d->vol));
	return store_open(fd, &sp, &d->store, err);
}

static int open_layers(struct fsd *d, struct err *err)
{
	struct out_params op = {
		.store = d->store,
		.quota = d->quota,
		.keys = volume_name_keys(d->vol),
		.flat = volume_flat(d->vol),
		.read_only = volume_read_only(d->vol),
		.log = msglog_add,
		.log_ctx = d->log,
	};
	struct arch_cache_params ap = {
		.wsfd = volume_dirfd(d->vol),
		.log = msglog_add,
		.log_ctx = d->log,
	};
	int r = out_new(&op, &d->out, err);

	if (r < 0)
		return r;
	ap.bytes = ARCH_CACHE_DEFAULT;
	(void)json_get_u64(volume_settings(d->vol), "quota.cache", &ap.bytes, NULL);
	r = arch_cache_new(&ap, &d->archives);
	if (r == 0)
		r = data_new(d->archives, &d->data);
	if (r < 0)
		return err_set(err, r, "open the datasets");
	if (pin_jobs_new(&d->pin_jobs) < 0)
		return err_set(err, -ENOMEM, "open the datasets");
	data_set_log(d->data, msglog_add, d->log);
	if (!volume_read_only(d->vol))
		datasets_sweep(d);
	return datasets_apply(d, err);
}

static int open_socket(struct fsd *d, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	uint8_t rnd[16];
	char hex[33];
	size_t len;

	if (getrandom(rnd, sizeof(rnd), 0) != (ssize_t)sizeof(rnd))
		return err_set(err, -EIO, "name the control socket");
	hex_encode(rnd, sizeof(rnd), hex);
	len = (size_t)snprintf(d->socket_name, sizeof(d->socket_name), "sbx-%s", hex);
	memcpy(sa.sun_path + 1, d->socket_name, len);
	d->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->listener < 0 ||
	    bind(d->listener, (struct sockaddr *)&sa,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0 ||
	    listen(d->listener, 64) < 0)
		return err_set(err, -errno, "open the control socket");
	return volume_announce(d->vol, d->socket_name, err);
}

static int open_signals(struct fsd *d, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signals < 0 ? err_set(err, -errno, "watch for signals") : 0;
}

/* The session and terminal of whoever started us are theirs. */
static int detach(const struct serve_options *o, struct err *err)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return err_set(err, -errno, "open /dev/null");
	(void)setsid();
	if (chdir("/") < 0)
		return err_set(err, -errno, "leave the current directory");
	for (int fd = 0; fd < 3; fd++)
		if (!(fd == 2 && o->foreground) && dup2(null, fd) < 0)
			return err_set(err, -errno, "give up the terminal");
	return 0;
}

static int open_all(struct fsd *d, const struct serve_options *o, struct err *err)
{
	struct volume_unlock u = { .passphrase_file = o->passphrase_file,
				   .recovery_file = o->recovery_file };
	const char *id = "unknown";
	int r = secret_setup(err);

	(void)buffer_lock_process(); /* where it may not be, 'status' says so */
	if (r == 0)
		r = volume_open(o->ws, &u, &d->vol, err);
	if (r < 0)
		return r;
	/* From here on an end is an orderly one. */
	r = open_signals(d, err);
	(void)json_get_str(volume_settings(d->vol), "id", &id, NULL);
	if (r == 0 && msglog_new(id, o->foreground, &d->log) < 0)
		r = err_set(err, -ENOMEM, "open the log");
	if (r == 0)
		r = open_store(d, err);
	if (r == 0)
		r = open_layers(d, err);
	if (r == 0)
		r = open_socket(d, err);
	return r < 0 ? r : detach(o, err);
}

/* -- serving -------------------------------------------------------------- */

static int say(int fd, json_t *reply)
{
	autofree char *text = json_canonical(reply);

	json_decref(reply);
	return fd < 0 || !text ? 0 : fd_send(fd, text, strlen(text), NULL, 0);
}

/* Tell one that cannot be served, as an answer to whatever it asks. */
static void conn_refuse(int fd)
{
	struct err err = { 0 };

	(void)say(fd, reply_error(err_set(&err, -EBUSY,
					  "the workspace has %d clients already: let some end.",
					  MAX_CLIENTS),
				  &err));
	close(fd);
}

static void conn_accept(struct fsd *d)
{
	int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct conn *c;
	size_t count = 0;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			(void)poll(NULL, 0, NO_ROOM_MS); /* it stays in line, we do not spin */
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid != geteuid()) {
		close(fd);
		return;
	}
	for (c = d->conns; c; c = c->next)
		count++;
	c = count < MAX_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		conn_refuse(fd);
		return;
	}
	c->fd = fd;
	c->pid = cred.pid;
	c->next = d->conns;
	d->conns = c;
	d->had_client = true;
}

static void conn_close(struct fsd *d, struct conn *c)
{
	for (struct conn **p = &d->conns; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	control_forget(d, c);
	close(c->fd);
	free(c);
}

enum {
	POLL_SIGNALS,
	POLL_LISTENER,
	POLL_STARTER,
	POLL_MOUNTS,
	POLL_CONNS = POLL_MOUNTS + MOUNT_COUNT
};

static size_t poll_fill(struct fsd *d, struct pollfd *p)
{
	size_t n = POLL_CONNS;

	p[POLL_SIGNALS] = (struct pollfd){ .fd = d->signals, .events = POLLIN };
	p[POLL_LISTENER] = (struct pollfd){ .fd = d->listener, .events = POLLIN };
	p[POLL_STARTER] = (struct pollfd){ .fd = d->starter };
	for (int i = 0; i < MOUNT_COUNT; i++) {
		struct session *s = d->mounts.session[i];

		p[POLL_MOUNTS + i] =
			(struct pollfd){ .fd = s ? session_ended_fd(s) : -1, .events = POLLIN };
	}
	for (struct conn *c = d->conns; c; c = c->next)
		p[n++] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
	return n;
}

static void serve_conns(struct fsd *d, const struct pollfd *p, size_t n)
{
	for (size_t i = POLL_CONNS; i < n; i++) {
		struct conn *c = d->conns;

		if (!p[i].revents)
			continue;
		while (c && c->fd != p[i].fd)
			c = c->next;
		if (c && (!(p[i].revents & POLLIN) || !control_serve(d, c)))
			conn_close(d, c);
	}
}

/* Is anybody still interested in us? */
static bool wanted(const struct fsd *d, bool waited)
{
	if (d->stop)
		return false;
	return d->conns || d->mounts.kind == MOUNTED_HOST || (!d->had_client && !waited);
}

/* The starter keeps its end until it has called.  When it hangs up without, it was killed, and
 * nobody else knows of us.  Its call may have come between the two looks at the descriptors: one
 * more round finds it. */
static int starter_gone(struct fsd *d)
{
	close(d->starter);
	d->starter = -1;
	return 0;
}

static void loop(struct fsd *d)
{
	int first_ms = d->starter >= 0 ? -1 : FIRST_CLIENT_MS;
	struct pollfd p[POLL_CONNS + MAX_CLIENTS];
	bool waited = false;

	while (wanted(d, waited)) {
		size_t n = poll_fill(d, p);
		int r = poll(p, n, d->had_client ? -1 : first_ms);

		if (r < 0 && errno != EINTR)
			return;
		waited = r == 0;
		if (r <= 0)
			continue;
		if (p[POLL_SIGNALS].revents)
			d->stop = true;
		serve_conns(d, p, n);
		if (p[POLL_LISTENER].revents)
			conn_accept(d);
		if (p[POLL_MOUNTS].revents || p[POLL_MOUNTS + 1].revents)
			mounts_collect(d);
		if (p[POLL_STARTER].revents)
			first_ms = starter_gone(d);
	}
}

/* -- ending --------------------------------------------------------------- */

static int close_all(struct fsd *d, struct err *err)
{
	int r = 0;

	if (d->listener >= 0) {
		close(d->listener); /* who calls now sees nobody and starts another */
		d->listener = -1;
	}
	mounts_end(d);
	while (d->conns)
		conn_close(d, d->conns);
	pin_jobs_free(d->pin_jobs);
	if (d->pins >= 0)
		close(d->pins);
	out_free(d->out);
	data_free(d->data);
	arch_cache_free(d->archives);
	if (d->store)
		r = store_close(d->store, err);
	quota_free(d->quota);
	if (r < 0 && d->log)
		msglog_add(d->log, err->text);
	msglog_free(d->log);
	mounter_end(&d->mounter);
	volume_close(d->vol); /* releases the lock: last of all */
	if (d->signals >= 0)
		close(d->signals);
	return r;
}

int serve(const struct serve_options *o)
{
	struct fsd d = { .listener = -1,
			 .pins = -1,
			 .starter = o->ready_fd,
			 .signals = -1,
			 .mounts = { .userns_fd = -1, .mntns_fd = -1 },
			 .mounter = { .sock = -1 } };
	struct err err = { 0 }, ignored = { 0 };
	json_t *ready;
	int r;

	r = harden(&d, o->foreground, &err);
	if (r == 0)
		r = open_all(&d, o, &err);
	if (r < 0) {
		if (o->ready_fd < 0)
			log_err(r, &err);
		(void)close_all(&d, &ignored);
		(void)say(o->ready_fd, reply_error(r, &err));
		return 1;
	}
	ready = reply_ok();
	json_object_set_new(ready, "pid", json_integer(getpid()));
	json_object_set_new(ready, "socket", json_string(d.socket_name));
	r = say(o->ready_fd, ready);
	if (r == 0) /* else the starter is gone */
		loop(&d);
	if (d.starter >= 0)
		close(d.starter);
	return close_all(&d, &err) < 0 ? 1 : 0;
}
