# The machinery of tests/run.sh. Sourced; uses its variables src, build, pattern, quick, keep, install.

passed=0 failed=0 skipped=0 failures='' behind_pid=''
stage='' fuse_mode='' user=sbxtest
# A slow machine gets so many times the time.
patience=1

packages='gcc libc6-dev meson ninja-build pkg-config libfuse3-dev fuse3 libjansson-dev libsodium-dev libarchive-dev libarchive-tools
libseccomp-dev clang clang-format libclang-rt-dev llvm python3 python3-nacl git sqlite3 attr tmux
mandoc util-linux procps binutils bash-completion zsh fish python3-sklearn python3-pandas
python3-matplotlib python3-joblib e2fsprogs tar acl rsync unzip python3-venv python3-setuptools python3-wheel python3-h5py shellcheck mmdebstrap cppcheck clang-tidy dpkg-dev debhelper dh-apparmor lintian
python3-ipykernel python3-jupyter-client python3-jupyter-kernel-test python3-nbclient jupyter-nbconvert jupyter-notebook'

# ---- counting ------------------------------------------------------------------------------------

matches() { # ID
	printf '%s\n' "$1" | grep -Eq -- "$pattern"
}

result() { # pass|fail|skip ID SECONDS [REASON]
	case $1 in
	pass) passed=$((passed + 1)) ;;
	fail) failed=$((failed + 1)); failures="$failures  $2"$'\n' ;;
	skip) skipped=$((skipped + 1)) ;;
	esac
	printf '%-4s  %s%s%s\n' "$1" "$2" "${3:+  ${3}s}" "${4:+  ($4)}"
}

report() {
	[ -z "$failures" ] || printf '\nfailed:\n%s' "$failures"
	echo
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] || exit 1
	[ "$passed" != 0 ] || exit 1
	exit 0
}

# Run a command as one test: output only when it failed.
simple_test() { # ID TIMEOUT CMD..
	local id=$1 limit=$2 start=$EPOCHREALTIME out=$stage/out.$BASHPID rc
	shift 2
	timeout -k 5 "$limit" "$@" </dev/null >"$out" 2>&1
	rc=$?
	settle "$id" "$rc" "$start" "$out"
}

# behind(), at the lowest priority, while this shell goes on; what it says is shown and counted when
# it has ended.
start_behind() {
	(
		trap - EXIT
		renice -n 19 "$BASHPID" >/dev/null
		behind
	) >"$stage/behind" 2>&1 &
	behind_pid=$!
}

finish_behind() {
	wait "$behind_pid"
	behind_pid=''
	cat "$stage/behind"
	passed=$((passed + $(grep -c '^pass  ' "$stage/behind")))
	failed=$((failed + $(grep -c '^fail  ' "$stage/behind")))
	skipped=$((skipped + $(grep -c '^skip  ' "$stage/behind")))
	failures=$failures$(awk '/^fail  / { print "  " $2 }' "$stage/behind")
	[ -z "$failures" ] || failures=${failures%$'\n'}$'\n'
}

settle() { # ID RC START OUTFILE [END]
	local took
	took=$(awk -v a="$3" -v b="${5:-$EPOCHREALTIME}" 'BEGIN { printf "%.1f", b - a }')
	case $2 in
	0) result pass "$1" "$took" ;;
	77) result skip "$1" "$took" "$(grep -v '^$' "$4" | tail -n 1 | sed 's/^skipped: //')" ;;
	*)
		[ "$2" != 124 ] || echo "timed out" >>"$4"
		result fail "$1" "$took" "exit $2"
		tail -n 60 "$4" | cut -c 1-600 | sed 's/^/      | /'
		return 1
		;;
	esac
}

# A case that ran several, and printed for each a line as result() does: they count, and it counts
# itself, as failed only when none of them was.
settle_lines() { # ID RC START OUTFILE
	local line word id rc=$2 bad=no
	while IFS= read -r line; do
		word=${line%%  *} id=${line#*  }
		case $word in
		pass) passed=$((passed + 1)) ;;
		fail) failed=$((failed + 1)) failures="$failures  ${id%%  *}"$'\n' bad=yes ;;
		skip) skipped=$((skipped + 1)) ;;
		esac
		case $line in 'pass  '* | 'fail  '* | 'skip  '* | '      | '*) printf '%s\n' "$line" ;; esac
	done <"$4"
	[ $bad = no ] || return 1
	settle "$1" "$rc" "$3" "$4"
}

# ---- preparing the machine -----------------------------------------------------------------------

