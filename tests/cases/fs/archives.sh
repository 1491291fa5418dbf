# Datasets that are archives: every format shows what is in it, read in place or unpacked once.
# run: root user
# needs: fuse userns bsdtar
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

mkdir -p d/sub/deep d/empty
for i in $(seq 100); do echo "row,$i,$((i * i))" >"d/sub/f$i.csv"; done
seq 200000 >d/large.csv
head -c 100000 /dev/urandom >d/random.bin
: >d/nothing
ln -s ../large.csv d/sub/link
ln d/large.csv d/sub/hard
printf '#!/bin/sh\necho ran\n' >d/run.sh && chmod 755 d/run.sh
echo "ä" >"d/sub/deep/ümläut name.txt"
state() { (cd "$1" && find . -type f -printf '%p %s %Ts\n' -o -type l -printf '%p %l\n' -o -printf '%p\n' | LC_ALL=C sort
	find . -type f | LC_ALL=C sort | while read -r f; do cksum <"$f"; done); }
state d >want

export LC_ALL=C.UTF-8
bsdtar -C d -cf a.tar . && bsdtar -C d -czf a.tar.gz . && bsdtar -C d -cJf a.tar.xz . && bsdtar -C d -cjf a.tar.bz2 . &&
	bsdtar -C d --zstd -cf a.tar.zst . && bsdtar -C d --format zip -cf a.zip . && bsdtar -C d --format 7zip -cf a.7z . &&
	bsdtar -C d --format iso9660 -cf a.iso . && bsdtar -C d --format newc -cf a.cpio . && bsdtar -C d --format gnutar -cf a.gnu . &&
	bsdtar -C d --format ustar -cf a.ustar . || fail "the archives were not made"
formats='tar tar.gz tar.xz tar.bz2 tar.zst zip 7z iso cpio gnu ustar'

new_ws ws
for f in $formats; do
	cp "a.$f" "noname" # by content, never by name
	expect_code 0 sbxctl dataset add ws "$f" "a.$f"
	expect_code 0 sbxctl dataset add ws "x$f" noname
	expect_code 0 sbxctl dataset remove ws "x$f"
done
sbxctl dataset list ws --json >list.json
expect_field list.json 0.kind archive
expect_field list.json 0.unpacked.total 0
expect_field list.json 1.unpacked.done 0
[ "$(field list.json 1.files)" -ge 106 ] || fail "files: $(field list.json 1.files)"

# The same tree, names, sizes, times and bytes, in a sandbox.
for f in $formats; do
	inside ws 'cd "/datasets/$1" && find . -type f -printf "%p %s %Ts\n" -o -type l -printf "%p %l\n" -o -printf "%p\n" | LC_ALL=C sort
		find . -type f | LC_ALL=C sort | while read -r f; do cksum <"$f"; done' "$f" >got || fail "$f: not read"
	diff want got >diff.out || fail "$f differs: $(head -5 diff.out)"
	expect_eq "$(inside ws '"/datasets/$1/run.sh"' "$f")" ran "a program in $f"
done
# A tar lies where it is; the others are in the cache, for us alone.
[ -z "$(find ws/cache -name 'tar.????????????????.data' -o -name 'gnu.*.data' -o -name 'ustar.*.data')" ] || fail "a plain tar was unpacked: $(ls ws/cache)"
for f in tar.gz zip 7z iso cpio; do
	[ -n "$(find ws/cache -name "$f.????????????????.data")" ] || fail "$f is not in the cache: $(ls ws/cache)"
done
expect_eq "$(find ws/cache ! -perm 600 ! -perm 700 | wc -l)" 0 "files that others may read"
expect_eq "$(stat -c %a ws/cache)" 700 "the cache directory"
sbxctl dataset list ws --json >list.json
[ "$(field list.json 1.unpacked.done)" = "$(field list.json 1.unpacked.total)" ] || fail "unpacked: $(cat list.json)"

