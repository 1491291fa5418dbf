# What is read of a pinned dataset is what was pinned, or EIO: directories, parts, single files, archives.
# run: root user
# needs: fuse userns fusermount3
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

digest() { # ARGS of pin_digest.py
	/usr/bin/python3 "$SBX_SRC/tests/lib/pin_digest.py" "$@"
}

pinned() { # NAME: the digest in the list
	sbxctl dataset list ws --json | /usr/bin/python3 -c '
import json, sys
print([d["pin"]["digest"] for d in json.load(sys.stdin) if d["name"] == sys.argv[1]][0])' "$1"
}

log_says() { # WORDS
	sbxctl status ws --json | grep -qF -- "$1" || fail "the log does not say '$1': $(sbxctl status ws | grep -A9 ' log ')"
}

flip() { # FILE OFFSET: another byte there, with the times as before
	touch -r "$1" stamp
	/usr/bin/python3 -c '
import sys
f = open(sys.argv[1], "r+b")
f.seek(int(sys.argv[2]))
b = f.read(1)
f.seek(int(sys.argv[2]))
f.write(bytes([b[0] ^ 1]))' "$1" "$2"
	touch -r stamp "$1"
}

remount() { # what the kernel remembers is gone
	sbxctl umount m >/dev/null 2>&1
	expect_code 0 sbxctl mount ws m
}

fails_with_eio() { # WHAT CMD..
	! LC_ALL=C "${@:2}" >out 2>err || fail "$1 worked: $(head -c 200 out)"
	grep -q 'Input/output error' err || fail "$1: $(cat err)"
}

new_ws ws
mkdir m
mkdir -p data/deep/er data/none
/usr/bin/python3 - <<'PY'
import os, random
r = random.Random(1)
for name, size in (("empty", 0), ("one", 1), ("leaf", 131072), ("leaf+1", 131073), ("deep/big", 5 << 20),
                   ("deep/er/small.csv", 1000), ("top.csv", 300000)):
    open("data/" + name, "wb").write(r.randbytes(size))
for i in range(300):
    open(f"data/deep/f{i}", "w").write(f"{i}\n" * i)
open(b"data/na\xc3\xafve \xff", "w").write("x")
os.symlink("../top.csv", "data/deep/link")
os.mkfifo("data/fifo")
PY
truncate -s 40M data/sparse
chmod -R a+rX,go-w data
chmod 755 data/one
tar -C data --exclude=./fifo --exclude=./sparse -czf pack.tgz .
mkdir packed && tar -C packed -xzf pack.tgz
cp -a data part.want && rm -rf part.want/deep/f* part.want/top.csv part.want/sparse part.want/one part.want/deep/link

# The digest, by another implementation, of every kind.
expect_code 0 sbxctl dataset add ws all data --pin
expect_code 0 sbxctl dataset add ws part data --pin --exclude 'f[0-9]*' --exclude top.csv --exclude /sparse --exclude one --exclude link
expect_code 0 sbxctl dataset add ws file data/top.csv --pin
expect_code 0 sbxctl dataset add ws pack pack.tgz --pin
expect_eq "$(pinned all)" "$(digest data)" "the digest of a directory"
expect_eq "$(pinned part)" "$(digest part.want)" "the digest of a part"
expect_eq "$(pinned file)" "$(digest --file data/top.csv)" "the digest of a file"
expect_eq "$(pinned pack)" "$(digest --archive packed)" "the digest of an archive"
[ "$(stat -c %a ws/pins ws/pins/all.pin | tr '\n' ' ')" = '700 600 ' ] || fail "modes of pins"
expect_code 0 sbxctl dataset verify ws
grep -q 'all: .* as pinned' cmd.out || fail "verify: $(cat cmd.out)"
[ ! -s cmd.err ] || fail "verify wrote to stderr without a terminal: $(cat cmd.err)"
expect_code 0 sbxctl dataset add ws plain data/one
expect_refusal 8 "not pinned --pin" sbxctl dataset verify ws plain
expect_refusal 8 "no dataset" sbxctl dataset verify ws nobody
sbxctl dataset list ws --json >list.json
expect_field list.json 0.pin.damaged 0
expect_match "$(field list.json 0.pin.verified)" '^20[0-9-]+T[0-9:]+Z$' "the time of the check"

# All of it is there, through every way of reading.
remount
diff -r data/deep m/datasets/all/deep || fail "the content of a directory"
cmp data/sparse m/datasets/all/sparse || fail "holes"
diff -r packed/deep m/datasets/pack/deep || fail "the content of an archive"
cmp data/top.csv m/datasets/file/top.csv || fail "the content of a file"
diff <(cd part.want && find . | sort) <(cd m/datasets/part && find . | sort) || fail "the names of a part"
diff <(cd data && find . | sort) <(cd m/datasets/all && find . | sort) || fail "the names of a directory"

