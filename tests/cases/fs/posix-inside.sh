# What programs expect of a filesystem holds in /workspace, seen from inside the sandbox.
# run: root user
# needs: fuse userns
# timeout: 180
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
sbx-shell $degraded --quiet --ro "$SBX_SRC/tests/lib:/opt/lib" ws -- \
	python3 /opt/lib/posix_suite.py /workspace </dev/null || fail "see above"
sbx-shell $degraded --quiet --ro "$plain_build/tests/posix:/opt/posix" ws -- \
	sh -c 'mkdir /workspace/there && SANDBOX=1 /opt/posix/fsposix /workspace/there && rmdir /workspace/there' </dev/null ||
	fail "see above"
expect_eq "$(inside ws 'ls -A /workspace')" "" "what is left"
