# Served by an ordinary user there is one owner: chown to it is fine, to others it is refused.
# run: user
# needs: fuse fusermount3
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir m
expect_code 0 sbxctl mount ws m
cd m/workspace || fail "no mount"
me=$(id -u):$(id -g)
echo a >f && mkdir d && ln -s f l && mkfifo p
for f in f d l p; do
	expect_eq "$(stat -c %u:%g $f)" "$me" "owner of $f"
	chown -h "$me" $f || fail "chown of $f to oneself"
	chown -h 1 $f 2>err && fail "chown of $f to another"
	grep -q 'Operation not permitted' err || fail "chown of $f: $(cat err)"
done
chmod 6755 f && expect_eq "$(stat -c %a f)" 6755 "mode with set-id"
chown "$me" f && expect_eq "$(stat -c %a f)" 755 "mode after chown"
chmod 4755 f && echo b >>f && expect_eq "$(stat -c %a f)" 755 "mode after a write"
chmod 2755 d && mkdir d/e && expect_eq "$(stat -c %a d/e)" 2755 "a directory in one with set-gid"
cd ../..
expect_code 0 sbxctl umount m
