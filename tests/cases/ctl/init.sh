# sbxctl init: what it makes, what it says, and every way in which it refuses.
# run: root user
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

sbxctl init --quota 1G --files 1000 ws >out || fail "init"
grep -q 'Created workspace ws' out || fail "no word about the workspace: $(cat out)"
grep -Eq 'cipher .*(xchacha20|aes-gcm|aegis).*MB/s' out || fail "no word about the cipher: $(cat out)"
grep -q 'identity .*/.config/sbx/identity.json .*made now' out || fail "no word about the identity"
grep -q 'quota .*1G, 1000 files' out || fail "no word about the quota"
expect_eq "$(stat -c %a .config/sbx/identity.json)" 600 "mode of the identity"
for f in workspace.json keys store runs; do
	[ -e ws/$f ] || fail "init made no $f"
done

# The second workspace uses the identity that is there, and says nothing of making one.
sbxctl init --cipher xchacha20 --json ws2 >out.json || fail "init --json"
expect_field out.json cipher xchacha20
expect_field out.json path "$PWD/ws2"
expect_field out.json identity.created false
expect_field out.json id "$(field ws2/workspace.json id)"

# Refusals leave nothing behind and change nothing.
before=$(ls -A)
expect_refusal 1 "ws" sbxctl init ws
mkdir full && echo mine >full/file
expect_refusal 1 "full" sbxctl init full
expect_file full/file mine
echo mine >file
expect_refusal 1 "file" sbxctl init file
expect_file file mine
expect_refusal 1 "missing" sbxctl init missing/ws
ln -s nowhere dangling
expect_refusal 1 "dangling" sbxctl init dangling
[ ! -e nowhere ] || fail "a dangling link was followed"
rm -r full file dangling cmd.out cmd.err
expect_eq "$(ls -A)" "$before" "names after the refusals"

expect_refusal 2 "quota size" sbxctl init --quota lots ws3
expect_refusal 2 "quota" sbxctl init --quota -5 ws3
expect_refusal 2 "quota" sbxctl init --quota 99999999999999999999G ws3
expect_refusal 2 "files" sbxctl init --files 1.5 ws3
expect_refusal 2 "cipher rot13 xchacha20" sbxctl init --cipher rot13 ws3
expect_refusal 2 "argument" sbxctl init
expect_refusal 2 "argument" sbxctl init a b
expect_refusal 1 "recipient\|public\|sbx-pub" sbxctl init --recipient sbx-pub-nonsense ws3
expect_refusal 1 "passphrase nofile" sbxctl init --passphrase-file nofile ws3
: >empty && chmod 600 empty
expect_refusal 1 "empty" sbxctl init --passphrase-file empty ws3
[ ! -e ws3 ] || fail "a refused init left ws3"

# An empty directory that is there is used.
mkdir ws4
sbxctl init --cipher xchacha20 ws4 >/dev/null || fail "init in an empty directory"

if [ "$MODE" = user ]; then
	mkdir closed && chmod 555 closed
	expect_refusal 1 "closed permission" sbxctl init closed/ws
fi
exit 0
