#include "shell/jup_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

#define FILE_MAX_BYTES 65536

static const char *const channel_names[JUP_CHANNELS] = {
	[JUP_SHELL] = "shell",     [JUP_IOPUB] = "iopub", [JUP_STDIN] = "stdin",
	[JUP_CONTROL] = "control", [JUP_HB] = "hb",
};

const char *jup_channel_name(enum jup_channel c)
{
	return channel_names[c];
}

static int copy_str(const json_t *json, const char *key, const char *deflt, char *ret, size_t size,
		    struct err *err)
{
	const char *text = deflt;
	int r = json_get_str(json, key, &text, err);

	if (r < 0 && r != -ENOENT)
		return r;
	if ((size_t)snprintf(ret, size, "%s", text) >= size)
		return err_set(err, -EINVAL, "'%s' is too long.", key);
	return 0;
}

/* Anybody on the network could use a kernel that listens elsewhere. */
static int check_ip(const struct jup_conn *c, struct err *err)
{
	struct in_addr a;

	if (c->ipc)
		return 0;
	if (inet_pton(AF_INET, c->ip, &a) == 1 && ntohl(a.s_addr) >> 24 == 127)
		return 0;
	return err_set(err, -EINVAL,
		       "'ip' is '%.64s': only kernels on this machine are served, on 127.0.0.1.",
		       c->ip);
}

static int read_ports(struct jup_conn *c, struct err *err)
{
	for (int i = 0; i < JUP_CHANNELS; i++) {
		char key[32];
		uint64_t port = 0;
		int r;

		snprintf(key, sizeof(key), "%s_port", channel_names[i]);
		r = json_get_u64(c->json, key, &port, err);
		if (r < 0 && r != -ENOENT)
			return r;
		if (port == 0 || port > 65535)
			return err_set(err, -EINVAL, "'%s' is not a port.", key);
		for (int k = 0; k < i; k++)
			if (c->ports[k] == port)
				return err_set(err, -EINVAL, "'%s_port' and '%s' are the same.",
					       channel_names[k], key);
		c->ports[i] = (uint16_t)port;
	}
	return 0;
}

static int read_members(struct jup_conn *c, struct err *err)
{
	char transport[16], scheme[32];
	int r = copy_str(c->json, "transport", "tcp", transport, sizeof(transport), err);

	if (r < 0)
		return r;
	c->ipc = !strcmp(transport, "ipc");
	if (!c->ipc && strcmp(transport, "tcp") != 0)
		return err_set(err, -EINVAL, "'transport' is '%s': it may be tcp or ipc.",
			       transport);
	r = copy_str(c->json, "ip", c->ipc ? "kernel-ipc" : "127.0.0.1", c->ip, sizeof(c->ip), err);
	if (r == 0)
		r = check_ip(c, err);
	if (r == 0)
		r = read_ports(c, err);
	if (r == 0)
		r = copy_str(c->json, "key", "", c->key, sizeof(c->key), err);
	if (r == 0)
		r = copy_str(c->json, "signature_scheme", "hmac-sha256", scheme, sizeof(scheme),
			     err);
	if (r == 0)
		c->can_speak = (!c->key[0] || !strcmp(scheme, "hmac-sha256")) &&
			       !json_at(c->json, "curve_publickey") &&
			       !json_at(c->json, "curve_secretkey");
	return r;
}

int jup_conn_parse(const char *text, size_t len, struct jup_conn *ret, struct err *err)
{
	struct jup_conn c = { 0 };
	int r = json_parse(text, len, "the connection file", &c.json, err);

	if (r < 0)
		return r;
	r = json_is_object(c.json) ? read_members(&c, err)
				   : err_set(err, -EINVAL, "it is not a JSON object.");
	if (r < 0) {
		jup_conn_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

int jup_conn_read(const char *path, struct jup_conn *ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	int r = fd_read_file(AT_FDCWD, path, FILE_MAX_BYTES, &text, &len, err);

	if (r == 0)
		r = jup_conn_parse(text, len, ret, err);
	return r < 0 ? err_wrap(err, r, "--jupyter: '%s'", path) : 0;
}

void jup_conn_free(struct jup_conn *c)
{
	json_decref(c->json);
	c->json = NULL;
}

char *jup_conn_inner(const struct jup_conn *c, const uint16_t ports[JUP_CHANNELS],
		     const char *sockets)
{
	autojson json_t *copy = json_copy(c->json);
	int r = 0;

	if (!copy)
		return NULL;
	r |= json_object_set_new(copy, "transport", json_string(sockets ? "ipc" : "tcp"));
	r |= json_object_set_new(copy, "ip", json_string(sockets ? sockets : "127.0.0.1"));
	for (int i = 0; i < JUP_CHANNELS; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_port", channel_names[i]);
		r |= json_object_set_new(copy, key, json_integer(sockets ? i + 1 : ports[i]));
	}
	return r < 0 ? NULL : json_pretty(copy);
}
