# What fsync returned for survives SIGKILL of the daemon at that moment; the rest stays consistent.
# run: root user
# needs: fuse userns
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

has_lines() { [ "$(wc -l <out)" -gt "$1" ]; }
new_ws ws
cat >writer.py <<'PY'
import os, sys
# Files and appends, each synced, then reported; and noise that is never synced.
d = os.open("/workspace", os.O_RDONLY)
noise = os.open("/workspace/noise", os.O_CREAT | os.O_WRONLY)
n = 0
while True:
    name = f"/workspace/f{n % 7}-{sys.argv[1]}"
    fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{n:06d}\n".encode() * 100)
    os.pwrite(noise, os.urandom(5000), (n * 7919) % 3000000)
    os.fsync(fd)
    os.close(fd)
    os.fsync(d)
    sys.stdout.write(f"{n % 7} {n:06d}\n")
    sys.stdout.flush()
    n += 1
PY
for round in 1 2 3 4 5 6; do
	: >out
	sbx-shell $degraded --quiet --ro "$PWD/writer.py:/opt/w.py" ws -- python3 /opt/w.py $round >out 2>err </dev/null &
	run=$!
	wait_for 8 has_lines $((round * 3)) || fail "the writer does not write: $(cat err)"
	sleep 0.$((RANDOM % 4))$((RANDOM % 10))
	kill -9 "$(daemon_pid ws)"
	wait $run
	# The last line may be torn off by the end.
	sed -i '$d' out
	inside ws 'cd /workspace; for i in 0 1 2 3 4 5 6; do f=f$i-$1; [ ! -e $f ] || echo "$i $(tail -n 1 $f) $(($(wc -c <$f) % 700))"; done; wc -c <noise' "$round" >after 2>err || fail "round $round: does not open again: $(cat err)"
	while read -r which last; do
		grep -Eq "^$which [0-9]{6} " after || fail "round $round: file $which was synced and is gone: $(cat after)"
		got=$(awk -v w="$which" '$1 == w && NF == 3 { print $2 }' after)
		[ "$((10#$got))" -ge "$((10#$last))" ] || fail "round $round: file $which ends at $got, synced was $last"
	done < <(tac out | awk '!seen[$1]++')
	! awk 'NF == 3 && $3 != 0 { exit 1 }' after && fail "round $round: a torn append: $(cat after)"
	echo "round $round: $(wc -l <out) synced appends survived"
done
exit 0
