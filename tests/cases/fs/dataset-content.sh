# Datasets show exactly what is there: trees, links, big files, mmap; links that lead out do not.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir -p data/deep/er && head -c 3000001 /dev/urandom >data/big && echo x >data/deep/er/x
echo outside >outside.txt
ln -s ../outside.txt data/out-relative
ln -s "$PWD/outside.txt" data/out-absolute
ln -s deep/er/x data/inner
mkdir data/wide && (cd data/wide && for i in $(seq 500); do echo $i >"entry $i"; done)
chmod -R a+rX data
expect_code 0 sbxctl dataset add ws data data
(cd data && find . -type f | sort | xargs -d '\n' sha256sum) >want
inside ws 'cd /datasets/data && find . -type f | sort | xargs -d "\n" sha256sum' >got || fail "reading"
diff want got || fail "contents differ"
inside ws 'cat /datasets/data/inner' >got || fail "a link within"
expect_file got x
for l in out-relative out-absolute; do
	! inside ws "cat /datasets/data/$l" >got 2>err || fail "$l leads out of the dataset: $(cat got)"
done
inside ws 'python3 -c "
import hashlib, mmap
with open(\"/datasets/data/big\", \"rb\") as f:
    print(hashlib.sha256(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)).hexdigest())"' >got || fail "mmap"
expect_eq "$(cat got)" "$(sha256sum data/big | cut -d ' ' -f 1)" "mmap of a dataset"
# A changed source is seen by the next session; a vanished one is said to be so.
echo more >>data/deep/er/x
expect_eq "$(inside ws 'tail -n 1 /datasets/data/deep/er/x')" more "a change by its owner"
