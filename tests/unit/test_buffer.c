/* Memory for plaintext on its way: locked within its half of the limit, usable beyond it. */
#include "keys/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/secret.h"
#include "tests/check.h"

/* Does the mapping around 'p' carry this flag in /proc/self/smaps ("lo" locked, "dd" not dumped)?
 */
static int has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[1000], want[8];
	int in = 0, found = -1;

	if (!f)
		return -1;
	snprintf(want, sizeof(want), " %s", flag);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			in = from <= (uintptr_t)p && (uintptr_t)p < to;
		else if (in && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, want) != NULL;
	}
	fclose(f);
	return found;
}

/* A fork that is nobody, with 64 KiB to lock. */
static int limited(void)
{
	struct rlimit rl = { 65536, 65536 };
	uint8_t *v[4];

	if (setrlimit(RLIMIT_MEMLOCK, &rl) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		return 2;
	CHECK(!buffer_lock_process());
	CHECK(!buffer_process_locked());
	for (int i = 0; i < 4; i++) {
		v[i] = buffer_alloc(16000);
		CHECK(v[i] != NULL);
		CHECK_EQ((uintptr_t)v[i] % 4096, 0);
		memset(v[i], 0x5a, 16000);
		CHECK_EQ(has_flag(v[i], "dd"), 1);
	}
	CHECK_EQ(has_flag(v[0], "lo"), 1);
	CHECK_EQ(has_flag(v[1], "lo"), 1);
	CHECK_EQ(has_flag(v[2], "lo"), 0);
	/* The other half stays for keys. */
	CHECK(secret_alloc(8192) != NULL);
	buffer_release(v[0]);
	buffer_release(v[2]);
	v[0] = buffer_alloc(10000);
	CHECK_EQ(has_flag(v[0], "lo"), 1);
	CHECK_EQ(v[0][0], 0);
	return check_failures ? 1 : 0;
}

static int in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int r = fn();

		fflush(NULL);
		_exit(r);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int all_of_it(void)
{
	char *heap;

	if (!buffer_lock_process())
		return 3;
	heap = malloc(4 << 20); /* a mapping of its own, made later */
	CHECK(buffer_process_locked());
	memset(heap, 1, 4 << 20);
	CHECK_EQ(has_flag(heap + (2 << 20), "lo"), 1);
	free(heap);
	return check_failures ? 1 : 0;
}

int main(void)
{
	uint8_t *probe = buffer_alloc(1);
	int r;

	CHECK_EQ(secret_setup(NULL), 0);
	buffer_release(NULL);
	if (mlock(probe, 4096) < 0 || has_flag(probe, "lo") != 1) /* the sanitizers do nothing */
		CHECK_SKIP("memory cannot be locked, or the kernel does not show it");
	buffer_release(probe);
	CHECK_EQ(in_child(limited), 0);
	if (CHECK_SANITIZED) /* mlockall(2) does nothing */
		return check_report();
	r = in_child(all_of_it);
	CHECK(r == 0 || (r == 3 && geteuid() != 0));
	return check_report();
}
