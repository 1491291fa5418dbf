#include "shell/jup_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "shell/jup_msg.h"
#include "shell/zmtp.h"

#define MESSAGE_MAX 1048576
#define START_MS    60000
#define ANSWER_MS   60000
#define END_MS      10000

static const enum jup_channel used[] = { JUP_SHELL, JUP_IOPUB, JUP_CONTROL };
#define USED 3

struct line {
	struct jup_client *c;
	enum jup_channel channel;
	int fd;
	bool ready; /* the other side has said so; libzmq hangs up on who speaks before */
	struct zmtp in;
	struct jup_msg msg;
};

struct jup_client {
	const struct kspec *spec;
	const char *dir;
	char file[PATH_MAX], session[33];
	struct jup_conn conn;
	struct line lines[USED];
	pid_t pid;
	int pidfd;
	/* the request that is waited for */
	char id[33];
	bool replied, idle;
	struct jup_answer *answer;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- the connection file ----------------------------------------------------------------------- */

/* Five ports that are free now, all bound at once so that they differ. */
static int free_ports(uint16_t ret[JUP_CHANNELS])
{
	int fds[JUP_CHANNELS], r = 0;

	for (int i = 0; i < JUP_CHANNELS; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t n = sizeof(a);

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || bind(fds[i], (struct sockaddr *)&a, sizeof(a)) < 0 ||
		    getsockname(fds[i], (struct sockaddr *)&a, &n) < 0)
			r = -errno;
		ret[i] = ntohs(a.sin_port);
	}
	for (int i = 0; i < JUP_CHANNELS; i++)
		cleanup_close(&fds[i]);
	return r;
}

