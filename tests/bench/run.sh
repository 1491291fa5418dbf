#!/bin/sh
# Throughput and metadata of a workspace beside native ext4, gocryptfs and securefs, and the start of
# a sandbox beside bubblewrap: one run, the same program for all, the same backing store.
#
#   sh tests/bench/run.sh [--build DIR] [--rounds N] [--only "native sbx"] [--user NAME] [--json] [WORKLOAD..]
#
# Needs root (loop device, drop_caches). With --user everything that is measured runs as that user,
# mounted through fusermount3 from a store that is the user's. A candidate that is not installed is
# left out; "null" is a filesystem in user space that stores nothing: the ceiling for any of them.
# The backing store is ext4 on a loop device in memory, so that software and not a disk is compared.
# Each figure is the median of the rounds, which are interleaved. Every candidate starts warm: a
# first, shorter pass is thrown away. A bar that was missed is marked with "!"; nothing is asserted.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -u
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$src/build-test rounds=3 only='null native gocryptfs securefs sbx' workloads='' user='' json=no
all='write-1m write-1m-fsync write-4k read-cold read-warm random-write random-write-256 random-write-each random-read
	sqlite-wal sqlite-delete untar create stat read-small rename unlink'
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--only) only=$2; shift ;;
	--user) user=$2; shift ;;
	--json) json=yes ;;
	-*) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
	*) workloads="$workloads $1" ;;
	esac
	shift
done
[ -n "$workloads" ] || workloads="$all start"
[ "$(id -u)" = 0 ] || { echo "tests/bench/run.sh: needs root" >&2; exit 2; }
[ -z "$user" ] || id "$user" >/dev/null || exit 2

