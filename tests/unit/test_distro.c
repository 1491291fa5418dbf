#include "sandbox/distro.h"

#include <string.h>

#include "tests/check.h"

int main(void)
{
	char text[80];

	CHECK_EQ(distro_parse("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"), DISTRO_DEBIAN);
	CHECK_EQ(distro_parse("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n"), DISTRO_UBUNTU);
	CHECK_EQ(distro_parse("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), DISTRO_UBUNTU);
	CHECK_EQ(distro_parse("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), DISTRO_FEDORA);
	CHECK_EQ(distro_parse("ID='opensuse-leap'\nID_LIKE='suse opensuse'"), DISTRO_SUSE);
	CHECK_EQ(distro_parse("ID=arch"), DISTRO_ARCH);
	/* a word, not a part of one; the key, not another that ends like it */
	CHECK_EQ(distro_parse("ID=archaic\nVARIANT_ID=debian\nNAME=debian\n"), DISTRO_OTHER);
	CHECK_EQ(distro_parse(""), DISTRO_OTHER);
	CHECK_EQ(distro_parse("ID="), DISTRO_OTHER);
	CHECK_EQ(distro_parse("ID=\"\"\nID_LIKE=\n"), DISTRO_OTHER);

	distro_install(DISTRO_UBUNTU, "fuse3", text, sizeof(text));
	CHECK(strcmp(text, "'apt install fuse3'") == 0);
	distro_install(DISTRO_OTHER, "fuse3", text, sizeof(text));
	CHECK(strcmp(text, "install the package fuse3") == 0);
	return check_report();
}
