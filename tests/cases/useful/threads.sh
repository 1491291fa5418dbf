# Thread pools are as large as --cpus: numpy's OpenBLAS, joblib, and whoever counts processors or memory.
# run: root user
# needs: fuse userns py:numpy py:joblib
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

[ "$(nproc)" -gt 1 ] || skip "this machine has one processor: nothing to hide"
new_ws ws
cat >look.py <<'PY'
import os, joblib, numpy
a = numpy.random.rand(600, 600)
assert numpy.isfinite(a @ a).all()
print(os.cpu_count(), os.sysconf("SC_NPROCESSORS_ONLN"), joblib.cpu_count(), len(os.listdir("/proc/self/task")))
PY
look() { # OPTION..
	sbx-shell --allow-degraded --quiet --ro "$PWD/look.py:/opt/look.py" "$@" ws -- python3 /opt/look.py
}
expect_eq "$(look --cpus 0.5)" "1 1 1 1" "processors and threads with --cpus 0.5"
n=$(nproc)
expect_eq "$(look | cut -d' ' -f1,2)" "$n $n" "processors without a limit"
out=$(sbx-shell --allow-degraded --quiet --cpus 1 --memory 300M ws -- sh -c \
	'nproc; grep -c ^processor /proc/cpuinfo; awk "/^Mem(Total|Available)/ { print \$2 }" /proc/meminfo; free -m | awk "/^Mem/ { print \$2 }"')
expect_eq "$(echo $out)" "1 1 307200 307200 300" "nproc, cpuinfo, meminfo and free"
# No way to write them, and the host's own are as they were.
sbx-shell --allow-degraded --quiet --memory 300M ws -- sh -c 'echo x >/proc/meminfo' 2>/dev/null && fail "meminfo was written"
expect_eq "$(inside ws 'grep -c . /sys/devices/system/cpu/online')" 1 "processors online"