install_packages() {
	local p missing=
	for p in $packages; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq >/dev/null || true
	# All at once is fast; one by one still installs what exists on this release.
	apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && return 0
	for p in $missing; do
		apt-get install -y -qq --no-install-recommends "$p" >/dev/null 2>&1 ||
			echo "cannot install $p: what needs it is skipped"
	done
}

prepare() {
	[ "$install" = no ] || install_packages
	stage=$(mktemp -d /tmp/sbx-tests.XXXXXX) && chmod 755 "$stage" || exit 2
	mkdir "$stage/cases" && chmod 1777 "$stage/cases"
	id -u "$user" >/dev/null 2>&1 || useradd -m -s /bin/bash "$user" || exit 2
	if [ -c /dev/fuse ] && [ "$(stat -c %a /dev/fuse)" != 666 ]; then
		fuse_mode=$(stat -c %a /dev/fuse)
		chmod 666 /dev/fuse
	fi
	# The checkout may be readable by root alone: tests read a copy.
	mkdir "$stage/src"
	(cd "$src" && tar -c --exclude=./build* --exclude=./.git --exclude=__pycache__ .) |
		tar -x -C "$stage/src"
	chmod -R a+rX "$stage/src"
}

finish() {
	[ -z "$behind_pid" ] || kill "$behind_pid" 2>/dev/null
	kill_leftovers
	[ -z "$fuse_mode" ] || chmod "$fuse_mode" /dev/fuse
	if [ "$keep" = yes ]; then
		echo "kept: $stage" >&2
	elif [ -n "$stage" ]; then
		rm -rf --one-file-system "$stage"
	fi
}

# ---- builds --------------------------------------------------------------------------------------

build_with() { # gcc|clang DIR
	local cc=gcc opts=
	[ "$1" = gcc ] || cc=clang opts='-Dfuzz=true -Dgate_check=true -Db_sanitize=address,undefined -Db_lundef=false'
	command -v $cc >/dev/null || { result skip "build/$1" "" "no $cc"; return 1; }
	simple_test "build/$1" 1500 env CC=$cc sh -ec "
		[ -f '$2/build.ninja' ] || { rm -rf '$2'; meson setup '$2' '$src' -Dwerror=true $opts; }
		ninja -C '$2'
		! ninja -C '$2' -n | grep -q 'Compiling'"
}

# Only what runs is copied, in the layout in which the programs find each other.
stage_build() { # FROM TO
	local d
	for d in shell fs tests/escape tests/horror tests/crash tests/diff tests/posix; do
		[ -d "$1/$d" ] || continue
		mkdir -p "$2/$d"
		find "$1/$d" -maxdepth 1 -type f -perm -100 -exec cp {} "$2/$d/" \;
		find "$1/$d" -maxdepth 1 -type f \( -name '*.1' -o -name '*.8' -o -name '*.bash' -o -name '*.zsh' \
			-o -name '*.fish' -o -name '_*' \) -exec cp {} "$2/$d/" \;
	done
	chmod -R a+rX "$2"
}

# ---- unit tests, lints, fuzz targets -------------------------------------------------------------

meson_tests() { # DIR: lines "name<TAB>command.."
	meson introspect --tests "$1" 2>/dev/null | /usr/bin/python3 -c '
import json, sys
for t in json.load(sys.stdin):
    print(t["name"] + "\t" + "\t".join(t["cmd"]))'
}

# As many at a time as there are processors; reported in order.
run_units() { # BUILD PREFIX
	local name cmd argv dir=$stage/units n=0 i
	rm -rf "$dir"
	mkdir -p "$dir"
	while IFS=$'\t' read -r name cmd; do
		matches "$2/$name" || continue
		IFS=$'\t' read -r -a argv <<<"$cmd"
		n=$((n + 1))
		echo "$name" >"$dir/$n.name"
		while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
		run_unit "$dir/$n" "${argv[@]}" &
	done < <(meson_tests "$1")
	wait
	for i in $(seq $n); do
		settle "$2/$(cat "$dir/$i.name")" "$(cat "$dir/$i.rc")" "$(cat "$dir/$i.start")" "$dir/$i.out" \
			"$(cat "$dir/$i.end")"
	done
}

run_unit() { # PLACE CMD..
	local place=$1
	shift
	mkdir "$place"
	echo "$EPOCHREALTIME" >"$place.start"
	SBX_SRC=$stage/src UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		timeout -k 5 300 env -C "$place" "$@" </dev/null >"$place.out" 2>&1
	echo $? >"$place.rc"
	echo "$EPOCHREALTIME" >"$place.end"
	rm -rf "$place"
}

