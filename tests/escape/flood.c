/* Attacks 47 and 48: output without end: "out", "err", "line" (one line that never ends), "nul". */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char block[1 << 16];
	const char *how = argc > 1 ? argv[1] : "out";
	long long total = 0;
	ssize_t n;

	memset(block, strcmp(how, "nul") == 0 ? 0 : 'x', sizeof(block));
	for (size_t i = 79;
	     strcmp(how, "line") != 0 && strcmp(how, "nul") != 0 && i < sizeof(block); i += 80)
		block[i] = '\n';
	signal(SIGPIPE, SIG_IGN);
	/* Enough to have shown that there is no limit. */
	while (total < (1LL << 31)) {
		n = write(strcmp(how, "err") == 0 ? 2 : 1, block, sizeof(block));
		if (n < 0)
			return errno == EPIPE ? 3 : 1;
		total += n;
	}
	return 0;
}