static int write_connection(struct jup_client *c, struct err *err)
{
	uint16_t ports[JUP_CHANNELS];
	autojson json_t *j = NULL;
	autofree char *text = NULL;
	autoclose int fd = -1;
	int r = free_ports(ports);

	if (r < 0)
		return err_set(err, r, "find free ports");
	j = json_pack("{s:s, s:s, s:s, s:s}", "transport", "tcp", "ip", "127.0.0.1", "key",
		      c->session, "signature_scheme", "hmac-sha256");
	for (int i = 0; j && i < JUP_CHANNELS; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_port", jup_channel_name(i));
		json_object_set_new(j, key, json_integer(ports[i]));
	}
	text = j ? json_pretty(j) : NULL;
	fd = open(c->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (!text || fd < 0)
		return err_set(err, text ? -errno : -ENOMEM, "write '%s'", c->file);
	r = fd_write_full(fd, text, strlen(text));
	if (r < 0)
		return err_set(err, r, "write '%s'", c->file);
	return jup_conn_parse(text, strlen(text), &c->conn, err);
}

int jup_client_new(const struct kspec *k, const char *dir, struct jup_client **ret, struct err *err)
{
	struct jup_client *c = calloc(1, sizeof(*c));
	uint8_t random[16];
	int r;

	if (!c || getrandom(random, sizeof(random), 0) != sizeof(random)) {
		free(c);
		return err_set(err, -ENOMEM, "test a kernel");
	}
	hex_encode(random, sizeof(random), c->session);
	c->spec = k;
	c->dir = dir;
	c->pidfd = -1;
	for (int i = 0; i < USED; i++)
		c->lines[i].fd = -1;
	snprintf(c->file, sizeof(c->file), "%s/kernel-test.json", dir);
	r = write_connection(c, err);
	if (r < 0) {
		jup_client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* -- the process ------------------------------------------------------------------------------- */

/* In the child, until execve. */
static _Noreturn void become_kernel(const struct jup_client *c)
{
	const json_t *argv = json_object_get(c->spec->json, "argv"), *v;
	json_t *env = json_object_get(c->spec->json, "env"), *value;
	char *args[64] = { NULL };
	const char *name;
	size_t i;

	setsid();
	dup2(STDERR_FILENO, STDOUT_FILENO); /* what is seen is ours to print */
	json_array_foreach (argv, i, v) {
		const char *text = json_string_value(v), *at = strstr(text, "{connection_file}");

		if (i + 1 < ARRAY_LEN(args))
			args[i] = at ? str_printf("%.*s%s%s", (int)(at - text), text, c->file,
						  at + strlen("{connection_file}"))
				     : strdup(text);
	}
	json_object_foreach (env, name, value)
		if (json_is_string(value))
			setenv(name, json_string_value(value), 1);
	if (chdir(c->dir) == 0)
		execvp(args[0], args);
	fprintf(stderr, "run '%s': %s\n", args[0], strerror(errno));
	_exit(127);
}

int jup_client_start(struct jup_client *c, struct err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return err_set(err, -errno, "start the kernel");
	if (pid == 0)
		become_kernel(c);
	c->pid = pid;
	c->pidfd = pidfd_open(pid, 0);
	return c->pidfd < 0 ? err_set(err, -errno, "watch the kernel") : 0;
}

pid_t jup_client_pid(const struct jup_client *c)
{
	return c->pid;
}

static void hang_up(struct jup_client *c)
{
	for (int i = 0; i < USED; i++) {
		struct line *l = &c->lines[i];

		cleanup_close(&l->fd);
		l->fd = -1;
		jup_msg_clear(&l->msg);
		zmtp_free(&l->in);
	}
}

/* True when it has ended within the time. */
static bool wait_end(struct jup_client *c, uint64_t ms)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	if (c->pid == 0)
		return true;
	if (poll(&p, 1, (int)ms) != 1)
		return false;
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	cleanup_close(&c->pidfd);
	c->pidfd = -1;
	return true;
}

void jup_client_free(struct jup_client *c)
{
	if (!c)
		return;
	hang_up(c);
	if (c->pid > 0) {
		kill(-c->pid, SIGKILL);
		wait_end(c, END_MS);
	}
	unlink(c->file);
	jup_conn_free(&c->conn);
	free(c);
}

/* -- what comes -------------------------------------------------------------------------------- */

static void take_result(struct jup_client *c, const json_t *content, const char *path)
{
	const char *text = NULL;
	char safe[sizeof(c->answer->text)];

	/* "text/plain" is a key with a slash and no dot. */
	if (json_get_str(content, path, &text, NULL) < 0)
		return;
	str_printable(text, safe, sizeof(safe));
	memcpy(c->answer->text, safe, sizeof(safe));
}

static void take_reply(struct jup_client *c, const json_t *content)
{
	const char *status = "", *name = "", *version = "";

	c->replied = true;
	json_get_str(content, "status", &status, NULL);
	c->answer->ok = !strcmp(status, "ok");
	if (json_get_str(content, "implementation", &name, NULL) == 0) {
		json_get_str(content, "implementation_version", &version, NULL);
		snprintf(c->answer->about, sizeof(c->answer->about), "%s %s", name, version);
	}
}

static void on_message(struct line *l)
{
	struct jup_client *c = l->c;
	autojson json_t *header = jup_msg_json(&l->msg, JUP_HEADER);
	autojson json_t *parent = jup_msg_json(&l->msg, JUP_PARENT);
	autojson json_t *content = jup_msg_json(&l->msg, JUP_CONTENT);
	const char *type = "", *id = "", *state = "";

	json_get_str(header, "msg_type", &type, NULL);
	json_get_str(parent, "msg_id", &id, NULL);
	if (!c->answer || strcmp(id, c->id) != 0)
		return;
	if (l->channel != JUP_IOPUB)
		take_reply(c, content);
	else if (!strcmp(type, "execute_result"))
		take_result(c, content, "data.text/plain");
	else if (!strcmp(type, "error"))
		take_result(c, content, "ename");
	else if (!strcmp(type, "status") &&
		 json_get_str(content, "execution_state", &state, NULL) == 0)
		c->idle = !strcmp(state, "idle");
}

/* All topics. */
static void subscribe(struct line *l)
{
	static const uint8_t frame[] = { 0, 1, 1 };

	fd_write_full(l->fd, frame, sizeof(frame));
}

static void on_frame(void *self, const struct zmtp_frame *f)
{
	struct line *l = self;

	if ((f->flags & ZMTP_COMMAND) && f->len >= 6 && !memcmp(f->body, "\5READY", 6)) {
		l->ready = true;
		if (l->channel == JUP_IOPUB)
			subscribe(l);
	}

	if ((f->flags & ZMTP_COMMAND) || jup_msg_add(&l->msg, f) < 0 || !l->msg.whole)
		return;
	on_message(l);
	jup_msg_clear(&l->msg);
}

static int dial(struct jup_client *c, struct line *l, enum jup_channel channel, struct err *err)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(c->conn.ports[channel]),
	};
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct zmtp_out o = { 0 };
	int r;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_set(err, -errno, "connect to the kernel");
	*l = (struct line){ .c = c, .channel = channel, .fd = -1 };
	zmtp_init(&l->in, MESSAGE_MAX, on_frame, l);
	zmtp_put_greeting(&o);
	zmtp_put_ready(&o, channel == JUP_IOPUB ? "SUB" : "DEALER");
	r = o.failed ? -ENOMEM : fd_write_full(fd, o.p, o.len);
	zmtp_out_free(&o);
	if (r < 0)
		return err_set(err, r, "greet the kernel");
	l->fd = take_fd(&fd);
	return 0;
}

