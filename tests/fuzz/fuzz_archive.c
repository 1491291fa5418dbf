/* Any bytes, as the confined reader of archives could write them into its pipe, or as a file of the
 * cache could hold them: whatever index comes out of it is sound. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/arch_index.h"
#include "fs/arch_index_int.h"
#include "fs/arch_proto.h"
#include "fs/arch_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_entry(void *ctx, const struct arch_entry *e)
{
	return arch_build_add(ctx, e);
}

static int on_data(void *ctx, const uint8_t *p, size_t len)
{
	return len > 0 && p[len - 1] == 255 ? -1 : 0;
}

static int on_progress(void *ctx, uint64_t done)
{
	return 0;
}

static int on_last(void *ctx, uint8_t code, const char *text)
{
	return strlen(text) > ARCH_TEXT_MAX ? -1 : 0;
}

/* From the top down, every name. */
static void walk(const struct arch_index *ix)
{
	for (uint32_t i = 0; i < ix->head->ninodes; i++) {
		const struct arch_name *n;

		for (uint64_t k = 0; (n = arch_index_at(ix, i, k)); k++) {
			const struct arch_inode *in = arch_index_inode(ix, n->inode);

			assert(in);
			assert(arch_index_find(ix, i, ix->strings + n->at, n->len) == n->inode);
			if (in->flags & ARCH_INODE_SYMLINK)
				assert(!memchr(ix->strings + in->at, '\0', in->size) || in->size);
		}
	}
}

static void from_stream(const uint8_t *data, size_t size)
{
	static const struct arch_stream_ops ops = { on_entry, on_data, on_progress, on_last,
						    on_last };
	static const struct arch_build_limits l = { .archive_size = 1 << 20,
						    .max_bytes = 1 << 20,
						    .max_entries = 1000 };
	static const struct arch_id id = { .size = 1 << 20 };
	struct arch_stream *s = NULL;
	struct arch_build *b = NULL;
	struct arch_index ix;
	void *mem = NULL;
	int r = 0;

	if (arch_build_new(&l, &b) < 0 || arch_stream_new(&ops, b, &s) < 0)
		abort();
	while (size > 0 && r == 0) {
		size_t len;
		uint8_t *room = arch_stream_room(s, &len);

		len = MIN(MIN(len, size), 1 + size / 3); /* in pieces */
		memcpy(room, data, len);
		r = arch_stream_fed(s, len);
		data += len;
		size -= len;
	}
	if (r == 0 && arch_build_entries(b) == 1)
		arch_build_rename_single(b, "name");
	/* Sound after an error, too: what was refused left nothing half done. */
	if (arch_build_finish(b, &id, 0, "fuzz", &mem, &size) == 0) {
		assert(arch_index_check(mem, size, &ix) == 0);
		walk(&ix);
		free(mem);
	}
	arch_build_free(b);
	arch_stream_free(s);
}

/* With the right sum, for it is no secret. */
static void from_file(const uint8_t *data, size_t size)
{
	uint8_t *mem = malloc(size + 1);
	struct arch_head *h = (struct arch_head *)mem;
	struct arch_index ix;

	if (!mem)
		abort();
	memcpy(mem, data, size);
	if (size >= sizeof(*h)) {
		memcpy(h->magic, ARCH_INDEX_MAGIC, sizeof(h->magic));
		h->order = ARCH_INDEX_ORDER;
		h->check = arch_index_sum(h + 1, size - sizeof(*h));
	}
	if (arch_index_check(mem, size, &ix) == 0)
		walk(&ix);
	free(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'i')
		from_file(data + 1, size - 1);
	else
		from_stream(data + 1, size - 1);
	return 0;
}
