# A virtual environment of the host through --ro, whose Python is somewhere else again; where that one is
# not shown, the error says what to show. Wheels from a local folder go into one in the workspace.
# run: user
# needs: fuse userns python3
# timeout: 90
. "$SBX_SRC/tests/lib/common.sh"

/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || skip "python3-venv is not installed"
new_ws ws
here=$PWD
# A Python that was not installed by the distribution, in a home directory.
mkdir -p base/bin && cp "$(readlink -f /usr/bin/python3)" base/bin/python3
"$here/base/bin/python3" -m venv --without-pip env || fail "making the environment"
echo 'WORD = "from the environment"' >"$(echo env/lib/python3*/site-packages)/only_here.py"
code='import only_here, sys; print(only_here.WORD, sys.prefix)'

sbx-shell $degraded --ro "$here/env" ws -- "$here/env/bin/python" -c "$code" >out 2>err
expect_eq $? 127 "exit code without the base"
expect_match "$(cat err)" "needs '$here/base/bin/python3', which is not there in the sandbox; .*--ro $here/base\." "the sentence"
expect_eq "$(sbx-shell $degraded --quiet --ro "$here/env" --ro "$here/base" ws -- "$here/env/bin/python" -c "$code")" \
	"from the environment $here/env" "with the base"
# By name, and a script that begins with the path of the interpreter.
printf '#!%s/env/bin/python\n%s\n' "$here" "$code" >env/bin/tool && chmod 755 env/bin/tool
expect_eq "$(sbx-shell $degraded --quiet --env "PATH=$here/env/bin:/usr/bin" --ro "$here/env" --ro "$here/base" ws -- tool)" \
	"from the environment $here/env" "a script by name"
sbx-shell $degraded --ro "$here/env/bin/tool:/opt/tool" ws -- /opt/tool >out 2>err
expect_eq $? 127 "exit code of a script without its interpreter"
expect_match "$(cat err)" "needs '$here/env/bin/python'.*--ro $here/env\." "the sentence for a script"

# A folder with a wheel, made by hand.
mkdir -p wheels && /usr/bin/python3 - <<'PY'
import zipfile
d = "tool-1.0.dist-info/"
with zipfile.ZipFile("wheels/tool-1.0-py3-none-any.whl", "w") as z:
    z.writestr("tool.py", "WORD = 'from a wheel'\n")
    z.writestr(d + "METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
    z.writestr(d + "WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(d + "RECORD", "tool.py,,\n" + d + "METADATA,,\n" + d + "WHEEL,,\n" + d + "RECORD,,\n")
PY
sbx-shell $degraded --quiet --ro "$here/wheels:/wheels" ws -- sh -euc '
	/usr/bin/python3 -m venv own
	own/bin/pip install -q --no-index --find-links /wheels --disable-pip-version-check tool
	own/bin/python -c "import tool; print(tool.WORD)"' >out 2>&1 || fail "$(tail -n 20 out)"
expect_eq "$(cat out)" "from a wheel" "what was installed"
