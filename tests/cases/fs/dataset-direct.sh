# What an ordinary user's sandbox sees of a whole directory is an overlay of it, read without the daemon.
# Through it nothing of the host can be reached that the daemon would keep away: sockets, fifos, what
# is mounted below.
# run: root
# needs: fuse userns setpriv
. "$SBX_SRC/tests/lib/common.sh"

user() { setpriv --reuid sbxtest --regid sbxtest --clear-groups env HOME="$PWD/home" "$@"; }
in_ws() { user sbx-shell --allow-degraded --quiet ws -- "$@"; }
shown_by() { in_ws awk -v p="/datasets/$1" '$5 == p { for (i = 7; $i != "-"; i++); print $(i + 1) }' /proc/self/mountinfo; }

mkdir home whole under under/mnt && chown sbxtest . home
echo text >whole/a.csv && mkfifo -m 666 whole/fifo && ln -s /etc/shadow whole/link
chown -R sbxtest whole under
user sbxctl init ws --cipher xchacha20 >/dev/null || fail "init"
user sbxctl dataset add ws whole whole >/dev/null || fail "add"
user sbxctl dataset add ws part whole --include '*.csv' >/dev/null || fail "add a part"
user sbxctl dataset add ws under under >/dev/null || fail "add under"

expect_eq "$(shown_by whole)" overlay "how a whole directory is shown"
expect_eq "$(shown_by part)" "" "how a part is shown"
expect_eq "$(in_ws cat /datasets/whole/a.csv)" text "a file of it"
in_ws grep -F "$PWD/whole" /proc/self/mountinfo && fail "the path on the host shows"

# Somebody of the host listens at a socket and at a fifo in it.
cat >host.py <<'PY'
import os, socket
os.chdir("whole")
s = socket.socket(socket.AF_UNIX)
s.bind("sock")
s.listen(9)
f = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
print("ready", flush=True)
input()
PY
cat >reach.py <<'PY'
import os, socket, sys
for name, reach in (("sock", lambda p: socket.socket(socket.AF_UNIX).connect(p)),
                    ("fifo", lambda p: os.open(p, os.O_WRONLY | os.O_NONBLOCK))):
    try:
        reach(sys.argv[1] + "/" + name)
        print(name, "reached")
    except OSError as e:
        print(name, os.strerror(e.errno))
PY
coproc host { user /usr/bin/python3 host.py; }
read -r ready <&"${host[0]}" && [ "$ready" = ready ] || fail "nobody listens"
user sbxctl dataset add ws code reach.py >/dev/null || fail "add the program"
expect_eq "$(user /usr/bin/python3 reach.py whole | tr '\n' ,)" "sock reached,fifo reached," "without a sandbox"
# Landlock refuses the fifo before the overlay would have nobody at its other end.
expect_match "$(in_ws /usr/bin/python3 /datasets/code/reach.py /datasets/whole | tr '\n' ,)" \
	'^sock Connection refused,fifo (Permission denied|No such device or address),$' "from inside"
echo >&"${host[1]}"
wait "$host_PID"

for try in 'echo >/datasets/whole/new' 'echo >>/datasets/whole/a.csv' 'rm /datasets/whole/a.csv' \
	'chmod 777 /datasets/whole' 'mv /datasets/whole/a.csv /workspace/' 'touch /datasets/whole/a.csv'; do
	in_ws sh -c "$try" 2>said && fail "'$try' worked"
	grep -q 'Read-only file system' said || fail "'$try': $(cat said)"
done
expect_eq "$(cat whole/a.csv)" text "the source"

# A mount of the host below it: an overlay is refused there, so the daemon shows it.
unshare -m sh -euc 'mount -t tmpfs hidden under/mnt; echo secret >under/mnt/secret
	setpriv --reuid sbxtest --regid sbxtest --clear-groups env HOME="$PWD/home" \
		sbx-shell --allow-degraded --quiet ws -- sh -c "grep -c \"/datasets/under .* overlay\" /proc/self/mountinfo; find /datasets/under -name secret"' >under.out ||
	[ $? = 1 ] || fail "a sandbox with a mount below a dataset: $(cat under.out)"
! grep -q secret under.out || fail "what is mounted below a dataset shows: $(cat under.out)"
# The same where root's daemon reads.
sbxctl init ws0 --cipher xchacha20 >/dev/null && sbxctl dataset add ws0 under under >/dev/null || fail "a workspace of root"
unshare -m sh -euc 'mount -t tmpfs hidden under/mnt; echo secret >under/mnt/secret
	sbx-shell --quiet ws0 -- sh -c "ls -A /datasets/under; ls /datasets/under/mnt 2>&1 || true; sleep 0.1"' >under.out ||
	fail "a sandbox of root with a mount below a dataset: $(cat under.out)"
expect_match "$(cat under.out)" "^ls: .*No such file" "what is mounted below a dataset, for root"

# Changed while a sandbox runs: its content is that of now.
in_ws sh -c 'cat /datasets/whole/a.csv; touch /workspace/go; until grep -q more /datasets/whole/a.csv; do sleep 0.05; done; cat /datasets/whole/a.csv' >live.out &
for i in $(seq 100); do grep -q text live.out && break; sleep 0.1; done
echo more >>whole/a.csv
wait $! || fail "a change of the source never showed: $(cat live.out)"
expect_eq "$(tail -n 1 live.out)" more "a file that the host lengthens"
