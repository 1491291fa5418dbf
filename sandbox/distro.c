#include "sandbox/distro.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Has the line KEY=..., quoted or not, this word? */
static bool line_has(const char *text, const char *key, const char *word)
{
	const size_t nkey = strlen(key), nword = strlen(word);

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *end = p + strcspn(p, "\n");

		if (strncmp(p, key, nkey) != 0 || p[nkey] != '=')
			continue;
		for (const char *w = p + nkey + 1; w < end; w += strcspn(w, " \"'\n")) {
			w += strspn(w, " \"'");
			if (strncmp(w, word, nword) == 0 &&
			    strchr(" \"'\n", w[nword]) /* or the end */)
				return true;
			if (w >= end)
				break;
		}
	}
	return false;
}

enum distro distro_parse(const char *text)
{
	/* Ubuntu before Debian, which it is like. */
	static const struct {
		const char *word;
		enum distro distro;
	} known[] = {
		{ "ubuntu", DISTRO_UBUNTU }, { "debian", DISTRO_DEBIAN },
		{ "fedora", DISTRO_FEDORA }, { "rhel", DISTRO_FEDORA },
		{ "centos", DISTRO_FEDORA }, { "arch", DISTRO_ARCH },
		{ "suse", DISTRO_SUSE },     { "opensuse", DISTRO_SUSE },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (line_has(text, "ID", known[i].word) || line_has(text, "ID_LIKE", known[i].word))
			return known[i].distro;
	}
	return DISTRO_OTHER;
}

enum distro distro_get(void)
{
	static int found = -1;
	autofree char *text = NULL;

	if (found < 0)
		found = fd_read_attr(AT_FDCWD, "/etc/os-release", &text) < 0
				? DISTRO_OTHER
				: (int)distro_parse(text);
	return (enum distro)found;
}

void distro_install(enum distro d, const char *package, char *ret, size_t size)
{
	static const char *const commands[] = {
		[DISTRO_DEBIAN] = "apt install",  [DISTRO_UBUNTU] = "apt install",
		[DISTRO_FEDORA] = "dnf install",  [DISTRO_ARCH] = "pacman -S",
		[DISTRO_SUSE] = "zypper install",
	};

	if (d == DISTRO_OTHER)
		snprintf(ret, size, "install the package %s", package);
	else
		snprintf(ret, size, "'%s %s'", commands[d], package);
}

const char *distro_boot_option(enum distro d)
{
	switch (d) {
	case DISTRO_DEBIAN:
	case DISTRO_UBUNTU:
		return "in /etc/default/grub, then run 'update-grub' and boot";
	case DISTRO_FEDORA:
		return "with 'grubby --update-kernel=ALL --args=...', then boot";
	case DISTRO_ARCH:
	case DISTRO_SUSE:
		return "in /etc/default/grub, then run 'grub-mkconfig -o /boot/grub/grub.cfg' and "
		       "boot";
	default:
		return "on the kernel's command line, and boot";
	}
}
