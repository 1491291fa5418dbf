# sbxctl dataset: add, list, remove, and sources that cannot be.
# run: root user
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir data && echo 1,2 >data/t.csv && echo one >single.txt
expect_code 0 sbxctl dataset add ws table data
expect_code 0 sbxctl dataset add ws single single.txt
sbxctl dataset list ws --json >list.json || fail "list"
expect_field list.json 0.name table
expect_field list.json 0.source "$PWD/data"
expect_field list.json 0.kind dir
expect_field list.json 0.reachable true
expect_field list.json 1.kind file
sbxctl dataset list ws >out || fail "list"
grep -Eq '^NAME +KIND +SIZE +FILES +PIN +VERIFIED +CACHE +SOURCE +STATE$' out || fail "no heading: $(cat out)"
grep -Eq "^table +dir +- +- +- +- +- +$PWD/data +ok$" out || fail "no row: $(cat out)"

# Twice the same name, a link to somewhere else, sources that are none.
expect_refusal 1 "table" sbxctl dataset add ws table data
ln -s data link
expect_code 0 sbxctl dataset add ws linked link
sbxctl dataset list ws --json >list.json
expect_field list.json 2.source "$PWD/data"
expect_refusal 1 "nosuch" sbxctl dataset add ws x nosuch
mkfifo fifo
expect_refusal 1 "fifo" sbxctl dataset add ws x fifo
expect_refusal 1 "null" sbxctl dataset add ws x /dev/null
if [ "$MODE" = user ]; then
	expect_refusal 1 "denied" sbxctl dataset add ws x /root
fi
expect_refusal 1 "nosuch" sbxctl dataset remove ws nosuch
expect_code 0 sbxctl dataset remove ws linked
[ -f data/t.csv ] || fail "removing a dataset touched its source"

# A source that vanished: said so, and no obstacle to the others.
mv data moved
sbxctl dataset list ws | grep -Eq '^table .*not reachable' || fail "a vanished source is not told"
sbxctl status ws | grep -q 'not reachable' || fail "status does not tell of a vanished source"
expect_eq "$(inside ws 'cat /datasets/single/* 2>/dev/null || cat /datasets/single')" one "the other dataset"
mv moved data
expect_eq "$(inside ws 'cat /datasets/table/t.csv')" 1,2 "the dataset that came back"
