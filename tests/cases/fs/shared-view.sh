# Two sessions at once see each other's changes as two processes on one disk would.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'cd /workspace
	echo 1 >ready
	i=0; while [ ! -e answer ]; do i=$((i+1)); [ $i -lt 400 ] || exit 9; sleep 0.02; done
	cat answer; mv answer done; head -c 100000 /dev/zero | tr "\0" z >bulk; sync bulk; echo 2 >ready
	i=0; while [ -e bulk ]; do i=$((i+1)); [ $i -lt 400 ] || exit 9; sleep 0.02; done; echo removed' >first.out 2>first.err &
first=$!
inside ws 'cd /workspace
	i=0; while [ ! -e ready ]; do i=$((i+1)); [ $i -lt 400 ] || exit 9; sleep 0.02; done
	echo hello >answer.tmp; mv answer.tmp answer
	i=0; while [ "$(cat ready)" != 2 ]; do i=$((i+1)); [ $i -lt 400 ] || exit 9; sleep 0.02; done
	tr -d z <bulk | wc -c; wc -c <bulk; cat done; rm bulk' >second.out 2>second.err || fail "second: $(cat second.err)"
wait $first || fail "first: $(cat first.err)"
expect_eq "$(cat first.out)" $'hello\nremoved' "what the first saw"
expect_eq "$(cat second.out)" $'0\n100000\nhello' "what the second saw"
# A lock held in one is met in the other.
inside ws 'cd /workspace; flock lock sh -c "echo held >state; sleep 2; echo free >state"' &
first=$!
inside ws 'cd /workspace; i=0; while [ ! -e state ]; do i=$((i+1)); [ $i -lt 400 ] || exit 9; sleep 0.02; done
	flock -n lock true && exit 8; flock lock cat state' >third.out || fail "the lock is not shared: $?"
wait $first
expect_file third.out free
