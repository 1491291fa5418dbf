# The quota under cached writes: exact to the block for every kind of writer, sums that agree, space
# that comes back, speed that comes back; what fsync promised survives, whoever is killed.
# run: root user
# needs: fuse userns
# timeout: 150
. "$SBX_SRC/tests/lib/common.sh"

script=$(cat "$SBX_SRC/tests/lib/quota_fill.py")
fill() { # WS [long]
	inside "$1" 'exec python3 -c "$1" $2' "$script" "${2-}"
}
used() { # WS
	sbxctl status "$1" --json >st.json && field st.json quota.bytes
}

# Small: the brake is on from the first byte.  Large: it goes on while programs write.
new_ws small --quota 12M
fill small long >out 2>&1 || fail "small: $(cat out)"
new_ws large --quota 160M
fill large >out 2>&1 || fail "large: $(cat out)"
new_ws strict --quota 12M
expect_code 0 sbxctl set strict quota.strict=on
fill strict >out 2>&1 || fail "strict: $(cat out)"

# A run that leaves something: the sums of status and of a recount agree.
inside small 'cd /workspace && mkdir d && for i in 1 2 3; do head -c ${i}00000 /dev/urandom >d/$i; done; ln -s d l
	head -c 100M /dev/zero >full 2>/dev/null || true; rm d/2' || fail "leave something"
settled small
before=$(used small)
settled small
sbx-shell $degraded --quiet small -- sh -c 'echo more >/workspace/full2; sync /workspace/full2 2>/dev/null; sleep 30' >/dev/null 2>&1 &
wait_for 10 test -s small/lock || fail "not served"
sleep 0.5
kill -9 "$(daemon_pid small)"
wait
settled small
after=$(used small)
settled small
expect_eq "$after" $((before + 8192)) "the sum after recovery counted anew"

# Killed while writers are being braked: all of them end, what was synced is there.
new_ws killed --quota 100M
inside killed 'head -c 1000000 /dev/urandom | tee /workspace/safe | sha256sum >/workspace/sum; sync /workspace/safe /workspace/sum' || fail "safe"
sbx-shell $degraded --quiet killed -- sh -c 'for i in 1 2 3 4 5 6 7 8; do (while :; do dd if=/dev/zero of=/workspace/$i bs=1M; done) & done; wait' >/dev/null 2>&1 &
shell=$!
through() {
	used killed >/dev/null && [ "$(field st.json quota.writes)" = through ]
}
wait_for 30 through || fail "the brake never went on: $(cat st.json)"
kill -9 "$(daemon_pid killed)"
wait_for 20 eval '! kill -0 $shell 2>/dev/null' || fail "the run did not end with its daemon"
wait
settled killed
inside killed 'cd /workspace && sha256sum <safe | cmp - sum' || fail "what was synced is gone"

# Leaving red: with room again, writes are cached again.
inside killed 'rm -f /workspace/[1-8]; for i in 1 2 3 4 5 6 7 8 9; do : >/workspace/t; sleep 0.3; done' &
cached() {
	used killed >/dev/null && [ "$(field st.json quota.writes)" = cached ]
}
wait_for 20 cached || fail "still braked: $(cat st.json)"
wait
exit 0
