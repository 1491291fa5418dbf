#!/bin/bash
# Pinned datasets: pinning and verifying beside b2sum over the same bytes with all processors; reading a
# pinned dataset beside one that is not, sequential and at random, cold and warm.  The source lies in
# memory, so that what is compared is the work.
# usage: pins.sh [--build DIR] [--mib N] [--files N]
set -u
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$src/build mib=1024 files=8
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$(cd "$2" && pwd) && shift 2 ;;
	--mib) mib=$2 && shift 2 ;;
	--files) files=$2 && shift 2 ;;
	*) echo "usage: pins.sh [--build DIR] [--mib N] [--files N]" >&2 && exit 2 ;;
	esac
done
PATH=$build/shell:$PATH
work=$(mktemp -d /dev/shm/sbx-bench-pins.XXXXXX) || exit 1
export HOME=$work
clean() {
	sbxctl umount "$work/m" >/dev/null 2>&1
	rm -rf "$work"
}
trap clean EXIT
cd "$work" && mkdir d m || exit 1
for i in $(seq "$files"); do
	head -c $(((mib << 20) / files)) /dev/urandom >"d/f$i"
done
sbxctl init ws --cipher xchacha20 >/dev/null 2>&1 || exit 1

seconds() { # CMD..
	local start=$EPOCHREALTIME
	"$@" >/dev/null || echo "failed: $*" >&2
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'
}
b2all() { find d -type f -print0 | xargs -0 -n 1 -P "$(nproc)" b2sum; }
# Alternating: a machine that others use changes its mind.
echo "$mib MiB in $files files, $(nproc) processors; seconds"
printf '%-28s %s\n' 'dataset add --pin' "$(seconds sbxctl dataset add ws p d --pin)"
sbxctl dataset add ws plain d >/dev/null
for i in 1 2 3; do
	printf '%-28s %s\n' 'xargs -P b2sum' "$(seconds b2all)" 'dataset verify' "$(seconds sbxctl dataset verify ws p)"
done

sbxctl mount ws m >/dev/null || exit 1
cat >read.py <<'PY'
import os, random, sys, time
name, path, random_reads = sys.argv[1], sys.argv[2], sys.argv[3] == "random"
fd = os.open(path, os.O_RDONLY)
size = os.fstat(fd).st_size
for what in ("cold", "warm"):
    rnd, n, start = random.Random(1), 0, time.time()
    if random_reads:
        for _ in range(4000):
            n += len(os.pread(fd, 4096, rnd.randrange(size // 4096) * 4096))
    else:
        os.lseek(fd, 0, 0)
        while True:
            b = os.read(fd, 1 << 20)
            if not b:
                break
            n += len(b)
    print("%-8s %-10s %s %8.0f MB/s" % (name, sys.argv[3], what, n / (time.time() - start) / 1e6))
PY
for i in 1 2 3; do
	/usr/bin/python3 read.py pinned "m/datasets/p/f$i" sequential
	/usr/bin/python3 read.py plain "m/datasets/plain/f$i" sequential
done
/usr/bin/python3 read.py pinned "m/datasets/p/f4" random
/usr/bin/python3 read.py plain "m/datasets/plain/f4" random
