/* Where control groups are, from the texts of /proc: pure functions. */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is 'word' one of the comma-separated words of the first 'n' bytes of 'list'? */
static bool has_word(const char *list, size_t n, const char *word)
{
	const size_t len = strlen(word);

	for (size_t i = 0; i <= n;) {
		const char *comma = memchr(list + i, ',', n - i);
		size_t end = comma ? (size_t)(comma - list) : n;

		if (end - i == len && memcmp(list + i, word, len) == 0)
			return true;
		i = end + 1;
	}
	return false;
}

/* Lines are ID:CONTROLLERS:PATH. */
int cgroup_parse_path(const char *text, const char *controller, char *ret, size_t size)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		const char *c1 = memchr(line, ':', len);
		const char *c2 = c1 ? memchr(c1 + 1, ':', len - (size_t)(c1 + 1 - line)) : NULL;

		/* v2 is "0::PATH"; named v1 hierarchies are "N:name=X:PATH" */
		if (c2 && has_word(c1 + 1, (size_t)(c2 - c1 - 1), controller)) {
			size_t n = len - (size_t)(c2 + 1 - line);

			if (n == 0 || c2[1] != '/')
				return -ENOENT;
			if (n >= size)
				return -ENAMETOOLONG;
			memcpy(ret, c2 + 1, n);
			ret[n] = '\0';
			return 0;
		}
		line += len + (line[len] == '\n');
	}
	return -ENOENT;
}

/* The n-th blank-separated field of a line of 'len' bytes. */
static const char *field(const char *line, size_t len, unsigned n, size_t *ret_len)
{
	const char *p = line, *end = line + len;

	while (n-- > 0) {
		p = memchr(p, ' ', (size_t)(end - p));
		if (!p)
			return NULL;
		p++;
	}
	*ret_len = strcspn(p, " \n");
	return p;
}

/* Undo \040 and its like. */
static int copy_unescaped(const char *from, size_t n, char *ret, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		char c = from[i];

		if (c == '\\' && i + 3 < n + 0 && from[i + 1] >= '0' && from[i + 1] <= '3' &&
		    from[i + 2] >= '0' && from[i + 2] <= '7' && from[i + 3] >= '0' &&
		    from[i + 3] <= '7') {
			c = (char)((from[i + 1] - '0') * 64 + (from[i + 2] - '0') * 8 +
				   (from[i + 3] - '0'));
			i += 3;
		}
		if (out + 1 >= size)
			return -ENAMETOOLONG;
		ret[out++] = c;
	}
	ret[out] = '\0';
	return 0;
}

/* Lines are ID PARENT MAJ:MIN ROOT DIR OPTIONS [TAGS..] - TYPE SOURCE SUPEROPTIONS. */
int cgroup_parse_mount(const char *text, const char *controller, char *ret_dir, char *ret_root,
		       size_t size)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), n_root = 0, n_dir = 0, n_type, n_opts = 0;
		const char *root = field(line, len, 3, &n_root);
		const char *dir = field(line, len, 4, &n_dir);
		const char *dash = memmem(line, len, " - ", 3);
		const char *type = dash ? dash + 3 : NULL;
		const char *opts = NULL;
		bool hit = false;

		if (type) {
			size_t rest = len - (size_t)(type - line);

			n_type = strcspn(type, " \n");
			opts = field(type, rest, 2, &n_opts);
			if (!*controller)
				hit = n_type == 7 && memcmp(type, "cgroup2", 7) == 0;
			else
				hit = n_type == 6 && memcmp(type, "cgroup", 6) == 0 && opts &&
				      has_word(opts, n_opts, controller);
		}
		if (hit && root && dir) {
			int r = copy_unescaped(dir, n_dir, ret_dir, size);

			return r < 0 ? r : copy_unescaped(root, n_root, ret_root, size);
		}
		line += len + (line[len] == '\n');
	}
	return -ENOENT;
}

int cgroup_join_path(const char *dir, const char *root, const char *path, char *ret, size_t size)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	int len;

	/* A mount of a part of the hierarchy, as in containers: our path begins with that part, or
	 * we are outside of what is mounted. "/.." means outside of the cgroup namespace. */
	if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != '\0') ||
	    strstr(path, "/.."))
		return -ENOENT;
	path += n;
	len = snprintf(ret, size, "%s%s", dir, strcmp(path, "/") == 0 ? "" : path);
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

bool cgroup_parse_leaf(const char *name, pid_t *ret_pid, uint64_t *ret_start)
{
	const char *last = strrchr(name, '-'), *prev = last;
	unsigned long long start;
	char *end;
	long pid;

	if (strncmp(name, "sbx-", 4) != 0 || !last || last <= name + 4)
		return false;
	while (prev > name && prev[-1] != '-')
		prev--;
	if (prev <= name + 4 || prev[0] < '0' || prev[0] > '9' || last[1] < '0' || last[1] > '9')
		return false;
	errno = 0;
	pid = strtol(prev, &end, 10);
	if (end != last || pid <= 0 || pid > INT32_MAX || errno)
		return false;
	start = strtoull(last + 1, &end, 10);
	if (*end || errno)
		return false;
	*ret_pid = (pid_t)pid;
	*ret_start = start;
	return true;
}
