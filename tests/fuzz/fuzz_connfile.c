/* Any text, as a connection file. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "shell/jup_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jup_conn c, again;
	struct err err = { 0 };
	char *text;

	if (jup_conn_parse((const char *)data, size, &c, &err) < 0) {
		assert(err.text[0]); /* a refusal has a reason */
		return 0;
	}
	assert(c.ipc || !strncmp(c.ip, "127.", 4));
	for (int i = 0; i < JUP_CHANNELS; i++)
		assert(c.ports[i]);
	/* What the kernel gets is a connection file, too. */
	text = jup_conn_inner(&c, c.ports, NULL);
	assert(text && jup_conn_parse(text, strlen(text), &again, &err) == 0);
	assert(!strcmp(again.key, c.key) && !memcmp(again.ports, c.ports, sizeof(c.ports)));
	free(text);
	jup_conn_free(&again);
	jup_conn_free(&c);
	return 0;
}
