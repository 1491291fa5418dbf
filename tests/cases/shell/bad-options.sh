# Nonsense in every option: exit 125, one sentence that names the option, nothing run, nothing left.
# run: root user
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
refused() { # WORD ARGS..
	local word=$1
	shift
	expect_code 125 sbx-shell "$@"
	[ "$(wc -l <cmd.err)" -le 2 ] || fail "'$*': many lines: $(cat cmd.err)"
	grep -q -- "$word" cmd.err || fail "'$*' does not say $word: $(cat cmd.err)"
	[ ! -s cmd.out ] || fail "'$*' wrote to stdout: $(cat cmd.out)"
}
for opt in --time --grace --cpu-time --memory --cpus --pids --tmp --shm --home-size --output --fsize --nofile; do
	for value in nonsense -1 '' 1X 99999999999999999999; do
		refused "$opt" "$opt" "$value" ws -- true
	done
	refused "$opt" $opt
done
refused --memory --memory 0 ws -- true
refused --pids --pids 0 ws -- true
refused --home --home elsewhere ws -- true
refused --net --net full ws -- true
refused --profile --profile nosuch ws -- true
refused /nonexistent --ro /nonexistent ws -- true
refused relative --ro "/usr:relative" ws -- true
refused --env --env =x ws -- true
refused --cwd --cwd relative ws -- true
refused --frobnicate --frobnicate ws -- true
refused nosuch nosuch -- true
: >file
refused file file -- true
expect_code 125 sbx-shell
mkdir empty
refused empty empty -- true
expect_code 0 sbx-shell --help
[ -s cmd.out ] && [ ! -s cmd.err ] || fail "--help belongs on stdout"
[ "$(wc -L <cmd.out)" -le 80 ] || fail "--help is wider than 80 columns"
expect_code 0 sbx-shell --version
