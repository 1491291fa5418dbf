#!/bin/sh
# Build everything and run every test, on a fresh Debian 12 or 13, as root or through sudo.
#
#   sh tests/run.sh [-k PATTERN] [--quick] [--list] [--keep] [--no-install] [--build DIR]
#
# Parts: build by gcc, unit tests, lints, cases; build by clang with sanitizers, the same unit tests,
# fuzz targets, and the cases that ask for it.  Tests are found, not listed.  A case is
# tests/cases/AREA/NAME.sh (or .py) with header lines
#
#   # run: root user      as whom it runs: once for each word; "degraded" = root where no cgroup is
#   # needs: fuse tmux    words of have_need() below, else commands; missing = skipped, with the reason
#   # timeout: 60         seconds; then its process group is killed and it has failed
#   # sanitize: yes       runs once more, as root, on the build with sanitizers
#   # slow: yes           left out by --quick
#   # lines: yes          it runs several tests, and prints a line for each
#
# The environment is empty but for what cases are told (below), SEED and COUNT: of random cases, to
# repeat a run or to make a long one.
#
# Exit code 0 = passed, 77 = skipped (the last line printed says why), else failed.  A case runs in
# an empty directory of its own with HOME there.  What it leaves behind (a process of ours, a mount,
# a cgroup) makes it fail.  The last line is "N passed, N failed, N skipped"; exit 1 if any failed.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -u
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

src=$(cd "$(dirname "$0")/.." && pwd)
. "$src/tests/lib/runner.sh"

pattern=. quick=no list=no keep=no install=yes build=$src/build-test
usage() {
	sed -n '2,5s/^# \{0,1\}//p' "$0"
	exit "$1"
}
while [ $# -gt 0 ]; do
	case $1 in
	-k) [ $# -ge 2 ] || usage 2; pattern=$2; shift ;;
	--quick) quick=yes ;;
	--list) list=yes ;;
	--keep) keep=yes ;;
	--no-install) install=no ;;
	--build) [ $# -ge 2 ] || usage 2; build=$2; shift ;;
	-h | --help) usage 0 ;;
	*) echo "tests/run.sh: unknown option '$1'" >&2; usage 2 ;;
	esac
	shift
done

# What takes long to make and is the same in every run on this machine.
cache=$(realpath -m "$build")/cache

if [ "$list" = yes ]; then
	list_all
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "tests/run.sh: needs root, and sudo is not installed" >&2; exit 2; }
	again=(-k "$pattern" --build "$build")
	[ "$quick" = yes ] && again+=(--quick)
	[ "$keep" = yes ] && again+=(--keep)
	[ "$install" = yes ] || again+=(--no-install)
	exec sudo bash "$0" "${again[@]}"
fi

prepare
trap finish EXIT
trap 'exit 130' INT TERM

build_with gcc "$build" || { report; exit 1; }
stage_build "$build" "$stage/build"
run_units "$build" unit
# Behind the cases, which wait more than they compute: what measures no time.  Lints, and one more
# build, by the other compiler, with the address and undefined-behaviour sanitizers and the
# instruments of the fuzz targets.
behind() {
	run_lints
	[ "$quick" = no ] && build_with clang "$build-clang" || return
	stage_build "$build-clang" "$stage/build-clang"
	run_units "$build-clang" sanitized-unit
	run_fuzz "$build-clang"
}
start_behind
run_cases
finish_behind
[ ! -d "$stage/build-clang" ] || run_sanitized_cases
report
