# Standard input, output and error are the caller's: binary, large, closed early, never deadlocked.
# run: root user
# needs: fuse userns
# timeout: 90
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
head -c 10000000 /dev/urandom >data
sum=$(sha256sum <data)
expect_eq "$(sbx-shell $degraded --quiet ws -- cat <data | sha256sum)" "$sum" "10 MB through stdin and stdout"
expect_eq "$(sbx-shell $degraded --quiet ws -- sh -c 'cat >&2' <data 2>&1 >/dev/null | sha256sum)" "$sum" "10 MB through stderr"
sbx-shell $degraded --quiet ws -- sh -c 'cat >/workspace/copy' <data || fail "into a file"
expect_eq "$(sbx-shell $degraded --quiet ws -- cat /workspace/copy </dev/null | sha256sum)" "$sum" "a file read back"
expect_eq "$(cat data | sbx-shell $degraded --quiet ws -- cat | sha256sum)" "$sum" "from a pipe"
# stdin that is never read does not hold up the end; a reader that leaves ends the writer.
begin=$(now_ms)
sbx-shell $degraded --quiet ws -- true <data || fail "stdin that is not read"
yes | head -c 100000000 | sbx-shell $degraded --quiet ws -- head -c 5 >out || fail "stdin read in part"
expect_file out $'y\ny\ny'
sbx-shell $degraded --quiet ws -- yes 2>/dev/null </dev/null | head -n 1 >out
expect_file out y
expect_between $(($(now_ms) - begin)) 0 15000 "milliseconds for all three"
# stdin closed altogether.
expect_eq "$(sbx-shell $degraded --quiet ws -- sh -c 'cat; echo end' <&-)" end "stdin closed"
# NULs, no newline at the end, one line of a megabyte.
expect_eq "$(sbx-shell $degraded --quiet ws -- printf 'a\0b' </dev/null | od -An -c | tr -d ' ')" 'a\0b' "NUL"
expect_eq "$(sbx-shell $degraded --quiet ws -- sh -c 'head -c 1000000 /dev/zero | tr "\0" x' </dev/null | wc -c)" 1000000 "one long line"
# The order within a stream, and both streams apart.
sbx-shell $degraded --quiet ws -- sh -c 'for i in $(seq 2000); do echo $i; echo e$i >&2; done' >out 2>err </dev/null
seq 2000 | cmp - out || fail "order of stdout"
seq 2000 | sed 's/^/e/' | cmp - err || fail "order of stderr"