run_lints() {
	local f
	for f in "$src"/tests/lint/*.sh; do
		matches "lint/$(basename "$f" .sh)" &&
			simple_test "lint/$(basename "$f" .sh)" 300 env SBX_BUILD="$build" bash "$f" "$src"
	done
}

# A few seconds of search each, beginning from the corpus that is kept in the tree.
run_fuzz() { # BUILD
	local f name seeds
	for f in "$1"/tests/fuzz_*; do
		[ -x "$f" ] && [ -f "$f" ] || continue
		name=$(basename "$f")
		matches "fuzz/${name#fuzz_}" || continue
		mkdir -p "$stage/corpus/$name"
		seeds=$src/tests/fuzz/corpus/${name#fuzz_}
		[ -d "$seeds" ] || seeds=
		simple_test "fuzz/${name#fuzz_}" 120 env -C "$stage/corpus" \
			UBSAN_OPTIONS=halt_on_error=1 "$f" -max_total_time=4 -timeout=10 -rss_limit_mb=2048 \
			"$stage/corpus/$name" $seeds
	done
}

# ---- cases ---------------------------------------------------------------------------------------

header() { # FILE KEY
	sed -n "1,15s/^# $2: *//p" "$1" | head -n 1
}

find_cases() {
	(cd "$src/tests/cases" && find . -name '*.sh' -o -name '*.py' | sed 's|^\./||' | sort)
}

