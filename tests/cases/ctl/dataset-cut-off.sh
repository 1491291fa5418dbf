# 'dataset add' that is cut off at any moment adds nothing and leaves nothing: no index, no pin; the same
# when the daemon is killed. 'dataset verify' likewise records nothing.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

left() { # what is in the workspace beside the settings
	(cd ws && find cache pins -mindepth 1 2>/dev/null)
}

new_ws ws
mkdir data
for i in $(seq 400); do head -c 20000 /dev/zero >"data/f$i"; done
truncate -s 300M data/large
tar -czf pack.tgz data
sbxctl show ws --json >before
for i in $(seq 12); do
	for source in data pack.tgz; do
		setsid sbxctl dataset add ws cut "$source" --pin >out 2>err </dev/null &
		pid=$!
		sleep "0.$((i * 4 / 10))$((i * 4 % 10))"
		case $((i % 3)) in
		0) kill -KILL "$pid" 2>/dev/null ;;
		1) kill -INT -- -"$pid" 2>/dev/null ;;
		2) kill -KILL "$(daemon_pid ws 2>/dev/null)" 2>/dev/null ;;
		esac
		wait $pid
		settled ws
		if sbxctl dataset list ws --json | grep -q '"cut"'; then
			expect_code 0 sbxctl dataset verify ws cut
			expect_code 0 sbxctl dataset remove ws cut
			settled ws
		fi
		expect_eq "$(left)" "" "what is left of round $i, $source: $(cat err)"
	done
done
sbxctl show ws --json >after
cmp before after || fail "the settings have changed"

# An archive that was indexed by a client that left, while another keeps the daemon.
mkdir m
sbx-shell $degraded --quiet ws -- sleep 60 &
shell=$!
wait_for 10 sh -c 'sbxctl status ws --json | grep -q "\"run\""' || fail "no session"
/usr/bin/python3 - "$PWD/pack.tgz" <<'PY' || fail "a client that leaves"
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("\0" + json.load(open("ws/lock"))["socket"])
def ask(**q):
    s.send(json.dumps(q).encode())
    return json.loads(s.recv(65536))
for _ in range(1000):
    r = ask(op="dataset-index", name="gone", source=sys.argv[1], kind="archive")
    if r.get("state") != "running":
        break
    time.sleep(0.01)
assert r["state"] == "archive", r
r = ask(op="dataset-add", name="gone", source=sys.argv[1], kind="archive", pin=True)
assert not r["ok"] and "was not pinned" in r["error"], r
PY
wait_for 5 sh -c '[ -z "$(ls ws/cache)" ]' || fail "the index of an archive that was never added: $(ls ws/cache)"
kill "$shell"
wait "$shell" 2>/dev/null
settled ws

# A check that is cut off.
expect_code 0 sbxctl dataset add ws kept data --pin
sbxctl show ws --json >before
setsid sbxctl dataset verify ws >out 2>err </dev/null &
pid=$!
sleep 0.05
kill -INT -- -"$pid" 2>/dev/null
wait $pid
code=$?
settled ws
if [ "$code" = 130 ]; then
	grep -q interrupted err || fail "no word about it: $(cat err)"
	sbxctl show ws --json | cmp - before || fail "a check that was cut off was recorded"
else
	expect_eq "$code" 0 "a check that was faster"
fi
expect_eq "$(left)" pins/kept.pin "what belongs to a dataset"