tmp=$(mktemp -d /dev/shm/sbx-bench.XXXXXX)
export HOME=$tmp/home XDG_CONFIG_HOME=$tmp/home/config XDG_STATE_HOME=$tmp/home/state XDG_RUNTIME_DIR=$tmp/home/run
mkdir -p "$HOME/run" "$tmp/disk" "$tmp/mnt"
chmod 0700 "$HOME/run"
loop=''
cleanup() {
	unmount_all
	# A daemon that has nothing left to do ends by itself, a moment later.
	for _ in $(seq 300); do
		mountpoint -q "$tmp/disk" || break
		umount "$tmp/disk" 2>/dev/null || sleep 0.2
	done
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
if [ -n "$user" ]; then
	chown -R "$user:" "$tmp/home" "$tmp/disk" "$tmp/mnt"
	chown "$user:" "$tmp"
fi

as() { # CMD..: as who is measured
	if [ -n "$user" ]; then setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@"; else "$@"; fi
}

# ---- candidates: prepare_X once, mount_X, umount_X, and where the files are seen -------------------
prepare_native() { as mkdir -p "$tmp/disk/native"; }
mount_native() { :; }
umount_native() { :; }
dir_native() { echo "$tmp/disk/native"; }

prepare_gocryptfs() {
	as mkdir -p "$tmp/disk/gocryptfs" "$tmp/mnt/gocryptfs"
	echo secret >"$tmp/pass"
	chmod 0644 "$tmp/pass"
	as gocryptfs -q -init -scryptn 10 -passfile "$tmp/pass" "$tmp/disk/gocryptfs" >/dev/null
}
mount_gocryptfs() { as gocryptfs -q -passfile "$tmp/pass" "$tmp/disk/gocryptfs" "$tmp/mnt/gocryptfs" >/dev/null 2>&1; }
umount_gocryptfs() { as fusermount3 -u "$tmp/mnt/gocryptfs"; }
dir_gocryptfs() { echo "$tmp/mnt/gocryptfs"; }

prepare_securefs() {
	as mkdir -p "$tmp/disk/securefs" "$tmp/mnt/securefs"
	as securefs create --pass secret --pbkdf pkcs5-pbkdf2-hmac-sha256 -r 1000 "$tmp/disk/securefs" >/dev/null 2>&1
}
mount_securefs() {
	as securefs mount -b --pass secret "$tmp/disk/securefs" "$tmp/mnt/securefs" >/dev/null 2>&1
	for _ in $(seq 100); do as mountpoint -q "$tmp/mnt/securefs" && return; sleep 0.05; done
	return 1
}
umount_securefs() { as fusermount3 -u "$tmp/mnt/securefs" 2>/dev/null || as fusermount -u "$tmp/mnt/securefs"; }
dir_securefs() { echo "$tmp/mnt/securefs"; }

prepare_sbx() {
	as mkdir -p "$tmp/mnt/sbx"
	as "$build/shell/sbxctl" init "$tmp/disk/ws" >"$tmp/sbx.init"
}
mount_sbx() { as "$build/shell/sbxctl" mount "$tmp/disk/ws" "$tmp/mnt/sbx" >/dev/null; }
umount_sbx() { as "$build/shell/sbxctl" umount "$tmp/mnt/sbx" >/dev/null; }
dir_sbx() { echo "$tmp/mnt/sbx/workspace"; }

prepare_null() {
	local flags
	flags=$(pkg-config --cflags --libs fuse3 2>/dev/null) || return 1
	# shellcheck disable=SC2086
	gcc -O2 -o "$tmp/nullfs" "$src/tests/bench/nullfs.c" $flags -pthread || return 1
	as mkdir -p "$tmp/mnt/null"
}
mount_null() { as "$tmp/nullfs" "$tmp/mnt/null" >/dev/null; }
umount_null() { as fusermount3 -u "$tmp/mnt/null"; }
dir_null() { echo "$tmp/mnt/null"; }

unmount_all() {
	local m
	awk -v s="$tmp/mnt/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do
		umount -l "$m"
	done
}

# ---- one figure ------------------------------------------------------------------------------------
remount() { # CANDIDATE: nothing of its files is cached
	# The null one has nothing else: it stays, and what the kernel holds of it goes.
	[ "$1" = null ] || "umount_$1" || return
	sync
	echo 3 >/proc/sys/vm/drop_caches
	[ "$1" = null ] || "mount_$1"
}

bench() { # WORKLOAD [ROW]: lines "ROW VALUE"
	local out
	out=$(as "$tmp/fsbench" "$dir" "$1" 2>>"$tmp/errors") || { echo "$1 failed" >>"$tmp/errors"; out="$1 0"; }
	[ -z "$out" ] || echo "$out" | sed "s/^[^ ]*/${2:-&}/"
}

micros() { echo "${EPOCHREALTIME/./}"; }

# 5,000 files of 100 bytes to 16 KiB in 100 directories.
make_tar() {
	[ -f "$tmp/tree.tar" ] || python3 - "$tmp/tree.tar" <<-'PY'
	import io, os, sys, tarfile
	with tarfile.open(sys.argv[1], "w") as tar:
	    for n in range(5000):
	        if n % 50 == 0:
	            d = tarfile.TarInfo(f"tree/{n // 50:02}")
	            d.type, d.mode = tarfile.DIRTYPE, 0o755
	            tar.addfile(d)
	        info = tarfile.TarInfo(f"tree/{n // 50:02}/file-{n}.dat")
	        info.size = 100 + n * 7919 % 16284
	        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
	PY
	chmod 0644 "$tmp/tree.tar"
}

untar() { # CANDIDATE
	local begin end
	make_tar
	sync
	begin=$(micros)
	as tar -C "$dir" --no-same-owner -xf "$tmp/tree.tar" 2>>"$tmp/errors" || { echo "untar 0"; return; }
	end=$(micros)
	echo "untar $((5000 * 1000000 / (end - begin)))"
	[ "$1" = null ] || as rm -rf "$dir/tree"
}

sqlite() { # MODE
	local out
	out=$(as python3 "$src/tests/bench/sqlite.py" "$dir" "${1^^}" 2>>"$tmp/errors") || out=0
	echo "sqlite-$1 $out"
}

fresh() { # CANDIDATE: none of the small files are there
	if [ "$1" = null ]; then
		umount_null
		mount_null
	else
		as find "$dir" -mindepth 1 -maxdepth 1 -name 'dir*' -exec rm -rf {} +
	fi
}

have() { as test -e "$dir/$1"; }

one() { # CANDIDATE WORKLOAD
	case $2 in
	start) ;;
	sqlite-*) [ "$1" = null ] || sqlite "${2#sqlite-}" ;;
	untar) untar "$1" ;;
	read-cold) have big || bench write-1m >/dev/null; remount "$1"; bench read read-cold ;;
	read-warm) have big || bench write-1m >/dev/null; bench read >/dev/null; bench read read-warm ;;
	random-*) have random || bench random-make >/dev/null; remount "$1"; bench "$2" ;;
	create) fresh "$1"; bench create ;;
	stat | rename | unlink | read-small)
		have dir0/file-number-0.csv || have dir0/renamed-0.csv || bench create >/dev/null
		[ "$2" != read-small ] || have dir0/small-0.csv || bench small-make
		[ "$2" != unlink ] || have dir0/renamed-0.csv || bench rename >/dev/null
		[ "$2" = unlink ] || remount "$1"
		bench "$2"
		;;
	*) as rm -f "$dir/big"; sync; bench "$2"; sync ;;
	esac
}

