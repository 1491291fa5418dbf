#!/bin/sh
# From a fresh checkout to encrypted results of a real analysis, on Debian 12 or 13.
#
#   sh packaging/quickstart.sh [DIR]        as root, or as a user who may use sudo
#
# Installs what is missing, builds, and works in DIR (default ~/sbx-quickstart), which it leaves in
# place. Every command is printed before it runs, so that it can be copied. Run again, it removes
# and makes anew what it made in DIR, and nothing else.
set -eu
LC_ALL=C.UTF-8
export LC_ALL

packages='gcc libc6-dev meson ninja-build pkg-config fuse3 libfuse3-dev libjansson-dev libsodium-dev libarchive-dev
libseccomp-dev python3-sklearn python3-pandas python3-matplotlib'

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') red=$(printf '\033[31m') off=$(printf '\033[0m')
else
	bold='' dim='' red='' off=''
fi

say() { printf '%s\n' "$*"; }
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$off"; }
die() { printf '%squickstart: %s%s\n' "$red" "$*" "$off" >&2; exit 1; }

# Print a command as one would type it, then run it.
run() {
	printf '%s$ %s%s\n' "$dim" "$1" "$off"
	eval "$1"
}

# A word as the shell needs it: quoted only if it must be.
quote() {
	case $1 in
	*[!A-Za-z0-9_./+:=@%-]* | '') printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf '%s' "$1" ;;
	esac
}

# ---- where ---------------------------------------------------------------------------------------

case ${1:-} in
-h | --help)
	sed -n '2,8s/^# \{0,1\}//p' "$0"
	exit 0
	;;
