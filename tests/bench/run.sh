#!/bin/sh
# Throughput and metadata of a workspace beside native ext4, gocryptfs and securefs, and the start of
# a sandbox beside bubblewrap: one run, the same program for all, the same backing store.
#
#   sh tests/bench/run.sh [--build DIR] [--rounds N] [--only "native sbx"] [WORKLOAD..]
#
# Needs root (loop device, drop_caches). A candidate that is not installed is left out. The backing
# store is ext4 on a loop device in memory, so that software and not a disk is compared. Each figure is
# the median of the rounds. Nothing is asserted.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -u
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$src/build-test rounds=3 only='native gocryptfs securefs sbx' workloads=''
all='write-1m write-4k read-cold read-warm random-write random-write-each random-read create stat rename unlink'
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--only) only=$2; shift ;;
	-*) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
	*) workloads="$workloads $1" ;;
	esac
	shift
done
[ -n "$workloads" ] || workloads="$all start"
[ "$(id -u)" = 0 ] || { echo "tests/bench/run.sh: needs root" >&2; exit 2; }

tmp=$(mktemp -d /dev/shm/sbx-bench.XXXXXX)
export HOME=$tmp/home XDG_CONFIG_HOME=$tmp/home/config XDG_STATE_HOME=$tmp/home/state
mkdir -p "$HOME" "$tmp/disk" "$tmp/results" "$tmp/mnt"
loop=''
cleanup() {
	unmount_all
	mountpoint -q "$tmp/disk" && umount "$tmp/disk"
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf --one-file-system "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

gcc -O2 -o "$tmp/fsbench" "$src/tests/bench/fsbench.c" || exit 2
# Written in full, so that no candidate pays for the memory behind it.
head -c 3G /dev/zero >"$tmp/image"
if loop=$(losetup -f --show "$tmp/image" 2>/dev/null); then
	mkfs.ext4 -q "$loop" && mount "$loop" "$tmp/disk" || exit 2
	backing="ext4 on a loop device in memory"
else
	loop='' backing="a directory in memory (no loop device: cold is not cold)"
fi

# ---- candidates: prepare_X once, mount_X, umount_X, and where the files are seen -------------------
prepare_native() { mkdir -p "$tmp/disk/native"; }
mount_native() { :; }
umount_native() { :; }
dir_native() { echo "$tmp/disk/native"; }

prepare_gocryptfs() {
	mkdir -p "$tmp/disk/gocryptfs" "$tmp/mnt/gocryptfs"
	echo secret >"$tmp/pass"
	gocryptfs -q -init -scryptn 10 -passfile "$tmp/pass" "$tmp/disk/gocryptfs" >/dev/null
}
mount_gocryptfs() { gocryptfs -q -passfile "$tmp/pass" "$tmp/disk/gocryptfs" "$tmp/mnt/gocryptfs" >/dev/null 2>&1; }
umount_gocryptfs() { fusermount3 -u "$tmp/mnt/gocryptfs"; }
dir_gocryptfs() { echo "$tmp/mnt/gocryptfs"; }

prepare_securefs() {
	mkdir -p "$tmp/disk/securefs" "$tmp/mnt/securefs"
	securefs create --pass secret --pbkdf pkcs5-pbkdf2-hmac-sha256 -r 1000 "$tmp/disk/securefs" >/dev/null 2>&1
}
mount_securefs() {
	securefs mount -b --pass secret "$tmp/disk/securefs" "$tmp/mnt/securefs" >/dev/null 2>&1
	for _ in $(seq 100); do mountpoint -q "$tmp/mnt/securefs" && return; sleep 0.05; done
	return 1
}
umount_securefs() { fusermount3 -u "$tmp/mnt/securefs" 2>/dev/null || fusermount -u "$tmp/mnt/securefs"; }
dir_securefs() { echo "$tmp/mnt/securefs"; }

prepare_sbx() {
	mkdir -p "$tmp/mnt/sbx"
	"$build/shell/sbxctl" init "$tmp/disk/ws" >"$tmp/sbx.init"
}
mount_sbx() { "$build/shell/sbxctl" mount "$tmp/disk/ws" "$tmp/mnt/sbx" >/dev/null; }
umount_sbx() { "$build/shell/sbxctl" umount "$tmp/mnt/sbx" >/dev/null; }
dir_sbx() { echo "$tmp/mnt/sbx/workspace"; }

unmount_all() {
	local m
	awk -v s="$tmp/mnt/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do
		umount -l "$m"
	done
}

# ---- one figure ------------------------------------------------------------------------------------
remount() { # CANDIDATE: nothing of its files is cached
	"umount_$1" || return
	sync
	echo 3 >/proc/sys/vm/drop_caches
	"mount_$1"
}

bench() { # WORKLOAD
	"$tmp/fsbench" "$dir" "$1" 2>>"$tmp/errors" || { echo "$1 failed" >>"$tmp/errors"; echo 0; }
}

round() { # CANDIDATE: all workloads once, each figure a line "WORKLOAD VALUE"
	local dir w
	"mount_$1" || { echo "cannot mount $1" >&2; return; }
	dir=$("dir_$1")
	for w in $workloads; do
		case $w in
		start) continue ;;
		read-cold) [ -f "$dir/big" ] || bench write-1m >/dev/null; remount "$1"; echo "$w $(bench read)" ;;
		read-warm) [ -f "$dir/big" ] || bench write-1m >/dev/null; bench read >/dev/null; echo "$w $(bench read)" ;;
		random-*)
			[ -f "$dir/random" ] || bench random-make >/dev/null
			remount "$1"
			echo "$w $(bench $w)"
			;;
		create) rm -rf "$dir"/dir*; echo "$w $(bench $w)" ;;
		stat | rename | unlink)
			ls "$dir/dir0" >/dev/null 2>&1 || bench create >/dev/null
			[ "$w" != unlink ] || [ -e "$dir/dir0/renamed-0.csv" ] || bench rename >/dev/null
			[ "$w" = unlink ] || remount "$1"
			echo "$w $(bench $w)"
			;;
		*) rm -f "$dir/big" "$dir/small"; sync; echo "$w $(bench $w)"; sync ;;
		esac
	done >>"$tmp/results/$1"
	rm -rf "${dir:?}"/*
	"umount_$1"
}

median() { # CANDIDATE WORKLOAD
	awk -v w="$2" '$1 == w { print $2 }' "$tmp/results/$1" 2>/dev/null | sort -n |
		awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'
}

# ---- the start of a sandbox, in milliseconds ---------------------------------------------------------
start_ms() { # N CMD..
	local n=$1 i begin
	shift
	for i in $(seq "$n"); do
		begin=${EPOCHREALTIME/./}
		"$@" >/dev/null 2>&1 </dev/null || { echo failed; return; }
		echo $((${EPOCHREALTIME/./} - begin))
	done | sort -n | awk '/failed/ { bad = 1 } { v[NR] = $1 }
		END { if (bad) print "failed,"; else printf "%.1f", v[int((NR + 1) / 2)] / 1000 }'
}

# Rounds are interleaved, so that a noisy moment does not hit one candidate alone.
present=''
for c in $only; do
	case $c in native | sbx) ;; *) command -v "$c" >/dev/null || continue ;; esac
	"prepare_$c" || { echo "cannot prepare $c" >&2; continue; }
	present="$present $c"
done
for _ in $(seq "$rounds"); do
	for c in $present; do round "$c"; done
done

echo "backing: $backing; $(nproc) cores; Linux $(uname -r); median of $rounds; $(grep -io 'cipher[^,]*' "$tmp/sbx.init" 2>/dev/null | head -n 1)"
printf '%-18s' workload
for c in $present; do printf '%12s' "$c"; done
printf '%14s%16s\n' sbx/native sbx/gocryptfs
for w in $workloads; do
	[ "$w" != start ] || continue
	case $w in write* | read*) unit='MB/s' ;; *) unit='/s' ;; esac
	printf '%-18s' "$w $unit"
	for c in $present; do printf '%12s' "$(median "$c" "$w")"; done
	for rival in native gocryptfs; do
		awk -v a="$(median sbx "$w")" -v b="$(median $rival "$w")" -v wide=$([ $rival = native ] && echo 14 || echo 16) \
			'BEGIN { printf "%*s", wide, b + 0 ? sprintf("%.2f", a / b) : "-" }'
	done
	echo
done
case " $workloads " in
*" start "*)
	command -v bwrap >/dev/null && echo "start, bubblewrap:         $(start_ms 15 bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev true) ms"
	echo "start, sbx-shell:          $(start_ms 15 "$build/shell/sbx-shell" --quiet "$tmp/disk/ws" -- true) ms (daemon started and ended)"
	"$build/shell/sbx-shell" --quiet "$tmp/disk/ws" -- sleep 60 >/dev/null 2>&1 </dev/null &
	held=$!
	sleep 1
	echo "start, sbx-shell joining:  $(start_ms 15 "$build/shell/sbx-shell" --quiet "$tmp/disk/ws" -- true) ms (daemon already there)"
	kill $held 2>/dev/null
	wait $held 2>/dev/null
	;;
esac
[ ! -s "$tmp/errors" ] || { echo "errors:"; sort "$tmp/errors" | uniq -c | head -n 20; }
exit 0
