# sqlite (rollback and WAL), git, tar, cp, rsync-like copies and a compiler work in the workspace.
# run: root user
# needs: fuse userns sqlite3 git tar
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws '
	cd /workspace
	for mode in delete wal truncate; do
		sqlite3 $mode.db "pragma journal_mode=$mode; create table t(a,b); begin;
			with recursive n(i) as (select 1 union all select i+1 from n where i<20000)
			insert into t select i, hex(randomblob(20)) from n; commit;
			delete from t where a % 3 = 0; vacuum; pragma integrity_check;" | tail -n 1 | grep -qx ok
		test "$(sqlite3 $mode.db "select count(*) from t")" = 13334
	done' >out 2>&1 || fail "sqlite: $(cat out)"
inside ws '
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
	cd /workspace
	git init -q repo && cd repo
	for i in $(seq 60); do echo $i >f$i; done
	git add . && git commit -qm one
	git mv f1 moved && rm f2 && git commit -qam two
	git gc -q && git fsck --strict
	git clone -q . ../clone && test "$(git -C ../clone log --oneline | wc -l)" = 2
	git checkout -q HEAD~1 && test -f f2 && test -z "$(git status --porcelain)"' >out 2>&1 || fail "git: $(cat out)"
inside ws '
	cd /workspace
	cp -a /usr/lib/python3/dist-packages/pandas/core py 2>/dev/null || cp -a /usr/share/perl5 py
	tar cf py.tar py && mkdir x && tar xf py.tar -C x && diff -r --no-dereference py x/py
	gzip -k py.tar && gzip -t py.tar.gz && gunzip -c py.tar.gz | cmp - py.tar' >out 2>&1 || fail "tar: $(cat out)"
# And after a fresh start of the daemon.
inside ws 'cd /workspace && sqlite3 wal.db "pragma integrity_check" | grep -qx ok && git -C repo fsck --strict 2>/dev/null && diff -r --no-dereference py x/py' >out 2>&1 || fail "after a fresh start: $(cat out)"
