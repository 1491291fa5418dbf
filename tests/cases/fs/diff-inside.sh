# Random operations inside the sandbox differ in nothing from a model in memory, and on the host's own
# filesystem neither: the control, which shows that the model is right.
# run: root user
# needs: fuse userns
# timeout: 120
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

[ "${COUNT:-0}" -gt 0 ] && count=$COUNT || count=10000
mkdir here
"$plain_build/tests/diff/fsdiff" ${SEED:+--seed "$SEED"} --count "$count" "$PWD/here" || fail "the control differs"
new_ws ws
sbx-shell $degraded --quiet --ro "$plain_build/tests/diff:/opt/diff" ws -- \
	/opt/diff/fsdiff ${SEED:+--seed "$SEED"} --count "$count" /workspace </dev/null || fail "see above"
