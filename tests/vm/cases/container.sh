# In a container: control groups that are read-only are degraded and said to be; those that can be written are used, with no systemd in sight.
# run: root
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
# No systemd to ask: as in most containers.
hide='mount -t tmpfs tmpfs /run/systemd; mount -t tmpfs tmpfs /run/dbus'
cat >ro <<END
set -e
$hide
mount -o remount,bind,ro /sys/fs/cgroup
exec "\$@"
END
cat >rw <<END
set -e
$hide
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec "\$@"
END
contain() { # HOW CMD..
	local how=$1
	shift
	unshare -mC --propagation private sh $how "$@"
}

expect_refusal 125 "memory read-write --allow-degraded" contain ro sbx-shell --memory 64M ws -- true
expect_code 0 contain ro sbx-shell --allow-degraded --result r.json --memory 64M ws -- true
expect_field r.json isolation.cgroup none
expect_match "$(field r.json degraded)" 'memory limit of 64M' degraded
settled ws

# Its own namespace of control groups, writable, full of processes.
cat >inside <<END
sleep 1000 &
sbx-shell --quiet --result r2.json --memory 64M ws -- true || exit
sbx-shell --quiet --result r3.json --memory 64M ws -- true
code=\$?
kill \$!
exit \$code
END
expect_code 0 systemd-run --quiet --scope --collect -p Delegate=yes unshare -mC --propagation private sh rw sh inside
for r in r2 r3; do
	expect_field $r.json isolation.cgroup v2
	expect_field $r.json degraded '[]'
done
