#include "shell/sbxctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "shell/ws_check.h"

static const struct {
	int code, exit;
} exits[] = {
	{ ENOKEY, CTL_NO_KEY },     { EKEYREJECTED, CTL_NO_KEY }, { EBUSY, CTL_IN_USE },
	{ ENOTCONN, CTL_IN_USE },   { EBADMSG, CTL_DAMAGED },     { EOPNOTSUPP, CTL_NO_SUPPORT },
	{ ENODEV, CTL_NO_SUPPORT },
};

int ctl_exit_code(int r)
{
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		if (-r == exits[i].code)
			return exits[i].exit;
	return r < 0 ? CTL_FAILED : CTL_OK;
}

int ctl_fail(int r, const struct err *err)
{
	log_err(r, err);
	return ctl_exit_code(r);
}

int ctl_usage(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_print(LOG_ERROR, "%s", text);
	return CTL_USAGE;
}

/* The daemon would refuse as well; said here, the sentence comes at once and before any question
 * for a passphrase. */
int ctl_check_workspace(const char *ws, struct err *err)
{
	return ws_check(ws, err);
}

int ctl_open(const char *ws, const struct ctl_common *c, struct fsc **ret, struct err *err)
{
	struct fsc_options o = {
		.ws = ws,
		.passphrase_file = c->passphrase_file,
		.recovery_file = c->recovery_file,
		.start = true,
	};
	int r = ctl_check_workspace(ws, err);

	if (r < 0)
		return r;
	return fsc_open(&o, ret, err);
}

int ctl_call(struct fsc *c, json_t *req, json_t **ret, struct err *err)
{
	if (!req)
		return err_set(err, -ENOMEM, "build the request");
	return fsc_call(c, req, NULL, 0, ret, NULL, NULL, err);
}

int ctl_ask(const char *ws, const struct ctl_common *c, json_t *req, json_t **ret, struct err *err)
{
	autofsc struct fsc *fsc = NULL;
	int r = ctl_open(ws, c, &fsc, err);

	if (r < 0) {
		json_decref(req);
		return r;
	}
	return ctl_call(fsc, req, ret, err);
}

const char *ctl_str(const json_t *obj, const char *path)
{
	const char *s;

	return json_get_str(obj, path, &s, NULL) < 0 ? "" : s;
}

uint64_t ctl_u64(const json_t *obj, const char *path)
{
	uint64_t v;

	return json_get_u64(obj, path, &v, NULL) < 0 ? 0 : v;
}
