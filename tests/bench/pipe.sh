# Bytes through "sbx-shell WS -- cat" beside bytes through cat, between the same two programs.
#
#   bash tests/bench/pipe.sh [GIB [BUILD]]
#
# Prints MB/s of both (the best of three) and their ratio.
set -u
gib=${1:-10}
build=${2:-b}
PATH=$PWD/$build/shell:$PATH
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME=$dir XDG_RUNTIME_DIR=$dir
sbxctl init "$dir/ws" --cipher xchacha20 >/dev/null || exit 1

# Zeros by dd, thrown away by dd: what is measured is what lies between.
feed() { dd if=/dev/zero bs=1M count=$((gib * 1024)) 2>/dev/null; }
throw() { dd of=/dev/null bs=1M 2>/dev/null; }

speed() { # NAME CMD..: MB/s, into $mbs
	local name=$1 begin
	shift
	begin=${EPOCHREALTIME/./}
	feed | "$@" | throw
	mbs=$((gib * 1073741824 / (${EPOCHREALTIME/./} - begin)))
	printf '%-10s %6d MB/s\n' "$name" "$mbs"
}

sandboxed() { sbx-shell --allow-degraded --quiet --output none --time none "$dir/ws" -- "$@"; }

best_cat=0 best_sbx=0
for _ in 1 2 3; do
	speed cat cat
	[ "$mbs" -le "$best_cat" ] || best_cat=$mbs
	speed sandbox sandboxed cat
	[ "$mbs" -le "$best_sbx" ] || best_sbx=$mbs
done
printf 'ratio      %d.%02d\n' $((best_sbx / best_cat)) $((best_sbx * 100 / best_cat % 100))
