/* Jupyter messages: what lies between a ZeroMQ frame and a sentence in a notebook. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "shell/zmtp.h"

/* One message as it arrives, frame by frame: [identities] <IDS|MSG> signature header parent
 * metadata content [buffers].  Frames that were too long to keep are taken as absent. */
struct jup_msg {
	int part;       /* of the next frame: 0 = before the delimiter, 1 = signature, 2 = header */
	char *parts[4]; /* owned: header, parent, metadata, content; NUL-terminated */
	bool whole;     /* the last frame has come */
};
enum { JUP_HEADER, JUP_PARENT, JUP_METADATA, JUP_CONTENT };

/* Add a frame (not a command).  After the last one 'whole' is set; clear before the next. -ENOMEM.
 */
int jup_msg_add(struct jup_msg *m, const struct zmtp_frame *f);
void jup_msg_clear(struct jup_msg *m);
/* A part as a JSON object (new reference), NULL when it is none. */
json_t *jup_msg_json(const struct jup_msg *m, int part);

/* Append one signed message.  'topic' (may be NULL) goes before the delimiter, as a PUB socket
 * wants; 'parent': text of the header of the message that this one answers, "{}" if none; 'content'
 * is taken (NULL = out of memory).  'session' names who speaks. */
void jup_msg_put(struct zmtp_out *o, const char *key, const char *topic, const char *type,
		 const char *session, const char *parent, json_t *content);
/* The same, telling the new message's id (33 bytes). */
void jup_msg_put_id(struct zmtp_out *o, const char *key, const char *topic, const char *type,
		    const char *session, const char *parent, json_t *content, char ret_id[33]);
