#!/bin/bash
# What the start of a sandbox costs, with every layer on: beside bubblewrap, nsjail, isolate and a
# bare unshare of all namespaces, in one run.
#
#   start.sh [--build DIR] [--rounds N] [--user NAME] [--only PART]
#
# start     from the start of the program to its end, with /bin/true: median, 95th percentile and the
#           ratio to bubblewrap.  Rounds are interleaved.  "first" starts the daemon of the workspace,
#           too.  As root and as NAME (sbxtest, if there is one).
# parallel  100 sandboxes at once; series: 1,000 one after the other: what the daemon and the system
#           hold before and after.
# idle      what one more sandbox that sleeps costs, beyond its code: the private memory of its
#           supervisor, janitor and pid 1, and the kernel's (slabs, stacks, page tables, per CPU).
#
# Needs root. A tool that is not installed is left out. Nothing is asserted.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$src/build rounds=100 user=sbxtest only='start parallel series idle'
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$(cd "$2" && pwd) ;;
	--rounds) rounds=$2 ;;
	--user) user=$2 ;;
	--only) only=$2 ;;
	*) sed -n '2,17s/^# \{0,1\}//p' "$0" && exit 2 ;;
	esac
	shift 2 || exit 2
done
[ "$(id -u)" = 0 ] || { echo 'start.sh: needs root' >&2 && exit 2; }
work=$(mktemp -d /tmp/sbx-bench-start.XXXXXX) || exit 1
chmod 755 "$work"
holders=()
release() {
	for pid in "${holders[@]}"; do kill "$pid" && wait "$pid"; done 2>/dev/null
	holders=()
}
clean() {
	release
	rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
gcc -O2 -D_GNU_SOURCE -o "$work/starttime" "$src/tests/bench/starttime.c" || exit 1
# Where an ordinary user can reach them, whatever the rights on the way to the tree.
mkdir -p "$work/bin/shell" "$work/bin/fs" && cp "$build"/shell/sbx-shell "$build"/shell/sbxctl "$work/bin/shell/" &&
	cp "$build"/fs/sbxfsd "$work/bin/fs/" || exit 1
sbx=$work/bin/shell/sbx-shell

home() { # NAME: a home of this user, with a workspace
	mkdir -p "$work/$1/run" && chown -R "$1" "$work/$1" && chmod 700 "$work/$1/run"
	as "$1" "$work/bin/shell/sbxctl" init "$work/$1/ws" >/dev/null || exit 1
}
as() { # NAME CMD..
	local who=$1 vars
	vars=(PATH="$PATH" HOME="$work/$1" XDG_RUNTIME_DIR="$work/$1/run")
	shift
	if [ "$who" = root ]; then ${run-} env -i "${vars[@]}" "$@"; else ${run-} setpriv --reuid "$who" --regid "$who" --init-groups env -i "${vars[@]}" "$@"; fi
}
hold() { # NAME: keep its workspace served
	(run='exec' && as "$1" "$sbx" "${degraded[@]}" --time none --quiet "$work/$1/ws" -- sleep 1000 >/dev/null 2>&1 </dev/null) &
	holders+=($!)
	for _ in $(seq 100); do
		grep -q socket "$work/$1/ws/lock" 2>/dev/null && sleep 0.3 && return
		sleep 0.05
	done
	echo "start.sh: the workspace is not served" >&2
	exit 1
}
daemon() { # NAME
	sed 's/.*"pid":\([0-9]*\).*/\1/' "$work/$1/ws/lock"
}

table() { # Each line beside the time of bubblewrap.
	awk '{ name[NR] = $1; m[NR] = $2; p[NR] = $3; if ($1 == "bubblewrap") base = $2 }
		END { for (i = 1; i <= NR; i++)
			printf "  %-22s %8.2f %8.2f %s\n", name[i], m[i], p[i], base ? sprintf("%8.2f", m[i] / base) : "" }'
}
start_as() { # NAME
	local c
	echo "start and end of /bin/true as $1, ms: median, 95th percentile, to bubblewrap"
	c=(plain-program /bin/true +next unshare unshare -Umnpiu --fork -r /bin/true)
	! command -v bwrap >/dev/null ||
		c+=(+next bubblewrap bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp /bin/true)
	! command -v nsjail >/dev/null || c+=(+next nsjail nsjail -Mo -Q --chroot / -- /bin/true)
	[ "$1" != root ] || ! command -v isolate >/dev/null ||
		c+=(+next isolate sh -c 'isolate -s --init >/dev/null && isolate -s --run -- /bin/true; isolate --cleanup')
	c+=(+next sbx-shell "$sbx" "${degraded[@]}" --quiet "$work/$1/ws" -- /bin/true)
	hold "$1"
	as "$1" "$work/starttime" "$rounds" "${c[@]}" | table
	release
	as "$1" "$work/starttime" $((rounds / 4 + 1)) sbx-shell,first "$sbx" "${degraded[@]}" --quiet "$work/$1/ws" -- /bin/true \
		+after flock -n "$work/$1/ws/lock" true | table
}

slabs() { # active objects of a cache
	awk -v n="$1" '$1 == n { print $2 }' /proc/slabinfo
}
kernel_kib() {
	awk '/^(Slab|KernelStack|PageTables|SecPageTables|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
growth() { # LABEL: what the daemon and the system hold
	local d
	d=$(daemon root)
	sleep 5 # the kernel takes namespaces and cgroups down in the background
	printf '  %-8s %6d %9d %9d %8d %8d %8d %8d\n' "$1" "$(find "/proc/$d/fd" -type l | wc -l)" \
		"$(awk '/^VmRSS/ { print $2 }' "/proc/$d/status")" "$(kernel_kib)" \
		"$(find /sys/fs/cgroup -name 'sbx-*' -type d | wc -l)" \
		"$(cat /proc/self/mountinfo "/proc/$d/mountinfo" | wc -l)" "$(slabs net_namespace)" "$(slabs mnt_cache)"
}
growth_head() {
	printf '  %-8s %6s %9s %9s %8s %8s %8s %8s\n' '' 'F: fds' 'F: KiB' 'kern. KiB' cgroups mounts netns vfsmount
}

idle() { # N sandboxes that sleep
	local n=30 before after p kib=0 sum=0
	hold root
	sleep 1
	before=$(kernel_kib)
	for _ in $(seq $n); do
		"$sbx" --quiet --time none "$work/root/ws" -- sleep 1000 >/dev/null 2>&1 </dev/null &
		holders+=($!)
		sleep 0.1
	done
	sleep 2
	after=$(kernel_kib)
	for p in "${holders[@]:1}"; do
		# supervisor, janitor and pid 1: what is theirs alone and no file's
		for q in $p $(cat "/proc/$p/task/$p/children"); do
			kib=$(awk '/^Private_(Dirty|Hugetlb):/ { n += $2 } END { print n }' "/proc/$q/smaps_rollup")
			sum=$((sum + kib))
		done
	done
	echo "one more idle sandbox, KiB (of $n): processes $((sum / n)), kernel $(((after - before) / n))"
	release
}

degraded=()
export HOME=$work/root XDG_RUNTIME_DIR=$work/root/run
home root
case " $only " in *' start '*)
	start_as root
	if id "$user" >/dev/null 2>&1; then
		degraded=(--allow-degraded)
		home "$user"
		start_as "$user"
		degraded=()
	fi
	;;
esac
for part in parallel series; do
	case " $only " in *" $part "*) ;; *) continue ;; esac
	hold root
	"$work/starttime" 20 warm "$sbx" --quiet "$work/root/ws" -- /bin/true >/dev/null
	[ $part = parallel ] && what='100 at once' || what='1,000 in a row'
	echo "$what"
	growth_head
	growth before
	if [ $part = parallel ]; then
		took=$("$work/starttime" x100 sbx "$sbx" --quiet "$work/root/ws" -- /bin/true)
	else
		took=$("$work/starttime" 1000 sbx "$sbx" --quiet "$work/root/ws" -- /bin/true)
	fi
	growth after
	echo "  ms: ${took#sbx } $([ $part = parallel ] && echo '(until all had ended)' || echo '(median, 95th percentile)')"
	release
done
case " $only " in *' idle '*) idle ;; esac
