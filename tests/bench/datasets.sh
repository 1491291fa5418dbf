#!/bin/bash
# Reading a dataset beside reading its source: sequential, mapped and random, cold and warm.
#
#   bash tests/bench/datasets.sh [--build DIR] [--rounds N] [--user NAME]
#
# Needs root (loop device, drop_caches). With --user the workspace is mounted by that user. The source
# is ext4 on a loop device in memory, so that software and not a disk is compared. The figures are the
# medians of the rounds, which are interleaved, and their ratio; a bar that was missed is marked "!".
set -u
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$src/build rounds=5 user=''
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$(cd "$2" && pwd); shift ;;
	--rounds) rounds=$2; shift ;;
	--user) user=$2; shift ;;
	*) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || { echo "tests/bench/datasets.sh: needs root" >&2; exit 2; }
# Row, bar as root, bar as a user.
bars='read-cold 0.97 0.75
read-warm 0.97 0.95
mmap-cold 0.97 -
mmap-warm 0.97 -
random-cold 0.97 0.5
random-warm 0.97 -'

tmp=$(mktemp -d /dev/shm/sbx-bench.XXXXXX)
export HOME=$tmp/home XDG_CONFIG_HOME=$tmp/home/config XDG_STATE_HOME=$tmp/home/state XDG_RUNTIME_DIR=$tmp/home/run
mkdir -p "$HOME/run" "$tmp/disk" "$tmp/mnt"
chmod 0700 "$HOME/run"
loop=''
cleanup() {
	umount -l "$tmp/mnt/workspace" "$tmp/mnt/datasets" 2>/dev/null
	for _ in $(seq 100); do
		mountpoint -q "$tmp/disk" || break
		umount "$tmp/disk" 2>/dev/null || sleep 0.1
	done
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf --one-file-system "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
as() {
	if [ -n "$user" ]; then setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@"; else "$@"; fi
}
sbxctl() { as "$build/shell/sbxctl" "$@" >/dev/null; }

gcc -O2 -o "$tmp/fsbench" "$src/tests/bench/fsbench.c" || exit 2
head -c 1G /dev/zero >"$tmp/image"
loop=$(losetup -f --show "$tmp/image") && mkfs.ext4 -q "$loop" && mount "$loop" "$tmp/disk" || exit 2
mkdir "$tmp/disk/source"
"$tmp/fsbench" "$tmp/disk/source" write-1m >/dev/null && "$tmp/fsbench" "$tmp/disk/source" random-make || exit 2
if [ -n "$user" ]; then
	chown -R "$user:" "$tmp/home" "$tmp/disk" "$tmp/mnt"
	chown "$user:" "$tmp"
fi
sbxctl init "$tmp/ws" && sbxctl dataset add "$tmp/ws" d "$tmp/disk/source" || exit 2

measure() { # CANDIDATE DIR: each workload cold, then warm
	local w t
	for w in read:read mmap:read-mmap random:random-read; do
		sync
		echo 3 >/proc/sys/vm/drop_caches
		for t in cold warm; do
			echo "${w%:*}-$t $(as "$tmp/fsbench" "$2" "${w#*:}" | cut -d ' ' -f 2)" >>"$tmp/results.$1"
		done
	done
}
median() { # CANDIDATE ROW
	awk -v w="$2" '$1 == w { print $2 }' "$tmp/results.$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

for _ in $(seq "$rounds"); do
	measure native "$tmp/disk/source"
	sbxctl mount "$tmp/ws" "$tmp/mnt" || exit 2
	measure dataset "$tmp/mnt/datasets/d"
	sbxctl umount "$tmp/mnt"
done
echo "datasets as ${user:-root}; Linux $(uname -r), $(nproc) processors; median of $rounds rounds; MB/s, random reads of 4 KiB a second"
printf '%-14s%10s%10s   %s\n' row native dataset ratio
echo "$bars" | while read -r row root plain; do
	printf '%s %s %s %s\n' "$row" "$(median native "$row")" "$(median dataset "$row")" "$([ -n "$user" ] && echo "$plain" || echo "$root")"
done | awk '{ printf "%-14s%10.0f%10.0f   %.2f %s\n", $1, $2, $3, $3 / $2, ($4 == "-" ? "" : ($3 / $2 >= $4 ? ">=" : "!<") $4) }'
