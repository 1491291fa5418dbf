#!/bin/bash
# An archive as a dataset beside extracting it first, and beside archivemount, fuse-archive and
# mount-zip where they are installed: seconds to the first byte, to read all, to read all again.
# archivemount reads a compressed archive from its start for every file: it takes long.
# usage: archives.sh [--build DIR] [--mib N]
set -u
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$src/build mib=16
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$(cd "$2" && pwd) && shift 2 ;;
	--mib) mib=$2 && shift 2 ;;
	*) echo "usage: archives.sh [--build DIR] [--mib N]" >&2 && exit 2 ;;
	esac
done
PATH=$build/shell:$PATH
work=$(mktemp -d /tmp/sbx-bench-archives.XXXXXX) || exit 1
export HOME=$work
clean() {
	sbxctl umount "$work/m" >/dev/null 2>&1
	mountpoint -q "$work/o" && fusermount3 -u "$work/o"
	rm -rf "$work"
}
trap clean EXIT
cd "$work" && mkdir d m o || exit 1

# Tables: text that compresses, in files of 1 MiB.
seq 1 $((mib * 60000)) | awk '{ print $1 ",measured," $1 * 0.37 ",abc" }' | head -c $((mib << 20)) | split -b 1M -d -a 4 - d/table-
tar -cf a.tar d && gzip -1k a.tar && xz -0 -k a.tar
if command -v bsdtar >/dev/null; then bsdtar --format zip -cf a.zip d; fi

seconds() { # CMD..
	local start=$EPOCHREALTIME
	"$@" >/dev/null || echo "failed: $*" >&2
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'
}
first() { head -c 1 "$1"/d/table-0000; }
all() { cat "$1"/d/table-*; }
row() { printf '%-10s %-22s %8s %8s %8s %8s\n' "$@"; }
measure() { # ARCHIVE WHAT PREPARED DIR
	row "$1" "$2" "$3" "$(seconds first "$4")" "$(seconds all "$4")" "$(seconds all "$4")"
}

echo "$mib MiB of tables; seconds"
row archive way prepare first all again
for a in a.tar a.tar.gz a.tar.xz a.zip; do
	[ -f "$a" ] || continue
	rm -rf x && mkdir x
	if [ "$a" = a.zip ]; then extract='bsdtar -C x -xf'; else extract='tar -C x -xf'; fi
	measure "$a" 'extracted first' "$(seconds $extract "$a")" x
	sbxctl init ws >/dev/null 2>&1 || exit 1
	took=$(seconds sbxctl dataset add ws a "$a")
	sbxctl mount ws m >/dev/null || exit 1
	measure "$a" 'sbx dataset' "$took" m/datasets/a
	sbxctl umount m >/dev/null
	rm -rf ws
	for other in archivemount fuse-archive mount-zip; do
		command -v $other >/dev/null || continue
		[ $other != mount-zip ] || [ "$a" = a.zip ] || continue
		measure "$a" $other "$(seconds $other "$a" o)" o
		fusermount3 -u o
	done
done
