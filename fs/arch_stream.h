/* The records of fs/arch_proto.h as they come out of the pipe: foreign bytes.  Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arch_entry;
struct arch_stream;

struct arch_stream_ops {
	/* Each returns 0, or a negative errno that ends the stream. What they get is borrowed. */
	int (*entry)(void *ctx, const struct arch_entry *e);
	int (*data)(void *ctx, const uint8_t *p, size_t len);
	int (*progress)(void *ctx, uint64_t done);
	int (*end)(void *ctx, uint8_t flags, const char *format);
	int (*fail)(void *ctx, uint8_t reason, const char *text);
};

/* An operation that is NULL is a record that must not come: -EBADMSG. */
int arch_stream_new(const struct arch_stream_ops *ops, void *ctx, struct arch_stream **ret);
void arch_stream_free(struct arch_stream *s);
/* Where the next bytes are to be read to; never 0 of them. */
uint8_t *arch_stream_room(struct arch_stream *s, size_t *ret_len);
/* So many came. -EBADMSG: no such record, or one after the last. */
int arch_stream_fed(struct arch_stream *s, size_t len);
/* Was the last record complete, and END or FAIL? */
int arch_stream_ended(const struct arch_stream *s);
