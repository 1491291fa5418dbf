# The check: a workspace as we leave it is clean; each kind of damage is found, named by its path and
# its place; orphans go with --repair and nothing else does; nobody who uses it is disturbed.
# run: root user
# needs: fuse userns setfattr
# sanitize: yes
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'cd /workspace
	mkdir -p dir/sub
	head -c 300000 /dev/urandom >dir/big
	echo text >dir/sub/small
	: >empty
	echo x >'"$(printf 'L%.0s' $(seq 200))"'
	ln -s dir/big link
	ln empty dir/hard
	mkfifo fifo
	chmod 400 dir/sub/small' || fail "fill"
settled ws
/usr/bin/python3 - <<'PY' >long
print("t" * 3500)
PY
inside ws 'cd /workspace; ln -s "$1" longlink' "$(cat long)" || fail "long symlink"
settled ws

expect_code 0 sbxctl fsck ws
grep -q 'clean$' cmd.out || fail "does not say clean: $(cat cmd.out)"
expect_eq "$(wc -c <cmd.err)" 0 "said on stderr, which is no terminal"
expect_code 0 sbxctl fsck --quick ws
expect_code 0 sbxctl fsck --json ws
expect_field cmd.out clean true
expect_field cmd.out quota.checked true
expect_field cmd.out checked.files 4
cp -a ws before

fresh() {
	settled ws
	rm -rf ws && cp -a --sparse=always before ws
}
flip() { # FILE OFFSET
	/usr/bin/python3 - "$@" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
at = int(sys.argv[2])
b = os.pread(fd, 1, at)
os.pwrite(fd, bytes([b[0] ^ 4]), at)
PY
}
other() { # TEXT: with another first character
	case $1 in A*) echo "B${1#?}" ;; *) echo "A${1#?}" ;; esac
}
relink() { # SYMLINK
	local t
	t=$(readlink "$1") && rm "$1" && ln -s "$(other "$t")" "$1"
}
snapshot() {
	find ws ! -path ws/lock ! -path ws/store/log -type f -exec sha256sum {} + | sort
	head -c 8192 ws/store/log | sha256sum # its ring is large; any write shows in the times below
	find ws -mindepth 1 ! -path ws/lock -printf '%p %y %m %T@ %l\n' | sort
}
# finds KIND "PATH" "WORDS": exit code 1, one finding of this kind that names path, place and words.
finds() {
	local line
	snapshot >snap.before
	sbxctl fsck ws >cmd.out 2>cmd.err
	expect_eq $? 1 "$3: exit code"
	snapshot >snap.after
	cmp -s snap.before snap.after || fail "$3: the check changed something"
	line=$(grep "^$1: " cmd.out) || fail "$3: not found: $(cat cmd.out)"
	case $line in *"$2"*"$3"*) ;; *) fail "'$2', '$3' expected: $(cat cmd.out)" ;; esac
	[ "$1" = quota ] || grep -q '(store/\|: store/\|: keys/' <<<"$line" || fail "$3: no place: $line"
	# The same as JSON, and what --repair must not touch.
	sbxctl fsck --json ws >json.out
	field json.out findings.0.kind >/dev/null || fail "$3: no finding in the JSON"
	[ -n "${4-}" ] && return # what --repair mends
	sbxctl fsck --repair ws >/dev/null
	expect_eq $? 1 "$3: exit code of --repair"
	snapshot >snap.after
	cmp -s snap.before snap.after || fail "$3: --repair changed something"
}
big=$(find ws/store/t -type f -size +250k | head -n 1)
long=$(find ws/store/t -name '~*.n')
marked=$(find ws/store/t -type f -perm -1000)
dir=$(find ws/store/t -mindepth 1 -maxdepth 1 -type d)

