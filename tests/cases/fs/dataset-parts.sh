# Of a dataset with --include or --exclude what is left out cannot be seen, opened or counted.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir -p data/train/deep data/test data/.git data/hidden-only data/many
for f in a.csv train/b.csv train/deep/c.csv train/notes.txt test/d.csv .git/e.csv hidden-only/x.bin top.txt; do
	echo "$f" >"data/$f"
done
(cd data/many && for i in $(seq 300); do echo "$i" >"$i.bin"; done && echo y >y.csv)
ln -s test/d.csv data/to-hidden.csv
ln -s train/b.csv data/to-shown.csv
ln data/top.txt data/linked.csv
chmod -R a+rX data
(cd data && find . -printf '%p %m %s %T@ %n\n' | sort) >before

expect_code 0 sbxctl dataset add ws part data --include '*.csv' --exclude test/ --exclude .git
expect_code 0 sbxctl dataset add ws less data --exclude '*.bin' --exclude 'train/deep/**'
expect_code 0 sbxctl dataset add ws all data
inside ws 'cd /datasets/part && find . | sort' >got || fail "listing"
cat >want <<'L'
.
./a.csv
./hidden-only
./linked.csv
./many
./many/y.csv
./to-hidden.csv
./to-shown.csv
./train
./train/b.csv
./train/deep
./train/deep/c.csv
L
diff want got || fail "the part that is shown"
inside ws 'cd /datasets/less && find . -type f | sort' >got || fail "listing"
printf './%s\n' .git/e.csv a.csv linked.csv many/y.csv test/d.csv top.txt train/b.csv train/notes.txt | sort >want
sort got | diff want - || fail "without what is excluded"
inside ws 'cat /datasets/part/train/deep/c.csv /datasets/part/to-shown.csv' >got || fail "reading"
expect_eq "$(cat got)" "$(printf 'train/deep/c.csv\ntrain/b.csv')" "content"
cat >probe.py <<'PY'
import os, sys
D, bad = "/datasets/part", 0
for name in ("test", "test/d.csv", ".git", ".git/e.csv", "top.txt", "train/notes.txt", "many/7.bin",
             "hidden-only/x.bin", "to-hidden.csv", "train/../top.txt", "test/../a.csv"):
    for what, fn in (("stat", os.stat), ("open", lambda p: os.open(p, os.O_RDONLY)), ("path", lambda p: os.open(p, os.O_PATH)),
                     ("xattr", os.listxattr), ("list", os.listdir), ("chdir", os.chdir)):
        try:
            fn(os.path.join(D, name))
        except FileNotFoundError:
            continue
        except OSError as e:
            print("BAD", what, name, e)
        else:
            print("BAD", what, name, "worked")
        bad = 1
for root, dirs, files in os.walk(D):
    for n in [root] + [os.path.join(root, f) for f in files]:
        st = os.lstat(n)
        if st.st_nlink != 1 or (os.path.isdir(n) and st.st_size != 0):
            print("BAD counts of", n, st.st_nlink, st.st_size)
            bad = 1
sys.exit(bad)
PY
inside ws 'cat >probe.py && python3 probe.py' <probe.py >got || fail "$(cat got)"

# On a mount, too, and when the list of datasets changes under it.
mkdir m
expect_code 0 sbxctl mount ws m
expect_eq "$(find m/datasets/part -name '*.csv' -type f | wc -l)" 5 "on a mount"
! cat m/datasets/part/top.txt 2>err || fail "a hidden file was read"
expect_match "$(cat err)" "No such file" "the error"
expect_eq "$(cat m/datasets/all/top.txt)" top.txt "the whole dataset"
expect_code 0 sbxctl dataset remove ws all
expect_code 0 sbxctl dataset add ws all data --include 'train/'
! cat m/datasets/all/top.txt 2>err || fail "a file that is hidden now was read"
expect_eq "$(cat m/datasets/all/train/notes.txt)" train/notes.txt "a directory, whole"
expect_code 0 sbxctl umount m

# What cannot be a pattern, and where none can be.
expect_refusal 1 "must not have '.' or '..'" sbxctl dataset add ws bad data --include '../x'
expect_refusal 2 "must not be empty" sbxctl dataset add ws bad data --exclude ''
expect_refusal 1 'only of a directory' sbxctl dataset add ws bad data/a.csv --include '*.csv'
expect_code 0 sbxctl dataset list ws --json
sbxctl dataset list ws --json >list.json
expect_field list.json 0.include '["*.csv"]'
expect_field list.json 0.exclude '["test/", ".git"]'
(cd data && find . -printf '%p %m %s %T@ %n\n' | sort) >after
diff before after || fail "the source has changed"
