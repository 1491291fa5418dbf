# matplotlib works at once; its caches are in the home directory that goes with the run, not in the workspace.
# run: user
# needs: fuse userns py:matplotlib
# timeout: 90
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'cat >plot.py <<PY
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
plt.plot([1, 4, 9], label="squares")
plt.title("a title")
plt.legend()
plt.savefig("/workspace/plot.png")
print(matplotlib.get_cachedir())
PY
python3 plot.py' >out 2>err || fail "$(tail -n 20 err)"
expect_eq "$(cat out)" /home/sbx/.cache/matplotlib "the folder of the caches"
expect_eq "$(cat err)" "" "warnings"
expect_eq "$(inside ws 'head -c 4 plot.png | tail -c 3; ls -A | wc -l')" "PNG2" "a picture, and nothing else but the script"
