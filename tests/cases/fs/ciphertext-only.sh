# Nothing of what was written is readable in the store: no content, no file name, no link target.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mark=PLAINMARK$$X
inside ws '
	cd /workspace
	m=$1
	mkdir "dir-$m" && echo "content $m" >"dir-$m/name-$m.txt"
	i=0; while [ $i -lt 3000 ]; do echo "$m line $i"; i=$((i+1)); done >big
	ln -s "target-$m" link
	python3 -c "import os, sys; os.setxattr(\"big\", \"user.$m\", b\"value $m\")"
	touch "$(python3 -c "print(\"$m\" * 15)")"
	mv big "renamed-$m"
	rm -f "dir-$m/name-$m.txt"; echo "again $m" >"dir-$m/name-$m.txt"' "$mark" || fail "writing"
# Control: it is there, for who has the key.
inside ws 'cat /workspace/renamed-*' | grep -q "$mark line 2999" || fail "the control is not readable inside"
! grep -raql "$mark" ws || fail "plaintext in the workspace: $(grep -ral "$mark" ws)"
! find ws | grep -q "$mark" || fail "a plain name in the store"
! grep -raqi "$(printf %s "$mark" | base64 | cut -c 1-14)" ws || fail "base64 of it in the workspace"
! grep -raql "$mark" "$HOME/.local" "$HOME/.config" 2>/dev/null || fail "plaintext in a log: $(grep -ral "$mark" "$HOME/.local" "$HOME/.config")"
# The identity is outside of the workspace, for its owner alone.
id=$(find "$HOME" -name identity.json)
[ -n "$id" ] || fail "no identity"
expect_eq "$(stat -c %a "$id")" 600 "mode of the identity"
case $id in "$PWD/ws/"*) fail "the identity is in the workspace" ;; esac
