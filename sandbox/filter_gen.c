/* Run when sbx is built: prints the filters as C arrays. */
#include <stdio.h>

#include "base/err.h"
#include "sandbox/seccomp.h"

static void print(const char *name, const struct seccomp_program *p)
{
	printf("static const struct sock_filter %s_insns[] = {\n", name);
	for (unsigned i = 0; i < p->len; i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", p->insns[i].code, p->insns[i].jt,
		       p->insns[i].jf, p->insns[i].k);
	printf("};\n\n");
}

int main(void)
{
	static struct seccomp_set set;
	struct err err = { 0 };

	if (seccomp_build_set(&set, &err) < 0) {
		fprintf(stderr, "filter_gen: %s\n", err.text);
		return 1;
	}
	print("filter_allow", &set.allow);
	print("filter_deny", &set.deny);
	print("filter_init", &set.init);
	print("filter_connector", &set.connector);
	print("filter_daemon", &set.daemon);
	print("filter_parser", &set.parser);
	return 0;
}
