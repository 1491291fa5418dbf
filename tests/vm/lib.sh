# What first.sh and guest.sh share: the runner's functions, with this machine's places.
set -u
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/tmp

src=/sbx/src build=/sbx/build keep=no quick=no cache=
pattern=$(cat /sbx/pattern)
. $src/tests/lib/runner.sh
# Software emulation, perhaps on a busy machine.
patience=6

stage=$(mktemp -d /tmp/sbx-tests.XXXXXX) && chmod 755 "$stage" || exit 2
mkdir "$stage/cases" && chmod 1777 "$stage/cases"
cp -r /sbx/src /sbx/build "$stage/"
# Beside the cases that run everywhere: those for such a machine.
cp -r /sbx/src/tests/vm/cases "$stage/src/tests/cases/machine"

limits_of() {
	echo yes
}

run_those() { # WHERE "CASE [as]"..
	local where=$1 c as
	shift
	for c; do
		as=${c##*[} && as=${as%]}
		matches "vm/$where/$c" && run_case "$(cd "$stage/src/tests/cases" && echo ${c% *}.*)" "$as" "$stage/build" "vm/$where/"
	done
}

# What a program prints when it goes wrong is worth seeing.
log_times() {
	echo "      | $1 at $(cut -d ' ' -f 1 /proc/uptime) s"
}
