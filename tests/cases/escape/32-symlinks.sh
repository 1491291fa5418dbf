# Attack 32: links made inside lead nowhere outside, neither for the code nor for what the host side does with them.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
mkdir host && echo secret >host/name && echo secret >host/.profile
export HOST_FILE=$PWD/host/name
attack symlinks --env HOST_FILE
# What the supervisor opens in the workspace by itself: the kept home and the working directory.
for target in "$PWD/host" /usr ../datasets /proc/self/root; do
	inside ws 'rm -rf .home && ln -s "$1" .home' "$target" || fail "planting $target"
	sbx-shell $degraded --home persist ws -- sh -c 'ls -A $HOME' >out 2>err </dev/null
	expect_eq $? 125 "exit code with .home -> $target ($(cat out))"
	expect_match "$(tail -n 1 err)" "'.home' in the workspace, which must be a directory" "the sentence"
done
inside ws 'rm .home && ln -s "$1" there' "$PWD/host"
sbx-shell $degraded --cwd /workspace/there ws -- ls >out 2>err </dev/null
expect_eq "$?$(cat out)" 125 "--cwd through a link to the host"
# Control: a directory is taken.
sbx-shell $degraded --quiet --home persist ws -- sh -c 'echo kept >$HOME/k' </dev/null || fail "a kept home"
expect_eq "$(inside ws 'cat /workspace/.home/k')" kept "what is in it"
