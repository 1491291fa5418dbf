# git in the workspace: a repository, commits, branches, a clone of it.
# run: user
# needs: fuse userns git
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws '
	git config --global user.name "A B" && git config --global user.email a@example.org
	git init -q -b main repo && cd repo
	for i in $(seq 50); do echo $i >f$i; done
	git add . && git commit -qm first && git switch -qc other && echo more >>f1 && git commit -qam second
	git switch -q main && git merge -q other && git gc -q && git fsck --strict --no-progress
	cd .. && git clone -q repo copy && git -C copy log --oneline | wc -l' >out 2>&1 || fail "$(tail -n 20 out)"
expect_eq "$(tail -n 1 out)" 2 "commits in the clone"
expect_eq "$(inside ws 'git -C copy status --short | wc -l')" 0 "changes, after a fresh start"