# A byte: its block fails, by read and by mmap, all else does not; nothing else of the log.
flip data/deep/big 1000000
remount
cat >blocks.py <<'PY'
import mmap, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
want = open(sys.argv[2], "rb").read()
bad = set()
for off in list(range(0, len(want), 65536)) + [131072 - 100, 917504 - 1]:
    try:
        got = os.pread(fd, 4096, off)
    except OSError as e:
        assert e.errno == 5, e
        bad.add(off // 131072)
    else:
        assert got == want[off:off + len(got)] and got, off
assert bad == {7}, bad
if os.fork() == 0:
    m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    assert m[8 * 131072] == want[8 * 131072]
    print(m[1000000])
    os._exit(0)
assert os.WTERMSIG(os.wait()[1]) == signal.SIGBUS
PY
/usr/bin/python3 blocks.py m/datasets/all/deep/big data/deep/big || fail "blocks of a damaged file"
log_says "'deep/big' does not hold what was pinned"
# Inside a sandbox it is the same.
! inside ws 'cat /datasets/all/deep/big >/dev/null' 2>err || fail "read inside"
grep -q 'Input/output' err || fail "inside: $(cat err)"
expect_code 1 sbxctl dataset verify ws all
grep -q '^content: all/deep/big: 1 of 40 blocks .* byte 917504 on$' cmd.out || fail "verify: $(cat cmd.out)"
sbxctl dataset list ws --json >list.json
expect_field list.json 0.pin.damaged 1
flip data/deep/big 1000000
expect_code 0 sbxctl dataset verify ws all

# What was read once stays as it was read.
remount
cat m/datasets/all/deep/f200 >first
flip data/deep/f200 3
cmp first m/datasets/all/deep/f200 || fail "what was read before"
flip data/deep/f200 3

# Names, types, sizes, modes, targets.
cp -a data save
truncate -s 1000 data/leaf
echo more >>data/one
mv data/deep/f1 data/deep/f1-renamed
chmod 600 data/deep/f2
rm data/deep/f3 && mkdir data/deep/f3
ln -sf ../one data/deep/link
echo new >data/new
rm -r data/deep/er
cp data/deep/f5 tmp && mv tmp data/deep/f5 # replaced by its like
chmod 750 data/none
remount
for f in leaf one deep/f1 deep/f2 deep/f3 deep/link deep/er none; do
	fails_with_eio "ls $f" ls -ld "m/datasets/all/$f"
done
! ls m/datasets/all/new 2>err || fail "a new file is shown"
grep -q 'No such file' err || fail "a new file: $(cat err)"
diff <(cd save && find . ! -path "./deep/er/*" | sort) <(cd m/datasets/all && find . 2>/dev/null | sort) || fail "the names that are listed"
expect_eq "$(cat m/datasets/all/deep/f5)" "$(cat save/deep/f5)" "a file replaced by its like"
log_says "'leaf' has 1000 bytes, 131072 were pinned"
log_says "'deep/f2' has mode 0600, 0644 was pinned"
log_says "'deep/f1' is gone"
expect_code 1 sbxctl dataset verify ws all --json
/usr/bin/python3 - <<'PY' || fail "verify: $(cat cmd.out)"
import json
d = json.load(open("cmd.out"))[0]
got = sorted((f["kind"], f["path"]) for f in d["findings"])
want = sorted([("size", "leaf"), ("size", "one"), ("missing", "deep/f1"), ("added", "deep/f1-renamed"), ("mode", "deep/f2"),
               ("type", "deep/f3"), ("target", "deep/link"), ("added", "new"), ("missing", "deep/er"), ("mode", "none")])
assert got == want, got
assert d["found"] == len(want) and d["ok"] is False and d["recorded"] is True
PY
# The part shows less, and only what it shows counts.
expect_code 1 sbxctl dataset verify ws part
! grep -q 'deep/f\|/one:' cmd.out || fail "left out, but told: $(cat cmd.out)"
sbxctl umount m >/dev/null

# A change that is meant: pinned anew, with the mount standing; nothing of before is shown.
rm -rf data && cp -a save data
remount
cmp data/top.csv m/datasets/all/top.csv || fail "restored"
flip data/top.csv 100
echo news >data/deep/f7
expect_code 0 sbxctl dataset remove ws all
[ ! -e ws/pins/all.pin ] || fail "the pin of a removed dataset"
expect_code 0 sbxctl dataset add ws all data --pin
expect_eq "$(pinned all)" "$(digest data)" "the digest of the new content"
cmp data/top.csv m/datasets/all/top.csv || fail "content pinned anew"
expect_file m/datasets/all/deep/f7 news

# Archives: another one, a flipped byte of a plain one.
tar -C packed -cf plain.tar .
expect_code 0 sbxctl dataset add ws plain2 plain.tar --pin
remount
cmp m/datasets/plain2/deep/big packed/deep/big || fail "a member in its place"
flip plain.tar "$(/usr/bin/python3 -c 'print(open("plain.tar", "rb").read().index(b"299\n" * 9))')"
remount
fails_with_eio "a damaged member" cat m/datasets/plain2/deep/f*
expect_code 1 sbxctl dataset verify ws plain2
echo more >packed/more && tar -C packed -czf pack.tgz .
remount
fails_with_eio "another archive" ls m/datasets/pack
log_says "the archive is another one"
expect_code 1 sbxctl dataset verify ws pack
grep -q '^added: pack/more:' cmd.out || fail "verify of another archive: $(cat cmd.out)"
truncate -s 100 pack.tgz
expect_code 1 sbxctl dataset verify ws pack
rm pack.tgz
expect_code 1 sbxctl dataset verify ws pack
sbxctl umount m >/dev/null

# The pin itself: damaged, exchanged, gone.
settled ws
cp ws/pins/all.pin keep
for change in 'flip ws/pins/all.pin 60' 'flip ws/pins/all.pin 5000' 'truncate -s 5000 ws/pins/all.pin' \
	'cp ws/pins/part.pin ws/pins/all.pin' 'rm ws/pins/all.pin'; do
	settled ws
	cp keep ws/pins/all.pin
	$change
	remount
	fails_with_eio "a dataset after: $change" cat m/datasets/all/top.csv
	log_says "pin"
	cmp m/datasets/plain/one save/one || fail "another dataset after: $change"
	sbxctl umount m >/dev/null
done
settled ws
cp keep ws/pins/all.pin
settled ws
expect_code 0 sbxctl dataset verify ws all
