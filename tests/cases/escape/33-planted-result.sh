# Attack 33: what the run puts where the host will write its result is not followed, not opened, not waited for.
# run: root user degraded
# needs: fuse userns fusermount3
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
echo precious >host-file
mkdir m
expect_code 0 sbxctl mount ws m
# Control: in the mounted workspace a result is written, and by hand the link is followed.
run_result m/workspace/good.json --quiet ws -- true
expect_field m/workspace/good.json verdict ok
inside ws 'ln -s "$1" link; mkfifo fifo; mkdir dir; ln -s . self' "$PWD/host-file" || fail planting
expect_eq "$(cat m/workspace/link)" precious "the link, by hand"
for name in link fifo dir; do
	begin=$(now_ms)
	timeout 10 sbx-shell $degraded --result m/workspace/$name ws -- true >out 2>err </dev/null
	expect_eq $? 125 "exit code with a planted $name"
	expect_match "$(tail -n 1 err)" "is not a regular file" "the sentence about a $name"
	expect_between $(($(now_ms) - begin)) 0 8000 "milliseconds"
done
# Planted by the run itself, after the look at the start: the temporary name, too.
timeout 20 sbx-shell $degraded --result m/workspace/late.json ws -- \
	sh -c 'ln -sf "$1" late.json; ln -sf "$1" late.json.new; ln -sf "$1" .late.json.new' sh "$PWD/host-file" >out 2>err </dev/null
expect_eq "$(cat host-file)" precious "the host's file"
[ -L m/workspace/late.json ] || [ ! -s m/workspace/late.json ] || expect_field m/workspace/late.json verdict ok
expect_code 0 sbxctl umount m
