/* What a person reads of a run before and while it goes on. */
#include "sandbox/plan.h"
#include "shell/banner.h"
#include "shell/progress.h"
#include "tests/check.h"

static void test_banner(void)
{
	struct plan_limits limits = { .memory_bytes = 2ull << 30, .pids = 512 };
	struct banner b = { .name = "ws", .limits = &limits, .escape = "~" };
	char text[512];

	banner_text(&b, text, sizeof(text));
	CHECK_STR(text,
		  "sbx:ws: memory 2G, 512 processes, no network\n"
		  "/workspace is kept, encrypted; 'exit' leaves, ~. ends it at once, ~? helps\n");
	limits.cpu_milli = 1500;
	limits.time_ms = 60000;
	b.quota_known = b.home_kept = true;
	b.used = 3 << 20;
	b.quota = 1 << 30;
	b.datasets = 2;
	b.escape = "";
	banner_text(&b, text, sizeof(text));
	CHECK_STR(text, "sbx:ws: 3M of 1G used, memory 2G, 1.5 CPUs, 512 processes, time 60 s, no "
			"network\n/workspace and $HOME are kept, encrypted; /datasets has 2, "
			"read-only; 'exit' leaves\n");
	/* Cut, not overrun. */
	memset(text, 'x', sizeof(text));
	banner_text(&b, text, 10);
	CHECK_STR(text, "sbx:ws: 3");
	CHECK_EQ(text[10], 'x');
}

static void test_progress(void)
{
	struct progress_seen seen = { .known = 1, .first = 1 << 20, .used = 5 << 20 };
	struct progress_now n = { .elapsed_ms = 65000,
				  .time_ms = 3665000,
				  .memory = 1 << 20,
				  .memory_limit = 1 << 30,
				  .cpu_ms = 7000,
				  .passed = 12 };
	char text[256];

	progress_text(&seen, &n, text, sizeof(text));
	CHECK_STR(text, "[1:05, 1:00:00 left] memory 1M of 1G, CPU 0:07, output 12, written 4M");
	/* Less than at the beginning is nothing written; past the limit nothing is left. */
	seen.used = 0;
	n.elapsed_ms = 3700000;
	progress_text(&seen, &n, text, sizeof(text));
	CHECK_STR(text, "[1:01:40, 0:00 left] memory 1M of 1G, CPU 0:07, output 12, written 0");
	n.time_ms = n.memory_limit = 0;
	progress_text(NULL, &n, text, sizeof(text));
	CHECK_STR(text, "[1:01:40] memory 1M, CPU 0:07, output 12");
	progress_text(NULL, &n, text, 8);
	CHECK_STR(text, "[1:01:4");
}

int main(void)
{
	test_banner();
	test_progress();
	return check_report();
}
