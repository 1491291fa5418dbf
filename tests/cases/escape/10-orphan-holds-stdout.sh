# Attack 10: an orphan that holds stdout open does not hold up the caller.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
# Control: outside the reader of the pipe waits for the orphan.
timeout 1 sh -c "'$programs/stubborn' orphan | cat" >out
expect_eq $? 124 "the control: a reader that waits outside"
pkill -9 -f "$programs/stubborn orphan"
begin=$(now_ms)
out=$(sbx-shell $degraded --quiet $show ws -- $there/stubborn orphan </dev/null)
expect_eq $? 0 "exit code"
expect_eq "$out" $'begun\nended' "output"
expect_between $(($(now_ms) - begin)) 0 3000 "milliseconds until the reader was free"
expect_gone $there/stubborn
