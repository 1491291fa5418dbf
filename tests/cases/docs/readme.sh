# The README's examples work as printed: its blocks marked "sh run", one after the other.
# run: root user
# needs: fuse userns fusermount3 py:sklearn
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

# Where the README says they are. Where no limit can be enforced the words for that are added.
mkdir -p build/shell
for program in sbx-shell sbxctl; do
	more=
	[ $program = sbxctl ] || more=$degraded
	printf '#!/bin/sh\nexec "%s/shell/%s" %s "$@"\n' "$SBX_BUILD" $program "$more" >build/shell/$program
	chmod 755 build/shell/$program
done
awk '/^```sh run$/ { on = 1; print "set -e"; next } /^```/ { on = 0 } on' "$SBX_SRC/README.md" >examples.sh
[ "$(grep -c sbx examples.sh)" -ge 5 ] || fail "too few examples: $(cat examples.sh)"
bash -x examples.sh >out 2>err </dev/null || fail "exit $?: $(tail -n 5 err) -- $(tail -n 5 out)"
grep -q '[0-9] columns' <(sbxctl mount ws view && cat view/workspace/columns.txt; sbxctl umount view) || fail "the script's output is not there"
expect_field result.json verdict ok
