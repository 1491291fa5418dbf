# Attack 7: processes that left the session, ignore signals or are stopped are gone with the run.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
word=sbx-survivor-$$-$RANDOM
# Control: outside they do survive.
"$programs/daemonize" $word 3 >out
[ "$(count_processes $word)" -gt 0 ] || fail "the control did not survive outside"
pkill -9 -f "daemonize $word" || fail "the control cannot be ended"
expect_code 0 sbx-shell $degraded --quiet $show ws -- $there/daemonize $word 12
expect_file cmd.out left
expect_gone $word
# The same when time ends the run instead.
run_result r.json --quiet $show --time 1s --grace 0 ws -- sh -c "$there/daemonize $word 12; sleep 60" >out 2>err
expect_field r.json verdict timeout
expect_gone $word
