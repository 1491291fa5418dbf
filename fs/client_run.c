/* The commands of sbxfsd that do one thing and end: started, read, waited for. */
#include "fs/client_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

static void close_pair(const int fds[static 2])
{
	close(fds[0]);
	close(fds[1]);
}

/* fds[0], fds[1]: become stdin and stdout; pass_fd >= 0 becomes descriptor 3. */
static _Noreturn void exec_command(const char *path, char *const *argv, const int fds[static 2],
				   int pass_fd)
{
	/* Out of the way of 0, 1 and 3 first: any of them may be any number. */
	int in = fcntl(fds[0], F_DUPFD_CLOEXEC, 10), out = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
	int pass = pass_fd < 0 ? -1 : fcntl(pass_fd, F_DUPFD_CLOEXEC, 10);

	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(127);
	if (pass_fd >= 0 && (pass < 0 || dup2(pass, 3) < 0))
		_exit(127);
	fsc_exec(path, argv);
}

static int read_report(int fd, json_t **ret, struct err *err)
{
	autofree char *buf = malloc(MESSAGE_MAX);
	autojson json_t *reply = NULL;
	ssize_t n = buf ? fd_read_full(fd, buf, MESSAGE_MAX) : -ENOMEM;
	int r;

	if (n < 0)
		return err_set(err, (int)n, "read the report of sbxfsd");
	if (n == 0)
		return err_set(err, -EIO, "sbxfsd ended without a report.");
	r = json_parse(buf, (size_t)n, "the report of sbxfsd", &reply, err);
	if (r == 0)
		r = fsc_reply_check(reply, err);
	if (r == 0)
		*ret = take_ptr(reply);
	return r;
}

static int run_command(const char *verb, const char *input, int pass_fd, json_t **ret,
		       struct err *err)
{
	char path[4096];
	const char *argv[] = { path, verb, pass_fd >= 0 ? "--passphrase-fd" : NULL, "3", NULL };
	int in[2], out[2], r, status;
	pid_t child;

	r = fsc_daemon_must(path, sizeof(path), err);
	if (r < 0)
		return r;
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_set(err, -errno, "start '%s'", path);
	if (pipe2(out, O_CLOEXEC) < 0) {
		close_pair(in);
		return err_set(err, -errno, "start '%s'", path);
	}
	child = fork();
	if (child == 0)
		exec_command(path, (char *const *)argv, (int[]){ in[0], out[1] }, pass_fd);
	close(in[0]);
	close(out[1]);
	if (child < 0)
		r = err_set(err, -errno, "start '%s'", path);
	/* Settings are far smaller than a pipe: this neither blocks nor, sbxfsd reading them before
	 * it can fail, meets a closed pipe. */
	if (r == 0 && input)
		r = fd_write_full(in[1], input, strlen(input));
	close(in[1]);
	if (r == 0)
		r = read_report(out[0], ret, err);
	close(out[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return r;
}

int fsc_init(json_t *settings, int pass_fd, json_t **ret, struct err *err)
{
	autofree char *text = settings ? json_canonical(settings) : NULL;

	json_decref(settings);
	if (!text || strlen(text) > MESSAGE_MAX)
		return err_set(err, -EINVAL, "the settings are missing or too large.");
	return run_command("init", text, pass_fd, ret, err);
}

int fsc_identity(json_t **ret, struct err *err)
{
	return run_command("identity", NULL, -1, ret, err);
}

int fsc_ciphers(json_t **ret, struct err *err)
{
	return run_command("ciphers", NULL, -1, ret, err);
}

/* -- the check ------------------------------------------------------------ */

static void check_argv(const struct fsc_check *o, const char *path, const char *argv[static 12])
{
	size_t n = 0;

	argv[n++] = path;
	argv[n++] = "fsck";
	if (o->repair)
		argv[n++] = "--repair";
	if (o->quick)
		argv[n++] = "--quick";
	if (o->progress)
		argv[n++] = "--progress";
	if (o->passphrase_file) {
		argv[n++] = "--passphrase-file";
		argv[n++] = o->passphrase_file;
	}
	if (o->recovery_file) {
		argv[n++] = "--recovery-file";
		argv[n++] = o->recovery_file;
	}
	argv[n++] = "--";
	argv[n++] = o->ws;
	argv[n] = NULL;
}

/* One line: a message, or the end. 1 = the end. */
static int check_line(const struct fsc_check *o, const char *line, size_t len, json_t **ret,
		      struct err *err)
{
	autojson json_t *message = NULL;
	int r = json_parse(line, len, "the report of sbxfsd", &message, err);

	if (r < 0)
		return r;
	if (!json_object_get(message, "ok")) {
		o->message(o->ctx, message);
		return 0;
	}
	r = fsc_reply_check(message, err);
	if (r < 0)
		return r;
	*ret = json_incref(json_object_get(message, "summary"));
	return *ret ? 1 : err_set(err, -EPROTO, "the report of sbxfsd has no summary.");
}

static int check_read(const struct fsc_check *o, FILE *in, json_t **ret, struct err *err)
{
	autofree char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int r = 0;

	while (r == 0) {
		errno = 0;
		n = getline(&line, &size, in);
		if (n < 0)
			return errno == EINTR
				       ? err_set(err, -EINTR, "the check was interrupted")
				       : err_set(err, -EIO, "sbxfsd ended before its report.");
		r = check_line(o, line, (size_t)n, ret, err);
	}
	return r < 0 ? r : 0;
}

/* As the child of a shell it has our terminal: a passphrase may be asked. */
static int check_start(const struct fsc_check *o, pid_t *ret_pid, FILE **ret_in, struct err *err)
{
	const char *argv[12];
	char path[4096];
	int out[2], r;
	pid_t child;

	r = fsc_daemon_must(path, sizeof(path), err);
	if (r < 0)
		return r;
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(err, -errno, "start '%s'", path);
	check_argv(o, path, argv);
	child = fork();
	if (child == 0) {
		int keep = fcntl(out[1], F_DUPFD_CLOEXEC, 3);

		if (keep < 0 || dup2(keep, 1) < 0)
			_exit(127);
		fsc_exec(path, (char *const *)argv);
	}
	close(out[1]);
	*ret_in = child > 0 ? fdopen(out[0], "r") : NULL;
	if (*ret_in) {
		*ret_pid = child;
		return 0;
	}
	r = err_set(err, -errno, "start '%s'", path);
	close(out[0]);
	if (child > 0)
		kill(child, SIGTERM);
	return r;
}

int fsc_check(const struct fsc_check *o, json_t **ret, struct err *err)
{
	FILE *in = NULL;
	pid_t child;
	int status, r = check_start(o, &child, &in, err);

	if (r < 0)
		return r;
	r = check_read(o, in, ret, err);
	fclose(in);
	/* Waited for in any case: it may have to give the terminal back. */
	if (r < 0)
		kill(child, SIGTERM);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return r;
}