-*) die "unknown option '$1'; usage: sh packaging/quickstart.sh [DIR]" ;;
esac
[ $# -le 1 ] || die "one directory at most; usage: sh packaging/quickstart.sh [DIR]"

src=$(cd "$(dirname "$0")/.." && pwd -P)
work=${1:-${HOME:?HOME is not set}/sbx-quickstart}
case $work in /*) ;; *) work=$PWD/$work ;; esac
marker=.made-by-sbx-quickstart
build=$src/build
began=$(date +%s)

if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null; then
	sudo='sudo '
else
	sudo=none
fi

# ---- 1: install ----------------------------------------------------------------------------------

step "1. Install what is missing"
missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
	say "Nothing is missing."
else
	[ "$sudo" != none ] || die "these packages are missing, and sudo is not installed: as root, run: apt-get install$missing"
	run "${sudo}apt-get update -qq"
	run "${sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends$missing >/dev/null"
fi

# ---- 2: build ------------------------------------------------------------------------------------

step "2. Build"
# A checkout that belongs to somebody else is built beside the results.
mkdir -p "$work"
work=$(cd "$work" && pwd -P)
if [ ! -w "$src" ] || { [ -e "$build" ] && [ ! -w "$build/build.ninja" ]; }; then
	build=$work/build
fi
run "cd $(quote "$src")"
# A newer compiler may warn of more than those that this was written with.
[ -f "$build/build.ninja" ] || run "meson setup -Dwerror=false $(quote "$build") >/dev/null"
run "ninja -C $(quote "$build") --quiet fs/sbxfsd fs/sbx-archive shell/sbx-shell shell/sbxctl shell/sbx-shell.1 shell/sbxctl.1"
run "export PATH=$(quote "$build/shell"):\$PATH"

# ---- 3: this machine -----------------------------------------------------------------------------

step "3. What this machine offers"
[ -e /dev/fuse ] || die "there is no /dev/fuse: as root, run 'modprobe fuse'; in a container, start it with '--device /dev/fuse'"
if ! { [ -r /dev/fuse ] && [ -w /dev/fuse ]; }; then
	die "you may not open /dev/fuse: run 'chmod 666 /dev/fuse' as root (Debian has it so), and start again"
fi
printf '%s$ sbxctl doctor%s\n' "$dim" "$off"
sbxctl doctor || true

# ---- 4: a workspace ------------------------------------------------------------------------------

step "4. A workspace, with two datasets"
busy() {
	die "$work/ws is in use: end what uses it ('sbxctl status', 'sbxctl ps'), and start again"
}
# Only what an earlier quickstart made is removed.
if [ -e "$work/$marker" ]; then
	if grep -qF " $(printf '%s' "$work" | sed 's/ /\\040/g')/view/" /proc/self/mountinfo; then
		run "sbxctl umount $(quote "$work/view")" || busy
	fi
	if [ -e "$work/ws/lock" ] && ! flock -w 3 "$work/ws/lock" true; then
		busy
	fi
	rm -rf --one-file-system "$work/ws" "$work/view" "$work/result.json"
elif [ -n "$(find "$work" -mindepth 1 -maxdepth 1 ! -name build)" ]; then
	die "$work has files that are not of a quickstart: name another directory"
fi
: >"$work/$marker"
for f in analysis.py forbidden.py; do
	cp "$src/packaging/examples/$f" "$work/"
	chmod 644 "$work/$f"
done
chmod 755 "$work"
data=$(/usr/bin/python3 -c 'import sklearn, os; print(os.path.dirname(sklearn.__file__))')/datasets/data

run "cd $(quote "$work")"
sha256sum "$data/breast_cancer.csv" "$data/wine_data.csv" >tables.sha256
run "sbxctl init --quota 1G ws"
run "sbxctl dataset add ws cancer $(quote "$data/breast_cancer.csv")"
run "sbxctl dataset add ws wine $(quote "$data/wine_data.csv")"
run "sbxctl dataset list ws"

# ---- 5: the analysis -----------------------------------------------------------------------------

step "5. An analysis in the sandbox: pandas, scikit-learn, matplotlib"
# Limits that this host cannot enforce end a run, unless one says that they may be missing. That is
# decided here, where it can be seen.
degraded=
if ! why=$(sbx-shell --memory 2G --time 60s ws -- true 2>&1 </dev/null); then
	case $why in
	*--allow-degraded*)
		degraded='--allow-degraded '
		say "This host cannot enforce every limit for $(id -un):"
		say "  $why"
		say "so the runs below say --allow-degraded. As root, or with delegated cgroups, they need not."
		;;
	*) die "a first run in the sandbox failed: $why" ;;
	esac
fi
run "sbx-shell $degraded--time 5m --memory 2G --pids 128 --ro $(quote "$work/analysis.py"):/opt/analysis.py --result result.json ws -- /usr/bin/python3 /opt/analysis.py"
run "head -n 11 result.json"

step "6. What the code inside cannot do"
run "sbx-shell $degraded--time 1m --ro $(quote "$work/forbidden.py"):/opt/forbidden.py ws -- /usr/bin/python3 /opt/forbidden.py"
say "The tables are as they were:"
run "sha256sum -c tables.sha256"

# ---- 7: the store --------------------------------------------------------------------------------

step "7. What is on the disk: ciphertext, with encrypted names"
run "find ws/store -type f -printf '%s bytes  %p\n' | sort -k 3 | head -n 12"
say "Searched for: names of the outputs, words in them, the beginning of a PNG picture."
search() { # DIR: how many files hold any of it, by name or content
	{
		find "$1" -name '*scores*' -o -name '*report*' -o -name '*.csv' -o -name '*.png'
		LC_ALL=C grep -rlaE 'malignant|class_0|random forest|logistic' "$1" || true
		LC_ALL=C grep -rlaP '\x89PNG\r\n' "$1" || true
	} | sort -u | wc -l
}
found=$(search ws/store)
[ "$found" = 0 ] || die "the store holds plaintext in $found files"
say "Found in ws/store: 0 files"

# ---- 8: the view ---------------------------------------------------------------------------------

step "8. The same, mounted for you"
run "mkdir view"
run "sbxctl mount ws view"
run "ls -l view/workspace"
say "The same search in view/workspace finds $(search view/workspace) files."
run "cat view/workspace/scores.csv"
run "sbxctl status ws"

step "Done in $(($(date +%s) - began)) s. The view stays mounted. What to type next"
next() { if [ $# = 1 ]; then say "  $1"; else printf '  %-46s # %s\n' "$1" "$2"; fi; }
next "export PATH=$(quote "$build/shell"):\$PATH; cd $(quote "$work")"
next "xdg-open view/workspace/report.png" "or copy it: it is a normal file there"
next "sbx-shell ${degraded}ws" "a shell in the sandbox; 'exit' ends everything in it"
next "sbx-shell ${degraded}--time 10s ws -- ls -l" "any command, with limits: sbx-shell --help"
next "sbxctl umount view" "take the view away"
next "man -l $(quote "$build/shell/sbxctl.1")" "everything about workspaces; also sbx-shell.1"
next "${sudo#none}meson install -C $(quote "$build")" "programs, man pages, completions for everybody"
