# Without a page: sbxctl kernel test, nbconvert --execute, and what a limit looks like there.
# run: root user
# needs: fuse py:ipykernel py:nbconvert py:nbclient
# timeout: 150
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
install() { sbxctl kernel install ws --name sbx $degraded "$@" >install.out 2>&1 || fail "install: $(cat install.out)"; }
install
timeout 100 sbxctl kernel test sbx --json >seen.json 2>test.err || fail "kernel test: $(cat test.err)"
expect_field seen.json ok true
for step in started computed interrupted ended restarted "shut down"; do
	field seen.json "$step" >/dev/null || fail "kernel test did not see '$step': $(cat seen.json)"
done
expect_match "$(field seen.json computed)" '1\+1 = 2' "computed"
expect_match "$(field seen.json interrupted)" 'KeyboardInterrupt' "interrupted"
expect_refusal 1 "no kernel nothing" sbxctl kernel test nothing

# A notebook that reads beside itself and writes to the workspace.
notebook() { # NAME CODE..
	/usr/bin/python3 - "$@" <<'PY'
import json, sys
cells = [{"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": s} for s in sys.argv[2:]]
json.dump({"cells": cells, "metadata": {"kernelspec": {"name": "sbx", "display_name": "x", "language": "python"}},
           "nbformat": 4, "nbformat_minor": 4}, open(sys.argv[1], "w"))
PY
}
convert() { # NAME [options]
	/usr/bin/python3 -m nbconvert --to notebook --execute "$@" >convert.out 2>&1
}
mkdir study
echo 1,2,3 >study/data.csv
notebook study/sum.ipynb 'rows = open("data.csv").read()' 'print(sum(map(int, rows.split(","))))
open("result.txt", "w").write("six")'
convert study/sum.ipynb --output done.ipynb || fail "nbconvert: $(tail -n 20 convert.out)"
expect_match "$(field study/done.ipynb cells.1.outputs.0.text)" '6' "the output"
[ "$(inside ws 'cat result.txt')" = six ] || fail "the workspace has no result.txt"
[ ! -e study/result.txt ] || fail "the code wrote beside the notebook"

install --time 8s --grace 500ms
notebook study/long.ipynb 'import time
while True:
    try:
        time.sleep(1)
    except KeyboardInterrupt:
        pass'
convert study/long.ipynb --output out.ipynb && fail "a notebook without end ended well"
grep -q 'SandboxKilled.*wall clock limit of 8 s' convert.out || fail "nbconvert does not name the limit: $(tail -n 8 convert.out)"
