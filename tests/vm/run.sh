# Run tests/vm/cases and some of tests/cases in a Debian of today: systemd, cgroup v2, users who log in.
#
#   bash run.sh [--build DIR] [--cache DIR] [-k PATTERN] [--log FILE]
#
# Boots the image of image.sh in QEMU (software emulation: any machine can), with the programs of
# DIR on a second disk; the guest writes its lines to a second serial port.  They are printed here as
# they come: "pass|fail|skip  ID  SECONDS  (REASON)", for a failure its output behind "|".  Exit
# code 0 = all passed, 77 = no virtual machine can be had here (the last line says why), else failed.
set -u
export LC_ALL=C.UTF-8

src=$(cd "$(dirname "$0")/../.." && pwd)
build=${SBX_BUILD:-$src/b} cache=${SBX_CACHE:-$src/b/cache} pattern=. log=
while [ $# -gt 1 ]; do
	case $1 in
	--build) build=$2 ;;
	--cache) cache=$2 ;;
	-k) pattern=$2 ;;
	--log) log=$2 ;;
	*) break ;;
	esac
	shift 2
done
[ $# = 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
image=$cache/vm
boot_limit=${SBX_VM_TIMEOUT:-900}

# The packages of the libraries that our programs are linked with.
libraries() {
	ldd "$build/shell/sbxctl" "$build/fs/sbxfsd" | awk '/=> \// { print $3 }' | sort -u | while read -r lib; do
		dpkg -S "$lib" "/usr$lib" "$(readlink -f "$lib")" 2>/dev/null | head -n 1 | cut -d : -f 1
	done | grep -v '^libc6$' | sort -u
}

work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-vm.XXXXXX") || exit 2
qemu_pid=
finish() {
	[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null
	[ -z "$qemu_pid" ] || wait "$qemu_pid" 2>/dev/null
	rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir -p "$cache" && bash "$src/tests/vm/image.sh" "$image" $(libraries)
made=$?
[ $made = 0 ] || exit $made

# ---- the second disk: programs and tests ---------------------------------------------------------

payload() {
	local p=$work/payload d
	mkdir -p "$p/src/tests" "$p/build"
	for d in shell fs tests/escape; do
		mkdir -p "$p/build/$d"
		find "$build/$d" -maxdepth 1 -type f -perm -100 -exec cp {} "$p/build/$d/" \;
	done
	cp -r "$src/tests/cases" "$src/tests/lib" "$src/tests/vm" "$p/src/tests/"
	echo "$pattern" >"$p/pattern"
	chmod -R a+rX "$p"
	mkfs.ext4 -q -F -d "$p" "$work/payload.img" 64M >/dev/null
}
payload || exit 2

# ---- the machine ---------------------------------------------------------------------------------

# The tools are a tree of another release: QEMU runs with that as its root, in which our files are.
boot() {
	local i=$image w=$work enter=()
	if [ -d "$image/tools" ]; then
		mkdir -p "$image/tools/image" "$image/tools/work"
		enter=(unshare -m --propagation private sh -euc '
			mount --bind "$1" "$0/image"
			mount --bind "$2" "$0/work"
			root=$0
			shift 2
			exec chroot "$root" "$@"' "$image/tools" "$image" "$work")
		i=/image w=/work
	fi
	export TMPDIR=$w
	exec "${enter[@]}" qemu-system-x86_64 -accel tcg,thread=multi -cpu Nehalem -M q35 -m 1024 -smp 2 \
		-nodefaults -no-reboot -display none \
		-serial "file:$w/console" -serial "file:$w/lines" -object rng-builtin,id=rng -device virtio-rng-pci,rng=rng \
		-drive "file=$i/root.img,if=none,format=raw,id=d0,snapshot=on,cache=unsafe" -device virtio-blk-pci,drive=d0 \
		-drive "file=$w/payload.img,if=none,format=raw,id=d1,cache=unsafe" -device virtio-blk-pci,drive=d1 \
		-kernel "$i/vmlinuz" -initrd "$i/initrd" -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet \
panic=-1 mitigations=off audit=0 nowatchdog init=/sbin/sbx-first systemd.show_status=false"
}

: >"$work/lines"
(boot) </dev/null >"$work/qemu.log" 2>&1 &
qemu_pid=$!
tail -n +1 -f --pid=$qemu_pid -s 0.5 "$work/lines" | sed -u 's/\r//' | tee "$work/out" &
end=$((SECONDS + boot_limit))
while kill -0 $qemu_pid 2>/dev/null && [ $SECONDS -lt $end ]; do
	sleep 0.5
done
kill $qemu_pid 2>/dev/null && echo "fail  vm/machine  ${boot_limit}  (it did not end in time)" >>"$work/late"
wait $qemu_pid 2>/dev/null
qemu_pid=
wait
[ -z "$log" ] || cp "$work/console" "$log"
if ! grep -q '^end of the tests$' "$work/out"; then
	echo "fail  vm/machine  0  (it ended before its tests did)"
	tr -d '\r' <"$work/console" | tail -n 40 | cut -c 1-300 | sed 's/^/      | /'
	tail -n 5 "$work/qemu.log" | sed 's/^/      | qemu: /'
	exit 1
fi
! grep -q '^fail' "$work/out" && grep -q '^pass' "$work/out"
