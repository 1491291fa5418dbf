# The Debian package: builds, lintian has nothing to say, and what is in it works from where it
# would be installed (laid over /usr in a mount namespace: nothing of the host changes).
# run: root
# needs: dpkg-buildpackage dh lintian fuse userns
# timeout: 400
# slow: yes
. "$SBX_SRC/tests/lib/common.sh"

[ ! -e /usr/libexec/sbx ] || skip "sbx is installed on this machine"
mkdir out
expect_code 0 sh "$SBX_SRC/packaging/build-deb.sh" out
deb=$(echo out/sbx_*.deb)
expect_code 0 lintian --allow-root --fail-on error,warning,info "$deb"
dpkg -x "$deb" root
for f in bin/sbx-shell bin/sbxctl libexec/sbx/sbxfsd libexec/sbx/sbx-archive share/man/man1/sbxctl.1.gz \
	share/bash-completion/completions/sbxctl.bash lib/systemd/user/sbx-mount@.service; do
	[ -s "root/usr/$f" ] || fail "the package lacks /usr/$f"
done
dpkg -I "$deb" control >control
grep -q '^Depends:.*libfuse3-3' control || fail "no dependency on libfuse3: $(cat control)"

mkdir view data && echo 1,2 >data/a.csv
cat >inside.sh <<'SH'
set -eu
mount -t overlay overlay -o "lowerdir=$PWD/root/usr:/usr" /usr
PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ "$(command -v sbxctl)" = /usr/bin/sbxctl ]
sbxctl init ws
sbxctl dataset add ws data data
sbx-shell ws -- sh -c 'cat /datasets/data/a.csv; echo out >/workspace/o'
sbxctl mount ws view
cat view/workspace/o
sbxctl umount view
SH
expect_code 0 unshare -m sh inside.sh
grep -qx 1,2 cmd.out && grep -qx out cmd.out || fail "the installed programs: $(cat cmd.out cmd.err)"