flip "$big" 100; finds damage big 'header does not verify'
fresh; flip "$big" 2060; finds damage big 'blocks 0 of 74'
fresh; flip "$big" $((4096 * 2 + 50)); finds damage big 'blocks 1 of 74'
fresh; flip "$big" $((4096 * 33 + 70)); finds damage big 'blocks 33 of 74'
fresh; truncate -s -3 "$big"; finds damage big 'bytes and its header says'
fresh; : >"$marked"; finds damage dir/sub/small 'header does not verify'
fresh; mv "$big" "${big%?????}AAAAA"; finds damage '?' 'does not verify'
fresh; mv "$marked" ws/store/t/; finds damage small 'belongs to another directory'
fresh; rm "$long"; finds damage '~' 'sidecar with its long name is missing'
fresh; relink "$long"; finds damage '~' 'sidecar with its long name is damaged'
fresh; l=$(find ws/store/t -type l -lname '???*' ! -name '~*' ! -lname '~*'); relink "$l"
finds damage link 'target does not verify'
fresh; rm ws/store/l/*; finds damage longlink 'second part'
fresh; setfattr -n user.wfs.d -v 0x$(printf '00%.0s' $(seq 32)) "$dir"; finds damage 'dir ' 'id is damaged'
fresh; setfattr -x user.wfs.d "$dir"; finds damage 'dir ' 'id is missing'
fresh; setfattr -x user.wfs.m "$marked"; finds damage dir/sub/small 'mode is missing'
fresh; setfattr -n user.x.AAAA -v 1 "$big"; finds damage big 'extended attribute'
fresh; cp -a "$marked" "$(find ws/store/t -maxdepth 1 -type f -size -5k ! -name '~*')"; finds damage '' 'is a copy, within the store'
fresh; flip ws/store/log 60; finds unsynced '' 'state slot 0' recoverable
expect_code 2 sbxctl fsck --repair ws
expect_code 0 sbxctl fsck ws
fresh; cp ws/keys/owner-*.json ws/keys/zz.json; finds damage '' 'is not in the sealed config'
fresh; rm "$marked"; finds quota '' 'bytes in 9 files are used'
fresh; echo foreign >ws/store/README; finds foreign '' 'not a part of the store'
fresh; flip ws/keys/config 100; expect_code 5 sbxctl fsck ws
fresh; flip ws/store/log 60; flip ws/store/log 4156; expect_code 5 sbxctl fsck ws

# Orphans of every kind: told, left alone, removed, gone.
fresh
ln -s x 'ws/store/t/~stray.n'
ln -s x ws/store/l/nobody
touch ws/keys/.config.new
mkdir ws/.sbx-new
finds orphan '' harmless orphan
expect_eq "$(grep -c '^orphan: ' cmd.out)" 4 "orphans"
expect_code 2 sbxctl fsck --repair ws
expect_eq "$(grep -c '^repaired: ' cmd.out)" 4 "repaired"
expect_code 0 sbxctl fsck ws
[ ! -e ws/.sbx-new ] && [ -z "$(find ws -name nobody -o -name '*stray*' -o -name '.*.new')" ] || fail "orphans are left"

# Not closed: told and not touched, mended with --repair; the outputs are there.  Killed amid changes:
# in a pause the store says clean, and rightly.
fresh
sbx-shell $degraded --quiet ws -- sh -c 'head -c 70000 /dev/urandom >/workspace/late; sync; echo ready
	while mkdir /workspace/d; do rmdir /workspace/d; done' >out 2>err &
run=$!
wait_for 20 grep -q ready out || fail "the run does not start"
expect_refusal 4 "ws run" sbxctl fsck ws
kill -9 "$(daemon_pid ws)"
wait $run
finds_unclean() {
	snapshot >snap.before
	expect_code 1 sbxctl fsck ws
	snapshot >snap.after
	cmp -s snap.before snap.after || fail "the check of an unclean store changed something"
	grep -q '^unclean: store/log: the store was not closed' cmd.out || fail "not told: $(cat cmd.out)"
	grep -q '^damage' cmd.out && fail "damage after a kill: $(cat cmd.out)"
}
finds_unclean
expect_code 2 sbxctl fsck --repair ws
expect_code 0 sbxctl fsck ws
expect_eq "$(inside ws 'wc -c </workspace/late')" 70000 "the file of before the kill"
settled ws

# Interrupted: 130 at once, nothing done.
fresh
inside ws 'head -c 150000000 /dev/zero >/workspace/large' || fail "large"
settled ws
snapshot >snap.before
for ms in 005 020 060 120; do
	setsid sbxctl fsck ws >out 2>err &
	pid=$!
	sleep 0.$ms
	kill -INT "$pid" 2>/dev/null
	wait $pid
	code=$?
	[ $code = 130 ] || [ $code = 0 ] || fail "interrupted: exit $code: $(cat out err)"
	[ $code = 0 ] || grep -q interrupted err || fail "not told: $(cat err)"
	wait_for 5 flock -n ws/lock true || fail "the check goes on"
done
snapshot >snap.after
cmp -s snap.before snap.after || fail "an interrupted check changed something"

# Where nothing may be written a check may run, and a repair says why not.
rm -rf ws && cp -a before ws
if [ "$MODE" = user ]; then
	chmod a-w ws ws/lock
	expect_code 0 sbxctl fsck ws
	expect_refusal 8 "read --repair" sbxctl fsck --repair ws
	chmod u+w ws ws/lock
else
	on_read_only() {
		unshare -m sh -c 'mount --bind ws ws && mount -o remount,ro,bind ws && exec "$@"' sh "$@"
	}
	expect_code 0 on_read_only sbxctl fsck ws
	expect_refusal 8 "read --repair" on_read_only sbxctl fsck --repair ws
fi
mkdir not
expect_refusal 8 "not workspace" sbxctl fsck not
