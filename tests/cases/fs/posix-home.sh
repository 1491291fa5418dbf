# What programs expect of a filesystem holds in $HOME too, which is a tmpfs of its own.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
CONTROL=1 sbx-shell $degraded --quiet --env CONTROL --ro "$SBX_SRC/tests/lib:/opt/lib" ws -- \
	sh -c 'mkdir "$HOME/t" && python3 /opt/lib/posix_suite.py "$HOME/t"' </dev/null || fail "see above"
