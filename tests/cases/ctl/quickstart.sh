# The quickstart: works, leaves its view mounted, and works again over what it left.
# run: root user
# needs: fuse fusermount3 meson ninja py:sklearn py:pandas py:matplotlib
# timeout: 900
# slow: yes
. "$SBX_SRC/tests/lib/common.sh"

for round in 1 2; do
	sh "$SBX_SRC/packaging/quickstart.sh" "$PWD/a place" >out 2>&1 || fail "round $round: $(tail -n 30 out)"
	grep -q 'Found in ws/store: 0 files' out || fail "no word about the store"
	grep -q 'WORKED' out && fail "something forbidden worked: $(grep WORKED out)"
	[ "$(grep -c '^refused ' out)" -ge 8 ] || fail "attempts are missing: $(cat out)"
	for f in scores.csv predictions.csv models.joblib report.png; do
		[ -s "a place/view/workspace/$f" ] || fail "no $f in the view"
	done
done
head -c 8 "a place/view/workspace/report.png" | od -An -c | grep -q 'P   N   G' || fail "no picture"
# The view stands: what is suggested next works.
cd "a place" || exit 1
inside ws 'head -n 1 /workspace/scores.csv' | grep -q '^dataset,model' || fail "a run on what is left"
sbxctl umount view >/dev/null || fail "umount"

# A directory of somebody else is not touched.
mkdir ../other && echo mine >../other/file
sh "$SBX_SRC/packaging/quickstart.sh" "$PWD/../other" >../out 2>&1 && fail "went into a foreign directory"
expect_file ../other/file mine