round() { # CANDIDATE: all workloads once
	local dir w
	"mount_$1" || { echo "cannot mount $1" >&2; return; }
	dir=$("dir_$1")
	for w in $workloads; do one "$1" "$w"; done >>"$tmp/results.$1"
	[ "$1" = null ] || as find "$dir" -mindepth 1 -delete
	"umount_$1"
}

# The first files of a fresh image, the first run of a program: not what is compared.
warm_up() { # CANDIDATE
	local dir
	"mount_$1" || return
	dir=$("dir_$1")
	bench write-1m >/dev/null
	[ "$1" = null ] || as find "$dir" -mindepth 1 -delete
	"umount_$1"
}

median() { # CANDIDATE ROW
	awk -v w="$2" '$1 == w { print $2 }' "$tmp/results.$1" 2>/dev/null | sort -n |
		awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : 0 }'
}

# ---- the table: row, its bars against native, gocryptfs and the better of gocryptfs and securefs -----
bars() { # ROW: "NATIVE GOCRYPTFS BETTER" for who is measured; - where there is none
	local root=yes
	[ -z "$user" ] || root=no
	pick() { [ $root = yes ] && echo "$1" || echo "$2"; }
	case $1 in
	write-1m) echo "$(pick 1.0 0.5) 2 -" ;;
	write-1m-fsync) echo "$(pick 0.8 0.7) - -" ;;
	write-4k) echo "$(pick 0.9 0.6) 10 -" ;;
	read-cold) echo "$(pick 0.8 0.6) - -" ;;
	read-warm) echo "1.0 - -" ;;
	random-read) echo "$(pick 0.6 0.5) - -" ;;
	random-write) echo "0.6 - -" ;;
	sqlite-*) echo "0.5 - -" ;;
	untar) echo "- 2 -" ;;
	create | stat | read-small | rename | unlink) echo "- - 2" ;;
	*) echo "- - -" ;;
	esac
}

rows() { # every row that was measured, in order
	local w
	for w in $workloads; do
		case $w in
		start) ;;
		write-1m | write-4k) echo "$w $w-close" ;;
		*) echo "$w" ;;
		esac
	done
}

table() { # lines: ROW NULL NATIVE GOCRYPTFS SECUREFS SBX, then three ratios and three bars
	local w c
	for w in $(rows); do
		echo "$w $(for c in null native gocryptfs securefs sbx; do median $c "$w"; done | tr '\n' ' ') $(bars "$w")"
	done
}

print_table() {
	table | awk '
	function ratio(a, b, bar) {
		if (!(a > 0 && b > 0)) return "-"
		return sprintf("%.2f%s", a / b, (bar == "-" ? "" : (a / b >= bar ? " >=" : " !<") bar))
	}
	BEGIN { printf "%-22s%9s%9s%10s%9s%9s   %-14s%-14s%-14s%s\n", "workload", "null", "native", "gocryptfs",
		"securefs", "sbx", "/native", "/gocryptfs", "/better", "/null" }
	{
		unit = $1 ~ /^(write|read-cold|read-warm)/ ? "MB/s" : "/s"
		better = $4 > $5 ? $4 : $5
		printf "%-22s", $1 " " unit
		for (i = 2; i <= 6; i++) printf "%*s", (i == 4 ? 10 : 9), ($i > 0 ? sprintf("%.0f", $i) : "-")
		printf "   %-14s%-14s%-14s%s\n", ratio($6, $3, $7), ratio($6, $4, $8), ratio($6, better, $9), ratio($6, $2, "-")
	}'
}

