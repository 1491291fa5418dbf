# sbxctl doctor where it can be wrong on such a host: all there for a user who logged in; namespaces forbidden; no delegation of the CPU controller.
# run: root
. "$SBX_SRC/tests/lib/common.sh"

user=sbxtest
dropin=/etc/systemd/system/user@.service.d/less.conf
clone=/proc/sys/kernel/unprivileged_userns_clone
trap 'rm -f $dropin; [ ! -e $clone ] || echo 1 >$clone; systemctl daemon-reload' EXIT

# In a session of its own, begun for it.
asked() {
	loginctl terminate-user $user 2>/dev/null
	systemctl stop user@"$(id -u $user)".service
	su - $user -c "$SBX_BUILD/shell/sbxctl doctor --json; echo \$? >code" </dev/null >d.json
	code=$(cat "$(getent passwd $user | cut -d : -f 6)/code")
}
row() { # NAME KEY
	/usr/bin/python3 - "$1" "$2" <<'PY'
import json, sys
print(next(c[sys.argv[2]] for c in json.load(open("d.json"))["checks"] if c["name"] == sys.argv[1]))
PY
}

# Root has its own place: every limit is met, and holds.
sbxctl doctor --json >d.json
expect_eq "$? $(row 'cgroup memory' state)" "0 ok" "root ($(cat d.json))"

asked
expect_eq "$code" 0 "exit code where all is there ($(cat d.json))"
expect_match "$(row 'cgroup memory' detail)" '^v2: ' "cgroup memory"

mkdir -p "${dropin%/*}"
printf '[Service]\nDelegate=\nDelegate=memory pids\n' >$dropin
systemctl daemon-reload
asked
expect_eq "$code $(row 'cgroup cpu' state) $(row 'cgroup memory' state)" "1 degraded ok" "without the CPU controller"
expect_match "$(row 'cgroup cpu' fix)" 'Delegate=cpu memory pids.*delegate.conf' "the remedy"
rm -f $dropin
systemctl daemon-reload

if [ -e $clone ]; then
	echo 0 >$clone
	asked
	expect_eq "$code $(row 'user namespaces' state)" "6 missing" "where users may make no namespaces"
	expect_match "$(row 'user namespaces' fix)" 'sysctl -w kernel.unprivileged_userns_clone=1' "the remedy"
fi
