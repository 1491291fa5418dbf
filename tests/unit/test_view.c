#include "sandbox/view.h"

#include <string.h>

#include "tests/check.h"

static void memory(void)
{
	static const char host[] = "MemTotal:       25276510 kB\nMemFree:        21560389 kB\n"
				   "MemAvailable:     204800 kB\nSwapTotal:       1048576 kB\n";
	char text[2048];

	CHECK(view_meminfo(host, 1 << 30, text, sizeof(text)) > 0);
	CHECK(strstr(text, "MemTotal:        1048576 kB\n") != NULL);
	/* the host has less to give than the limit would allow */
	CHECK(strstr(text, "MemAvailable:     204800 kB\n") != NULL);
	CHECK(strstr(text, "SwapTotal:             0 kB\n") != NULL);
	/* a limit above what there is */
	CHECK(view_meminfo(host, 1ull << 50, text, sizeof(text)) > 0);
	CHECK(strstr(text, "MemTotal:       25276510 kB\n") != NULL);
	CHECK_EQ(view_meminfo(host, 1 << 30, text, 100), 0);
}

static void processors(void)
{
	static const char host[] = "processor: 0\nx: y\n\nprocessor: 1\nx: y\n\n";

	CHECK_EQ(view_cpuinfo(host, 1), strlen("processor: 0\nx: y\n\n"));
	CHECK_EQ(view_cpuinfo(host, 2), strlen(host));
	CHECK_EQ(view_cpuinfo(host, 3), strlen(host));
	CHECK_EQ(view_cpuinfo("", 1), 0);
}

int main(void)
{
	memory();
	processors();
	return check_report();
}
