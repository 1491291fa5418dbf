# A small Debian of this machine's release in DIR, to be booted by run.sh:
#
#   bash image.sh DIR LIBRARY..     DIR gets root.img, vmlinuz, initrd, and tools/ with a QEMU if need be
#
# LIBRARY: packages that the programs under test are linked with.  What is there already, and was
# made by this script as it is now, is kept.  Exit code 77 with a reason where it cannot be made.
set -u
export LC_ALL=C.UTF-8 TMPDIR=${TMPDIR:-/tmp}

dir=$1
shift
. /etc/os-release
release=${VERSION_CODENAME:-}
libraries=$*

cannot() {
	echo "skipped: $*"
	exit 77
}

[ "$(id -u)" = 0 ] || cannot "an image is made by root"
[ "${ID:-}" = debian ] || cannot "the image is made of this machine's release, which must be Debian"
[ "$(dpkg --print-architecture)" = amd64 ] || cannot "the virtual machine is made for amd64"
for tool in mmdebstrap mkfs.ext4; do
	command -v $tool >/dev/null || cannot "no $tool"
done

# What is inside besides the essential: a kernel, systemd with its user manager, the ways to log in
# that differ in where they put a process (ssh, su, cron), and what the tests call.
packages=linux-image-cloud-amd64,systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,udev
packages=$packages,login,passwd,procps,python3-minimal,libpython3-stdlib,openssh-server,openssh-client,cron,fuse3
packages=$packages,libnss-myhostname

mark=$(cat "$0" | sha256sum | cut -d ' ' -f 1)\ $release\ $libraries
[ "$(cat "$dir/mark" 2>/dev/null)" != "$mark" ] || exit 0

mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
	awk -v r="$release" '$2 == r { print $1; exit }')
mirror=${mirror:-http://deb.debian.org/debian}

# QEMU before 8 runs the guest's cmpxchg16b wrongly: its kernel dies now and then.
good_qemu() { # COMMAND..
	local version
	version=$("$@" qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
	[ "${version:-0}" -ge 8 ]
}

make_tools() {
	good_qemu && return 0
	rm -rf --one-file-system "$dir/tools"
	mmdebstrap --quiet --mode=root --variant=extract --include=qemu-system-x86,seabios trixie "$dir/tools" \
		"$mirror" >"$dir/tools.log" 2>&1 || return 1
	for d in bin lib lib64 sbin; do
		[ -e "$dir/tools/$d" ] || ln -s usr/$d "$dir/tools/$d"
	done
	good_qemu chroot "$dir/tools"
}

# The name of the user is that of the tests.
in_image='
	chroot "$1" useradd -m -s /bin/bash sbxtest
	mkdir -p "$1/sbx" "$1/root/.ssh" "$1/home/sbxtest/.ssh"
	ssh-keygen -q -t ed25519 -N "" -f "$1/root/.ssh/id_ed25519" >/dev/null ||
		chroot "$1" ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519
	cp "$1/root/.ssh/id_ed25519.pub" "$1/home/sbxtest/.ssh/authorized_keys"
	chroot "$1" chown -R sbxtest: /home/sbxtest/.ssh
	printf "StrictHostKeyChecking no\nLogLevel ERROR\nBatchMode yes\n" >"$1/root/.ssh/config"
	rm -f "$1/etc/resolv.conf"
	printf "127.0.0.1 localhost sbxvm\n" >"$1/etc/hosts"
	echo sbxvm >"$1/etc/hostname"
	printf "#!/bin/sh\nmount /dev/vdb /sbx && exec /bin/bash /sbx/src/tests/vm/first.sh\n" >"$1/sbin/sbx-first"
	chmod 755 "$1/sbin/sbx-first"
	printf "[Unit]\nAfter=multi-user.target ssh.service\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/bash /sbx/src/tests/vm/guest.sh\n" >"$1/etc/systemd/system/sbx-tests.service"
	mkdir -p "$1/etc/systemd/system/default.target.wants"
	ln -s ../sbx-tests.service "$1/etc/systemd/system/default.target.wants/sbx-tests.service"
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
		e2scrub_reap.service systemd-timesyncd.service systemd-networkd.service systemd-random-seed.service \
		getty@tty1.service serial-getty@ttyS0.service systemd-update-utmp.service keyboard-setup.service; do
		ln -sf /dev/null "$1/etc/systemd/system/$unit"
	done
'

make_root() {
	local root=$dir/root
	mmdebstrap --quiet --mode=root --variant=minbase --include="$packages${libraries:+,$(echo $libraries | tr ' ' ,)}" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
		--customize-hook="$in_image" "$release" "$root" "$mirror" >"$dir/root.log" 2>&1 || return 1
	cp "$root"/boot/vmlinuz-* "$dir/vmlinuz" && cp "$root"/boot/initrd.img-* "$dir/initrd" || return 1
	rm -f "$root"/boot/initrd.img-*
	mkfs.ext4 -q -F -d "$root" -L sbxroot "$dir/root.img" 1500M >>"$dir/root.log" 2>&1
}

rm -rf --one-file-system "$dir"
mkdir -p "$dir" && chmod 700 "$dir" || cannot "no room in $dir"
make_tools &
make_root
made=$?
wait $! || cannot "no QEMU of version 8 or later: $(tail -n 1 "$dir/tools.log" 2>/dev/null)"
rm -rf --one-file-system "$dir/root"
[ $made = 0 ] || cannot "the image cannot be made: $(grep -v '^$' "$dir/root.log" | tail -n 1)"
echo "$mark" >"$dir/mark"
