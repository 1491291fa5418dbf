# Every example of the man pages works as printed, one after the other, in an empty directory.
# run: root user
# needs: fuse userns mandoc
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

# What the examples speak of.
mkdir words view
echo word >words/list
tar czf tables.tar.gz words
/usr/bin/python3 -m venv --without-pip env || skip "no venv module"
for page in sbxctl sbx-shell; do
	sed -n 's/^\.Dl \$ //p' "$SBX_BUILD/shell/$page.1" >examples
	[ "$(wc -l <examples)" -ge 4 ] || fail "$page.1 has no examples"
	if [ $page = sbx-shell ]; then
		sbx-shell $degraded ws -- sh -c 'echo "print(42)" >analysis.py; cp analysis.py fit.py' </dev/null ||
			fail "writing the scripts"
	fi
	while read -r line; do
		line=${line//\/usr\/share\/dict/words}
		# Without control groups of one's own a memory limit must be accepted as degraded.
		case $line in sbx-shell*) line="sbx-shell $degraded ${line#sbx-shell}" ;; esac
		bash -c "$line" >out 2>err </dev/null
		rc=$?
		case "$line:$rc" in
		*:0) ;;
		*doctor*:1) ;; # something is missing on this host, and it said so
		*) fail "'$line' exited $rc: $(cat err)" ;;
		esac
	done <examples
done
expect_file out 42
expect_field r.json verdict ok
