/* Remedies in the words of the distribution that this host runs. */
#pragma once

#include <stddef.h>

enum distro { DISTRO_DEBIAN, DISTRO_UBUNTU, DISTRO_FEDORA, DISTRO_ARCH, DISTRO_SUSE, DISTRO_OTHER };

/* By the ID and ID_LIKE of /etc/os-release, read once; OTHER when it says nothing known. */
enum distro distro_get(void);
/* Pure, for tests: the same of a text. */
enum distro distro_parse(const char *text);
/* "apt install fuse3": how to install what Debian calls 'package'. Never fails. */
void distro_install(enum distro d, const char *package, char *ret, size_t size);
/* How to boot with one more word on the kernel's command line: the end of a sentence. */
const char *distro_boot_option(enum distro d);
