/* Run when sbx is built: prints the filters as C arrays. */
#include <stdio.h>
#include <string.h>

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

static const char *refusal(const char *call)
{
	for (const struct seccomp_row *row = seccomp_refused; row->names; row++) {
		const char *p = row->names;
		char name[48];

		while (seccomp_next_name(&p, name) == 0) {
			if (strcmp(name, call) == 0)
				return row->reason;
		}
	}
	return NULL;
}

/* What a person is told about a call that was refused. */
static void print_calls(void)
{
	printf("static const struct filter_call call_rows[] = {\n");
	for (int nr = 0; nr < 1024; nr++) {
		const struct seccomp_argued *a = seccomp_argued;
		const char *why;
		char name[48];

		if (seccomp_name(nr, name) < 0)
			continue;
		while (a->name && strcmp(a->name, name) != 0)
			a++;
		why = a->name ? a->reason : refusal(name);
		printf("\t{ %d, \"%s\", \"%s\", %d },\n", nr, name, why ? why : "",
		       a->name ? (int)a->arg : -1);
	}
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
	print("filter_explain", &set.explain);
	print("filter_init", &set.init);
	print("filter_connector", &set.connector);
	print("filter_daemon", &set.daemon);
	print("filter_parser", &set.parser);
	print_calls();
	return 0;
}