list_all() {
	local c as f
	{
		for f in "$src"/tests/unit/test_*.c; do f=$(basename "$f" .c); echo "unit/${f#test_}"; done
		for f in "$src"/tests/lint/*.sh; do echo "lint/$(basename "$f" .sh)"; done
		for f in "$src"/tests/fuzz/fuzz_*.c; do
			[ -e "$f" ] && f=$(basename "$f" .c) && echo "fuzz/${f#fuzz_}"
		done
		find_cases | while read -r c; do
			for as in $(header "$src/tests/cases/$c" run); do echo "${c%.*} [$as]"; done
		done
	} | grep -E -- "$pattern"
}

# One word of "# needs:". Prints why not.
have_need() { # WORD AS
	case $1 in
	fuse) [ -c /dev/fuse ] || { echo "no /dev/fuse"; return 1; } ;;
	userns) as_user "$2" unshare -Ur true 2>/dev/null || { echo "no user namespaces"; return 1; } ;;
	cgroup) [ "$2" != degraded ] && [ -n "$(cgroup_root)" ] || { echo "no writable cgroups"; return 1; } ;;
	loop) losetup -f >/dev/null 2>&1 || { echo "no loop devices"; return 1; } ;;
	py:*) /usr/bin/python3 -c "import ${1#py:}" 2>/dev/null || { echo "no python module ${1#py:}"; return 1; } ;;
	*) command -v "$1" >/dev/null || { echo "no $1"; return 1; } ;;
	esac
}

# Is there a memory controller that root can use: v2 or hybrid v1?
cgroup_root() {
	local d
	for d in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		[ -d "$d" ] || continue
		if [ "$d" = /sys/fs/cgroup ]; then
			grep -qw memory "$d/cgroup.controllers" 2>/dev/null || continue
		fi
		mkdir "$d/sbxprobe.$$" 2>/dev/null && rmdir "$d/sbxprobe.$$" && { echo "$d"; return; }
	done
}

# Can memory and CPU limits be enforced for runs of this user?
limits_of() { # root|user|degraded
	[ "$1" = root ] && [ -n "$(cgroup_root)" ] && echo yes || echo no
}

as_user() { # root|user|degraded CMD..
	local as=$1
	shift
	case $as in
	user) setpriv --reuid "$user" --regid "$user" --clear-groups "$@" ;;
	# Root of a host without control groups: they are taken out of this command's view of the files.
	degraded)
		unshare --mount --propagation private sh -c 'while umount -l /sys/fs/cgroup 2>/dev/null; do :; done; exec "$@"' sh "$@"
		;;
	*) "$@" ;;
	esac
}

run_case() { # FILE AS BUILD PREFIX
	local file=$stage/src/tests/cases/$1 as=$2 id="$4${1%.*} [$2]" start=$EPOCHREALTIME
	local out=$stage/out work limit rc why word shell=bash mode=$2 cgroup
	cgroup=$(cgroup_root)
	for word in $(header "$file" needs); do
		why=$(have_need "$word" "$as") || { result skip "$id" "" "$why"; return; }
	done
	limit=$(header "$file" timeout)
	work=$(mktemp -d "$stage/cases/XXXXXX") || exit 2
	mkdir "$work/cwd" "$work/tmp"
	case $as in
	user) chown -R "$user:" "$work" ;;
	degraded) mode=root cgroup= ;;
	esac
	chmod 755 "$work" "$work/cwd"
	case $file in *.py) shell=/usr/bin/python3 ;; esac
	cgroups_now >"$stage/cgroups"
	as_user "$as" env -i -C "$work/cwd" \
		PATH="$3/shell:$PATH" HOME="$work/cwd" TMPDIR="$work/tmp" LC_ALL=C.UTF-8 TERM=xterm-256color \
		SBX_BUILD="$3" SBX_SRC="$stage/src" MODE="$mode" CASE="$id" SBX_CGROUP="$cgroup" \
		SBX_LIMITS="$(limits_of "$as")" SBX_CACHE="${cache:-}" \
		PYTHONPATH="$stage/src/tests/lib" PYTHONDONTWRITEBYTECODE=1 \
		ASAN_OPTIONS=detect_leaks=0:log_path="$work/report" \
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:log_path="$work/report" \
		${SEED:+SEED="$SEED"} ${COUNT:+COUNT="$COUNT"} \
		setsid --wait timeout -k 5 $((${limit:-60} * patience)) "$shell" "$file" </dev/null >"$out" 2>&1
	rc=$?
	# The daemon has no stderr of ours.
	if cat "$work"/report.* >>"$out" 2>/dev/null; then
		[ "$rc" != 0 ] || rc=1
	fi
	if why=$(leftovers "$work") && [ -n "$why" ]; then
		printf 'left behind:\n%s\n' "$why" >>"$out"
		[ "$rc" != 0 ] && [ "$rc" != 77 ] || rc=1
		kill_leftovers
	fi
	if [ "$(header "$file" lines)" = yes ]; then
		settle_lines "$id" "$rc" "$start" "$out"
	else
		settle "$id" "$rc" "$start" "$out"
	fi || [ "$keep" = no ] || echo "      kept in $work"
	[ "$keep" = yes ] || rm -rf --one-file-system "$work"
}

run_cases() {
	local c as
	while read -r c; do
		[ "$quick" = no ] || [ "$(header "$src/tests/cases/$c" slow)" != yes ] || continue
		for as in $(header "$src/tests/cases/$c" run); do
			matches "${c%.*} [$as]" && run_case "$c" "$as" "$stage/build" ""
		done
	done < <(find_cases)
}

run_sanitized_cases() {
	local c
	while read -r c; do
		[ "$(header "$src/tests/cases/$c" sanitize)" = yes ] && matches "sanitized/${c%.*} [root]" &&
			run_case "$c" root "$stage/build-clang" sanitized/
	done < <(find_cases)
}

# ---- what was left behind ------------------------------------------------------------------------

# Processes whose program is ours: sbxfsd, sbx-shell and pid 1 inside (a fork of it).
our_pids() {
	find /proc/[0-9]*/exe -maxdepth 0 -lname "*$(basename "$stage")/build*" 2>/dev/null | cut -d / -f 3
}

cgroups_now() {
	find /sys/fs/cgroup -type d -name 'sbx-*' 2>/dev/null | sort
}

# New cgroups with nobody in them (others may be running sandboxes at the same time).
stray_cgroups() {
	local d
	cgroups_now | comm -13 "$stage/cgroups" - | while read -r d; do
		[ -s "$d/cgroup.procs" ] && [ -n "$(cat "$d/cgroup.procs" 2>/dev/null)" ] && continue
		[ -d "$d" ] && [ -z "$(cat "$d"/cgroup.procs "$d"/*/cgroup.procs 2>/dev/null)" ] && echo "$d"
	done
}

leftovers_once() {
	local p
	for p in $(our_pids); do
		echo "process $p: $(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | cut -c 1-120)"
	done
	grep -F "$(basename "$stage")" /proc/self/mountinfo | awk '{ print "mount " $5 " (" $0 ")" }'
	stray_cgroups | sed 's/^/cgroup /'
}

# The daemon commits and ends after its last user left.  That takes a moment, and longer where freed
# space is discarded at once and the disk is busy.
leftovers() {
	local i found
	for i in $(seq 200); do
		found=$(leftovers_once)
		[ -n "$found" ] || return 0
		sleep 0.1
	done
	echo "$found"
}

kill_leftovers() {
	local p m
	[ -n "$stage" ] || return
	for p in $(our_pids); do kill -9 "$p" 2>/dev/null; done
	sleep 0.1
	awk -v s="$(basename "$stage")" 'index($5, s) { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r m; do umount -l "$m" 2>/dev/null; done
	[ ! -f "$stage/cgroups" ] || stray_cgroups | sort -r | while read -r m; do rmdir "$m" 2>/dev/null; done
}
