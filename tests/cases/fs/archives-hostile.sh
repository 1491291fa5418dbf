# Archives that are broken or mean harm: each has one outcome, and none reaches anything outside.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

mkdir bad && /usr/bin/python3 "$SBX_SRC/tests/data/should-fail/archives.py" bad || fail "the archives were not made"
new_ws ws
expect_code 0 sbxctl set ws quota.cache=4M
show() { # FILE: as dataset x; the tree as seen inside, one line each
	sbxctl dataset add ws x "bad/$1" >add.out 2>&1 || fail "$1: $(cat add.out)"
	inside ws 'cd /datasets/x && find . -mindepth 1 -printf "%p %y %s %l\n" | LC_ALL=C sort' >tree || fail "$1: no tree"
	inside ws 'cat /datasets/x/good.txt 2>/dev/null' >good || :
	expect_code 0 sbxctl dataset remove ws x
	[ -z "$(ls ws/cache)" ] || fail "$1 left files in the cache: $(ls ws/cache)"
}
has() { grep -qxF -- "$1" tree || fail "$archive: no '$1' in: $(cat tree)"; }
lacks() { ! grep -q -- "$1" tree || fail "$archive: '$1' is in: $(cat tree)"; }
told() { grep -q -- "$1" add.out || fail "$archive: not told '$1': $(cat add.out)"; }

# -- taken ------------------------------------------------------------------------------------------

for archive in dotdot.tar absolute.tar devices.tar through-link.tar symlinks.tar hardlinks.tar duplicates.tar \
	no-directories.tar deep.tar long-name.tar not-utf8.tar control-characters.tar setuid.tar empty.tar \
	nothing-in-it.tar.gz; do
	show $archive
	case $archive in
	empty.tar | nothing-in-it.tar.gz) expect_eq "$(wc -l <tree)" 0 "$archive" ;;
	*) expect_eq "$(cat good)" good "good.txt of $archive" ;;
	esac
	case $archive in
	dotdot.tar) told '3 entries with names'; lacks escape; expect_eq "$(wc -l <tree)" 1 "$archive: $(cat tree)" ;;
	absolute.tar) has './etc/passwd f 9 '; has './double/slash f 2 ' ;;
	devices.tar) told '3 entries that are devices'; expect_eq "$(wc -l <tree)" 1 "$archive" ;;
	through-link.tar) has './out d 0 '; has './out/planted f 8 ' ;;
	symlinks.tar) has './up l 19 ../../../etc/passwd'; has './loop l 4 loop' ;;
	hardlinks.tar) told '3 entries that are hard links'; has './same f 5 '; lacks outside; lacks later ;;
	duplicates.tar) told '1 entries replaced'; has './f f 7 '; has './d d 0 '; has './d/x f 1 ' ;;
	no-directories.tar) has './a/b/c/d/e f 5 '; has './a/b/c d 0 ' ;;
	deep.tar | long-name.tar) told '1 entries with names'; expect_eq "$(wc -l <tree)" 1 "$archive" ;;
	not-utf8.tar) has "./$(printf 'n\377\376') f 6 " ;;
	esac
done

# What is announced larger or smaller than it is: an error for who reads it, and never other bytes.
expect_code 0 sbxctl dataset add ws lying bad/lying-size.zip
inside ws 'cat /datasets/lying/a/b.txt' >out 2>&1 && fail "a member that is not what was announced was read: $(wc -c <out)"
expect_code 0 sbxctl dataset remove ws lying

# -- refused ----------------------------------------------------------------------------------------

n=0
for file in bad/refused-*; do
	case $file in
	*bomb*) why='larger than the cache|unpacked' ;;
	*encrypted*) why='encrypted' ;;
	*) why='damaged or cut off' ;;
	esac
	sbxctl dataset add ws x "$file" >out 2>&1 && fail "$file was taken"
	grep -Eq "$why" out || fail "$file: $(cat out)"
	grep -qF "${file#bad/}" out || fail "$file is not named: $(cat out)"
	n=$((n + 1))
done
[ "$n" -ge 12 ] || fail "only $n archives were refused"
[ -z "$(ls ws/cache 2>/dev/null)" ] || fail "refused archives left files in the cache: $(ls ws/cache)"
expect_eq "$(sbxctl dataset list ws)" "No datasets." "the list"

# The same bomb fits when the cache may be larger: what was refused was its size.
expect_code 0 sbxctl set ws quota.cache=20M
for file in bomb.tar.gz bomb.zip; do
	expect_code 0 sbxctl dataset add ws "big-$file" "bad/refused-$file"
	expect_eq "$(inside ws "tail -c 1000 /datasets/big-$file/zeros | tr -d '\\0' | wc -c; wc -c </datasets/big-$file/zeros")" \
		"0
12582912" "$file"
done
# And a file of holes, unpacked.
expect_code 0 sbxctl set ws quota.cache=80M
expect_code 0 sbxctl dataset add ws sparse bad/sparse.tar
expect_eq "$(inside ws 'head -c 600 /datasets/sparse/hole | tr -d "\0" | wc -c; wc -c </datasets/sparse/hole')" "512
67108864" "a sparse member"
