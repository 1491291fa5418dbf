# Limits for a user however he got in: su, cron, a service of his own manager, a service of the system; and when nothing can be had, why.
# run: root
. "$SBX_SRC/tests/lib/common.sh"

user=sbxtest
home=$(getent passwd $user | cut -d : -f 6)
# What each of them runs: a limit that needs control groups.
cat >"$home/one" <<END
#!/bin/sh
cd
PATH=$SBX_BUILD/shell:\$PATH
export LC_ALL=C.UTF-8
[ -d ws ] || sbxctl init ws --cipher xchacha20 >/dev/null
rm -f r.json code
sbx-shell --quiet --memory 64M --result r.json ws -- true not-for-journals </dev/null >out 2>err
code=\$?
sbx-shell --memory 64M ws -- true </dev/null 2>err
echo \$code >code.tmp
mv code.tmp code
END
chmod 755 "$home/one"
trap 'rm -rf "$home/one" "$home/ws" "$home"/r.json "$home"/code "$home"/err "$home"/out "$home"/.config "$home/.cache" /etc/cron.d/sbx; loginctl disable-linger $user' EXIT

in_force() { # WAY
	expect_eq "$(cat "$home/code")" 0 "exit code through $1 ($(cat "$home/err"))"
	expect_field "$home/r.json" isolation.cgroup v2
	expect_field "$home/r.json" degraded '[]'
}

refused() { # WAY
	expect_eq "$(cat "$home/code")" 125 "exit code through $1 ($(cat "$home/err"))"
	expect_eq "$(wc -l <"$home/err")" 1 "lines on stderr through $1"
	for word in 'memory limit of 64M cannot be enforced' "loginctl enable-linger $user" -- '--allow-degraded'; do
		[ "$word" = -- ] || grep -q -e "$word" "$home/err" || fail "$1 does not say '$word': $(cat "$home/err")"
	done
}

nobody() {
	loginctl terminate-user $user 2>/dev/null
	systemctl stop user@"$(id -u $user)".service
	wait_for 60 test ! -e /run/user/"$(id -u $user)"/bus || fail "the user manager does not end"
	rm -f "$home/code"
}

by_cron() {
	# Cron's jobs of a start run once for each boot.
	echo "@reboot $user $home/one" >/etc/cron.d/sbx
	chmod 644 /etc/cron.d/sbx
	rm -f /run/crond.reboot "$home/code"
	systemctl restart cron
	wait_for 120 test -e "$home/code" || fail "cron ran nothing"
	rm -f /etc/cron.d/sbx
}

# Nobody is logged in, nothing lingers: a service and a cron job have no one to ask.
nobody
systemd-run --quiet --wait --collect --uid=$user "$home/one" || fail "a system service: $(cat "$home/err")"
refused "a service of the system"
by_cron
refused cron

# su begins a session.
nobody
su - $user -c "$home/one" </dev/null
in_force su

# With the remedy that was named, both work.
nobody
loginctl enable-linger $user
wait_for 60 test -S /run/user/"$(id -u $user)"/bus || fail "no user manager although lingering"
systemd-run --quiet --wait --collect --uid=$user "$home/one"
in_force "a service of the system, lingering"
by_cron
in_force "cron, lingering"

# A service of the user's own manager; a scope that is delegated already; one in which a run is already.
manager() {
	setpriv --reuid $user --regid $user --init-groups env XDG_RUNTIME_DIR=/run/user/"$(id -u $user)" "$@"
}
manager systemd-run --user --quiet --wait --collect "$home/one"
in_force "a service of the user"
manager systemd-run --user --quiet --scope --collect -p Delegate=yes "$home/one"
in_force "a delegated scope"
manager systemd-run --user --quiet --scope --collect -p Delegate=yes sh -c "$home/one; exec $home/one"
in_force "a delegated scope, again"
# su without "-" leaves the variables of who called it; a desktop may have a bus without a manager.
setpriv --reuid $user --regid $user --init-groups env XDG_RUNTIME_DIR=/run/user/0 \
	DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere "$home/one"
in_force "the variables of somebody else"
# A service of the system that is delegated to the user.
systemd-run --quiet --wait --collect --uid=$user -p Delegate=yes "$home/one"
in_force "a delegated service of the system"
nobody
expect_eq "$(systemctl --failed --no-legend --plain | grep -c 'run-\|sbx')" 0 "units that failed"
# What a command's arguments are is nobody's business.
journalctl -q -b >journal
grep -q 'sbx sandbox' journal || fail "control: the journal does not know the scopes"
! grep not-for-journals journal || fail "the journal keeps arguments"
