# Attacks 34 to 39: no way of changing a dataset, of whatever kind, works; bytes and metadata of the source prove it.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
mkdir -p data/dir data/left-out && echo one >data/a.csv && echo two >data/dir/b.csv && echo no >data/left-out/c.txt
ln -s a.csv data/link && ln data/a.csv data/second.csv && setfattr -n user.mark -v set data/a.csv 2>/dev/null
echo one >single.csv
tar -C data -cf data.tar . && tar -C data -czf data.tgz . && mkdir packed && mv data.tar data.tgz packed
# The harshest case: as an ordinary user the payload is the source's owner, and anybody may write it.
chmod -R a+rwX data single.csv packed
expect_code 0 sbxctl dataset add ws dir data
expect_code 0 sbxctl dataset add ws part data --include '*.csv' --exclude left-out/
expect_code 0 sbxctl dataset add ws tar packed/data.tar
expect_code 0 sbxctl dataset add ws tgz packed/data.tgz
expect_code 0 sbxctl dataset add ws file single.csv

# All but the time of the last access, which reading may move: the time of change gives away the rest.
digest() {
	/usr/bin/python3 - data packed single.csv <<'PY'
import hashlib, os, stat, sys
h = hashlib.sha256()
def one(p):
    s = os.lstat(p)
    h.update(repr((p, s.st_ino, s.st_mode, s.st_uid, s.st_gid, s.st_nlink, s.st_size, s.st_blocks, s.st_mtime_ns, s.st_ctime_ns,
                   [(x, os.getxattr(p, x, follow_symlinks=False)) for x in sorted(os.listxattr(p, follow_symlinks=False))])).encode())
    if stat.S_ISREG(s.st_mode):
        h.update(open(p, "rb").read())
    elif stat.S_ISLNK(s.st_mode):
        h.update(os.readlink(p).encode())
    elif stat.S_ISDIR(s.st_mode):
        for n in sorted(os.listdir(p)):
            one(os.path.join(p, n))
for p in sys.argv[1:]:
    one(p)
print(h.hexdigest())
PY
}

# Control: outside all of it works on a copy, and the digest notices the least of it.
mkdir copy
export PLACE=$PWD/copy
"$programs/dataset-changes" control >control.out 2>&1
case $? in 0 | 77) ;; *) fail "the positive control: $(grep BAD control.out)" ;; esac
[ "$(grep -c '^ok ' control.out)" -ge 40 ] || fail "too few controls hold: $(grep -v '^ok ' control.out)"
before=$(digest)
touch -c -d @1 data/link -h && [ "$(digest)" != "$before" ] || fail "the digest does not see a time that was changed"
before=$(digest)

for kind in dir part tar tgz file; do
	one=a.csv
	[ "$kind" != file ] || one=single.csv
	sbx-shell $degraded --quiet $show --env PLACE=/datasets/$kind --env FILE=$one ws -- "$there/dataset-changes" </dev/null >$kind.out 2>&1
	code=$?
	sed "s/^/$kind  /" $kind.out
	[ $code = 0 ] || fail "$kind: exit $code: $(grep BAD $kind.out)"
	[ "$(grep -c '^ok ' $kind.out)" -ge 48 ] || fail "$kind: too few attempts"
	[ "$(digest)" = "$before" ] || fail "$kind: the source was changed"
done
