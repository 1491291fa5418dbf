#include "shell/greet.h"

#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "fs/client.h"
#include "sandbox/plan.h"
#include "shell/banner.h"
#include "shell/escape.h"

/* Left out when the daemon does not say. */
static void ask_quota(struct fsc *c, struct banner *b)
{
	autojson json_t *status = NULL;

	if (fsc_call(c, json_pack("{s:s}", "op", "status"), NULL, 0, &status, NULL, NULL, NULL) < 0)
		return;
	b->quota_known = json_get_u64(status, "quota.bytes", &b->used, NULL) == 0 &&
			 json_get_u64(status, "quota.limit_bytes", &b->quota, NULL) == 0;
	b->datasets = (unsigned)json_array_size(json_at(status, "datasets"));
}

void greet_person(struct fsc *c, const char *name, const struct sandbox_plan *plan,
		  const struct escape *escape)
{
	char text[1024], printable[256], key[4];
	struct banner b = {
		.name = printable,
		.limits = &plan->limits,
		.home_kept = plan->home_persist,
		.escape = key,
	};

	str_printable(name, printable, sizeof(printable));
	escape_name(escape, key);
	ask_quota(c, &b);
	banner_text(&b, text, sizeof(text));
	fputs(text, stderr);
}