/* As soon as somebody listens. */
static int dial_all(struct jup_client *c, uint64_t end, struct err *err)
{
	for (int i = 0; i < USED; i++) {
		int r;

		while ((r = dial(c, &c->lines[i], used[i], err)) == -ECONNREFUSED) {
			if (wait_end(c, 10))
				return err_set(err, -ECHILD, "the kernel ended at its start.");
			if (now_ms() >= end)
				break;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* -- asking ------------------------------------------------------------------------------------ */

static int send_request(struct jup_client *c, enum jup_channel channel, const char *type,
			json_t *content, struct err *err)
{
	struct zmtp_out o = { 0 };
	int r = -ENOTCONN;

	jup_msg_put_id(&o, c->conn.key, NULL, type, c->session, "{}", content, c->id);
	for (int i = 0; i < USED; i++)
		if (c->lines[i].channel == channel && c->lines[i].fd >= 0)
			r = o.failed ? -ENOMEM : fd_write_full(c->lines[i].fd, o.p, o.len);
	zmtp_out_free(&o);
	return r < 0 ? err_set(err, r, "send %s", type) : 0;
}

static int hear(struct line *l, struct err *err)
{
	uint8_t buf[65536];
	ssize_t n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(err, -ECONNRESET, "the kernel hung up.");
	if (zmtp_feed(&l->in, buf, (size_t)n) < 0)
		return err_set(err, -EPROTO, "the kernel does not speak ZMTP 3.");
	return 0;
}

/* One wait, at most until 'end', for anything on any line. */
static int listen_once(struct jup_client *c, uint64_t end, struct err *err)
{
	struct pollfd set[USED];
	uint64_t now = now_ms();
	int r = 0;

	for (int i = 0; i < USED; i++)
		set[i] = (struct pollfd){ .fd = c->lines[i].fd, .events = POLLIN };
	if (poll(set, USED, now < end ? (int)MIN(end - now, (uint64_t)1000) : 0) < 0)
		return 0;
	for (int i = 0; i < USED && r == 0; i++)
		if (set[i].revents)
			r = hear(&c->lines[i], err);
	return r;
}

static void expect(struct jup_client *c, struct jup_answer *a)
{
	*a = (struct jup_answer){ 0 };
	c->answer = a;
	c->replied = c->idle = false;
}

int jup_client_ready(struct jup_client *c, struct jup_answer *ret, struct err *err)
{
	uint64_t start = now_ms(), end = start + START_MS;
	int r = dial_all(c, end, err);

	while (r == 0 && now_ms() < end &&
	       !(c->lines[0].ready && c->lines[1].ready && c->lines[2].ready))
		r = listen_once(c, end, err);
	/* What was asked before a subscription arrived is answered unheard: ask again. */
	expect(c, ret);
	while (r == 0 && !(c->replied && c->idle)) {
		uint64_t round = now_ms() + (c->replied ? 500 : START_MS);

		if (now_ms() >= end)
			return err_set(err, -ETIMEDOUT, "the kernel did not answer within %d s.",
				       START_MS / 1000);
		c->replied = false;
		r = send_request(c, JUP_SHELL, "kernel_info_request", json_object(), err);
		while (r == 0 && !(c->replied && c->idle) && now_ms() < MIN(round, end)) {
			r = listen_once(c, MIN(round, end), err);
			if (c->replied && round > now_ms() + 500)
				round = now_ms() + 500;
		}
	}
	ret->ms = now_ms() - start;
	c->answer = NULL;
	return r;
}

static int interrupt(struct jup_client *c, struct err *err)
{
	const char *mode = "signal";
	char id[33];
	int r;

	json_get_str(c->spec->json, "interrupt_mode", &mode, NULL);
	if (strcmp(mode, "message") != 0)
		return kill(-c->pid, SIGINT) < 0 ? err_set(err, -errno, "interrupt the kernel") : 0;
	memcpy(id, c->id, sizeof(id));
	r = send_request(c, JUP_CONTROL, "interrupt_request", json_object(), err);
	memcpy(c->id, id, sizeof(id));
	return r;
}

int jup_client_execute(struct jup_client *c, const char *code, uint64_t interrupt_ms,
		       struct jup_answer *ret, struct err *err)
{
	uint64_t start = now_ms(), end = start + ANSWER_MS, at = start + interrupt_ms;
	bool due = interrupt_ms > 0;
	int r;

	expect(c, ret);
	r = send_request(c, JUP_SHELL, "execute_request",
			 json_pack("{s:s, s:b, s:b, s:{}, s:b, s:b}", "code", code, "silent", 0,
				   "store_history", 0, "user_expressions", "allow_stdin", 0,
				   "stop_on_error", 1),
			 err);
	while (r == 0 && !(c->replied && c->idle)) {
		if (now_ms() >= end)
			return err_set(err, -ETIMEDOUT, "the kernel did not answer within %d s.",
				       ANSWER_MS / 1000);
		r = listen_once(c, due ? at : end, err);
		if (r == 0 && due && now_ms() >= at) {
			due = false;
			start = now_ms();
			r = interrupt(c, err);
		}
	}
	ret->ms = now_ms() - start;
	c->answer = NULL;
	return r;
}

int jup_client_shutdown(struct jup_client *c, bool restart, uint64_t *ret_ms, struct err *err)
{
	uint64_t start = now_ms();
	int r = send_request(c, JUP_CONTROL, "shutdown_request",
			     json_pack("{s:b}", "restart", restart), err);

	if (r < 0)
		return r;
	if (!wait_end(c, END_MS))
		return err_set(err, -ETIMEDOUT,
			       "the kernel did not end within %d s of being asked.", END_MS / 1000);
	hang_up(c);
	*ret_ms = now_ms() - start;
	return 0;
}