print_json() {
	table | awk -v backing="$backing" -v cores="$(nproc)" -v kernel="$(uname -r)" -v user="${user:-root}" -v rounds="$rounds" '
	function value(name, v) { return sprintf("\"%s\":%s", name, (v > 0 ? v : "null")) }
	function bar(name, a, b, want) {
		return sprintf("\"%s\":{\"ratio\":%s,\"bar\":%s,\"met\":%s}", name, (a > 0 && b > 0 ? sprintf("%.3f", a / b) : "null"),
			(want == "-" ? "null" : want), (want == "-" || !(a > 0 && b > 0) ? "null" : (a / b >= want ? "true" : "false")))
	}
	BEGIN { printf "{\"backing\":\"%s\",\"cores\":%d,\"linux\":\"%s\",\"user\":\"%s\",\"rounds\":%d,\"rows\":[", backing, cores, kernel, user, rounds }
	{
		printf "%s\n{\"workload\":\"%s\",\"unit\":\"%s\",", (NR > 1 ? "," : ""), $1, ($1 ~ /^(write|read-cold|read-warm)/ ? "MB/s" : "1/s")
		printf "%s,%s,%s,%s,%s,", value("null", $2), value("native", $3), value("gocryptfs", $4), value("securefs", $5), value("sbx", $6)
		better = $4 > $5 ? $4 : $5
		printf "\"ratios\":{%s,%s,%s}}", bar("native", $6, $3, $7), bar("gocryptfs", $6, $4, $8), bar("better", $6, better, $9)
	}
	END { print "\n]}" }'
}

# ---- the start of a sandbox, in milliseconds ---------------------------------------------------------
start_ms() { # N CMD..
	local n=$1 i begin
	shift
	for i in $(seq "$n"); do
		begin=$(micros)
		as "$@" >/dev/null 2>&1 </dev/null || { echo failed; return; }
		echo $(($(micros) - begin))
	done | sort -n | awk '/failed/ { bad = 1 } { v[NR] = $1 }
		END { if (bad) print "failed,"; else printf "%.1f", v[int((NR + 1) / 2)] / 1000 }'
}

starts() {
	local held
	command -v bwrap >/dev/null && echo "start, bubblewrap:         $(start_ms 15 bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev true) ms"
	echo "start, sbx-shell:          $(start_ms 15 "$build/shell/sbx-shell" --quiet "$tmp/disk/ws" -- true) ms (daemon started and ended)"
	as "$build/shell/sbx-shell" --quiet "$tmp/disk/ws" -- sleep 60 >/dev/null 2>&1 </dev/null &
	held=$!
	sleep 1
	echo "start, sbx-shell joining:  $(start_ms 15 "$build/shell/sbx-shell" --quiet "$tmp/disk/ws" -- true) ms (daemon already there)"
	kill $held 2>/dev/null
	wait $held 2>/dev/null
}

present=''
for c in $only; do
	case $c in native | null | sbx) ;; *) command -v "$c" >/dev/null || continue ;; esac
	"prepare_$c" || { echo "cannot prepare $c" >&2; continue; }
	present="$present $c"
done
for c in $present; do warm_up "$c"; done
for _ in $(seq "$rounds"); do
	for c in $present; do round "$c"; done
done

if [ $json = yes ]; then
	print_json
else
	echo "backing: $backing; $(nproc) cores; Linux $(uname -r); median of $rounds; as ${user:-root}; $(grep -io 'cipher[^,]*' "$tmp/sbx.init" 2>/dev/null | head -n 1)"
	print_table
	case " $workloads " in *" start "*) starts ;; esac
fi
[ ! -s "$tmp/errors" ] || { echo "errors:"; sort "$tmp/errors" | uniq -c | head -n 20; } >&2
exit 0