# The next daemon starts from the index and from what is unpacked.
settled ws
before=$(stat -c '%n %i' ws/cache/*.index)
inside ws 'cmp /datasets/tar/random.bin /datasets/tar.gz/random.bin' || fail "the second daemon reads other bytes"
expect_eq "$(stat -c '%n %i' ws/cache/*.index)" "$before" "indexes that were made again"
# What is missing, cut or not ours is made anew.
settled ws
rm ws/cache/tar.gz.*.data && : >ws/cache/zip.index && head -c 500 /dev/urandom >ws/cache/tar.index
truncate -s 10 ws/cache/7z.*.data
inside ws 'for f in tar.gz zip tar 7z; do cmp /datasets/$f/random.bin /datasets/cpio/random.bin; done' || fail "a cache that was damaged"

# An archive that changed: what it is now, whole.
settled ws
mkdir e && echo new >e/only.txt && bsdtar -C e -czf a.tar.gz . && bsdtar -C e -cf a.tar .
expect_eq "$(inside ws 'ls /datasets/tar.gz; cat /datasets/tar.gz/only.txt; ls /datasets/tar; cat /datasets/tar/only.txt')" "only.txt
new
only.txt
new" "archives that changed"
# One that vanished, and one that is none any more.
mv a.zip gone.zip && echo text >a.7z
inside ws 'ls /datasets/zip' >out 2>&1 && fail "a vanished archive is shown"
inside ws 'ls /datasets/7z' >out 2>&1 && fail "an archive that is none is shown"
sbxctl dataset list ws | grep -Eq '^zip .*not reachable' || fail "a vanished archive is not told"

# Removing takes the cache along, and nothing else.
for f in $formats; do expect_code 0 sbxctl dataset remove ws "$f"; done
[ -z "$(ls ws/cache)" ] || fail "left in the cache: $(ls ws/cache)"
[ -f a.tar.gz ] || fail "removing a dataset touched its source"

# One compressed file; documents; and what the user says.
seq 1000 >t.csv && gzip -k t.csv && xz -k t.csv && cp t.csv.gz t.dat
for f in gz xz; do
	expect_code 0 sbxctl dataset add ws "one-$f" "t.csv.$f"
	expect_eq "$(inside ws 'cd "/datasets/one-$1" && ls && cksum <t.csv' "$f")" "t.csv
$(cksum <t.csv)" "t.csv.$f"
done
expect_code 0 sbxctl dataset add ws dat t.dat
expect_eq "$(inside ws 'ls /datasets/dat')" t.dat "compressed, with a name that does not say so"
mkdir doc && echo '<x/>' >'doc/[Content_Types].xml' && bsdtar -C doc --format zip -cf book.xlsx .
expect_code 0 sbxctl dataset add ws book book.xlsx
expect_eq "$(inside ws 'ls /datasets/book')" book.xlsx "a spreadsheet"
expect_code 0 sbxctl dataset add ws inbook book.xlsx --as archive
expect_eq "$(inside ws 'ls /datasets/inbook')" "[Content_Types].xml" "a spreadsheet taken apart"
expect_code 0 sbxctl dataset add ws whole a.cpio --as file
expect_eq "$(inside ws 'ls /datasets/whole')" a.cpio "an archive as a file"
expect_refusal 1 "no archive" sbxctl dataset add ws none t.csv --as archive
expect_refusal 1 "directory" sbxctl dataset add ws none d --as archive
expect_refusal 1 "already" sbxctl dataset add ws whole t.csv.gz

# The cache is bounded: the one that was not used for longest goes.
expect_code 0 sbxctl set ws quota.cache=3M
for i in 1 2 3; do
	mkdir "c$i" && head -c 1300000 /dev/urandom >"c$i/f" && bsdtar -C "c$i" -czf "c$i.tar.gz" f
	expect_code 0 sbxctl dataset add ws "c$i" "c$i.tar.gz"
	expect_eq "$(inside ws 'cksum <"/datasets/$1/f"' "c$i")" "$(cksum <"c$i/f")" "c$i"
done
[ -z "$(find ws/cache -name 'c1.*.data')" ] || fail "nothing was evicted: $(ls -l ws/cache)"
[ "$(cat ws/cache/*.data | wc -c)" -le 3145728 ] || fail "the cache is too large: $(ls -l ws/cache)"
expect_eq "$(inside ws 'cksum </datasets/c1/f')" "$(cksum <c1/f)" "c1, unpacked again"
