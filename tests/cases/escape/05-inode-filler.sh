# Attack 5: files, long names and deep directories end at the quota of files; the daemon stays small.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws --files 500
for kind in "files 100000" "dirs 100000"; do
	expect_code 0 sbx-shell $degraded --quiet $show ws -- $there/disk-filler $kind
	grep -Eq '^met (ENOSPC|EDQUOT|ENAMETOOLONG) after' cmd.out || fail "$kind: $(cat cmd.out)"
	n=$(sed 's/.*after //' cmd.out)
	expect_between "$n" 300 500 "$kind under --files 500"
	inside ws 'cd /workspace && rm -rf ./*' >out 2>err || fail "cleaning: $(cat err)"
done
# Control: after the cleaning a file can be made.
inside ws 'echo yes >/workspace/again; cat /workspace/again' >out || fail "no room after the cleaning"
expect_file out yes
