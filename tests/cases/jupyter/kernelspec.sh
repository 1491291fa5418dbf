# The kernelspec is one that every front end understands; wrong requests are refused with the remedy.
# run: root user
# needs: fuse
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
new_ws other
export JUPYTER_PATH=$PWD/installed
spec() { # NAME JSON
	mkdir -p "installed/kernels/$1"
	echo "$2" >"installed/kernels/$1/kernel.json"
}
spec python3 '{"argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3 (ipykernel)",
	"language": "python", "interrupt_mode": "message", "env": {"OMP_DYNAMIC": "1"}, "metadata": {"debugger": true}}'
spec strange '{"argv": ["strange"], "display_name": "Strange", "language": "any"}'
echo picture >installed/kernels/python3/logo-64x64.png

sbxctl kernel install ws --memory 2G --ro data:/data >out || fail "install"
made=$HOME/.local/share/jupyter/kernels/sbx-python3
[ "$(grep -c '{connection_file}' $made/kernel.json)" = 1 ] || fail "not one placeholder: $(cat $made/kernel.json)"
[ "$(grep -c '@connection_file@' $made/kernel.json)" = 1 ] || fail "not one name for the kernel's own file"
program=$(field $made/kernel.json argv.0)
[ -x "$program" ] && [ "$(basename "$program")" = sbx-shell ] || fail "the command is $program"
expect_field $made/kernel.json display_name "Python 3 (sandboxed)"
expect_field $made/kernel.json interrupt_mode message
expect_field $made/kernel.json env.OMP_DYNAMIC 1
expect_field $made/kernel.json metadata.debugger true
expect_field $made/kernel.json metadata.sbx.workspace "$PWD/ws"
expect_file $made/logo-64x64.png picture
field $made/kernel.json argv | grep -q -- '"--memory", "2G"' || fail "the limit: $(field $made/kernel.json argv)"
field $made/kernel.json argv | grep -q -- "\"--ro\", \"$PWD/data:/data\"" || fail "a relative path: $(field $made/kernel.json argv)"
field $made/kernel.json argv | grep -q -- '"--env", "OMP_DYNAMIC"' || fail "the spec's variables: $(field $made/kernel.json argv)"
sbxctl kernel list | grep -q "sbx-python3.*$PWD/ws" || fail "list: $(sbxctl kernel list)"

# Again for the same workspace is a change of limits; for another one it would be a surprise.
sbxctl kernel install ws --idle 1h >out || fail "install again"
expect_refusal 1 "sbx-python3 $PWD/ws --name" sbxctl kernel install other
expect_refusal 1 "not --memory size" sbxctl kernel install ws --memory 2X
expect_refusal 1 "no kernel nothing installed python3" sbxctl kernel install ws --from nothing
expect_refusal 1 "connection file" sbxctl kernel install ws --from strange
expect_refusal 1 "already" sbxctl kernel install ws --from sbx-python3 --name twice
expect_refusal 1 "not of sbxctl --name" env JUPYTER_DATA_DIR="$PWD/installed" sbxctl kernel install ws --name python3
expect_refusal 1 "python3 jupyter kernelspec remove" sbxctl kernel remove python3
sbxctl kernel install other --name second --prefix "$PWD/prefix" >out || fail "install with a prefix"
[ -f prefix/share/jupyter/kernels/second/kernel.json ] || fail "nothing below the prefix"
sbxctl kernel remove sbx-python3 >out || fail "remove"
[ ! -e $made ] || fail "left: $(ls $made)"
