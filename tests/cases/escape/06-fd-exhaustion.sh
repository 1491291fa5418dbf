# Attack 6: descriptors end at --nofile for each process; many processes do not bring the daemon down.
# run: root user degraded
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
expect_code 0 sbx-shell $degraded --quiet $show --nofile 256 ws -- $there/fd-exhaustion 40
grep -Eq '^EMFILE after 25[0-9]$' cmd.out || fail "at --nofile 256: $(cat cmd.out)"
# Control: the limit is what counts.
expect_code 0 sbx-shell $degraded --quiet $show --nofile 64 ws -- $there/fd-exhaustion 2
grep -Eq '^EMFILE after 6[0-9]$' cmd.out || fail "at --nofile 64: $(cat cmd.out)"
