#include "shell/jup_msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "shell/jup_sign.h"

static const char delimiter[] = "<IDS|MSG>";

static bool is_delimiter(const struct zmtp_frame *f)
{
	return f->full == sizeof(delimiter) - 1 && !memcmp(f->body, delimiter, f->len);
}

int jup_msg_add(struct jup_msg *m, const struct zmtp_frame *f)
{
	int at = m->part - 2;

	m->whole = !(f->flags & ZMTP_MORE);
	if (m->part == 0) {
		m->part = is_delimiter(f);
		return 0;
	}
	m->part++;
	if (at < 0 || at >= (int)ARRAY_LEN(m->parts) || f->full > f->len)
		return 0;
	m->parts[at] = strndup((const char *)f->body, f->len);
	return m->parts[at] ? 0 : -ENOMEM;
}

void jup_msg_clear(struct jup_msg *m)
{
	for (size_t i = 0; i < ARRAY_LEN(m->parts); i++)
		free(m->parts[i]);
	*m = (struct jup_msg){ 0 };
}

json_t *jup_msg_json(const struct jup_msg *m, int part)
{
	const char *text = m->parts[part];
	json_t *j = NULL;

	if (!text || json_parse(text, strlen(text), "a message", &j, NULL) < 0)
		return NULL;
	if (!json_is_object(j)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static void new_id(char ret[static 33])
{
	uint8_t random[16] = { 0 };

	if (getrandom(random, sizeof(random), 0) < 0)
		memset(random, 0, sizeof(random)); /* ids need to be different, not secret */
	hex_encode(random, sizeof(random), ret);
}

static char *make_header(const char *type, const char *session, const char *id)
{
	autojson json_t *j = NULL;
	struct timespec now;
	struct tm tm;
	char day[40], date[64];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(date, sizeof(date), "%s.%06ldZ", day, now.tv_nsec / 1000);
	j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "msg_id", id, "session", session,
		      "username", "sbx", "date", date, "msg_type", type, "version", "5.3");
	return j ? json_canonical(j) : NULL;
}

void jup_msg_put_id(struct zmtp_out *o, const char *key, const char *topic, const char *type,
		    const char *session, const char *parent, json_t *content, char ret_id[33])
{
	autofree char *header = NULL, *body = NULL;
	const char *parts[4];
	char sign[65];

	new_id(ret_id);
	header = make_header(type, session, ret_id);
	body = content ? json_canonical(content) : NULL;
	json_decref(content);
	if (!header || !body) {
		o->failed = true;
		return;
	}
	parts[JUP_HEADER] = header;
	parts[JUP_PARENT] = parent;
	parts[JUP_METADATA] = "{}";
	parts[JUP_CONTENT] = body;
	jup_sign(key, parts, ARRAY_LEN(parts), sign);
	if (topic)
		zmtp_put_frame(o, ZMTP_MORE, topic, strlen(topic));
	zmtp_put_frame(o, ZMTP_MORE, delimiter, sizeof(delimiter) - 1);
	zmtp_put_frame(o, ZMTP_MORE, sign, strlen(sign));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		zmtp_put_frame(o, i + 1 < ARRAY_LEN(parts) ? ZMTP_MORE : 0, parts[i],
			       strlen(parts[i]));
}

void jup_msg_put(struct zmtp_out *o, const char *key, const char *topic, const char *type,
		 const char *session, const char *parent, json_t *content)
{
	char id[33];

	jup_msg_put_id(o, key, topic, type, session, parent, content, id);
}
