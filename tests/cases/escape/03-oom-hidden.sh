# Attack 3: the parent outlives a child that the memory limit ended, and exits 0: the record still says it.
# run: root
# needs: fuse userns cgroup
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
run_result r.json --quiet $show --memory 64M --time 30s ws -- \
	sh -c "$there/memory-bomb heap 512; exit 0" >out 2>err
grep -q 'no limit met' out && fail "512 MiB under --memory 64M"
[ "$(field r.json oom_kills)" -ge 1 ] || fail "the record hides it: $(cat r.json)"
expect_match "$(field r.json verdict)" '^(ok|oom)$' verdict
# A program that catches it and goes on is its own affair: verdict ok, and no kill is counted.
run_result r.json --quiet --memory 256M ws -- python3 -c '
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 27, 1 << 27))
try:
    x = bytearray(1 << 30)
except MemoryError:
    print("caught")' >out 2>err
expect_file out caught
expect_field r.json verdict ok
expect_field r.json oom_kills 0
