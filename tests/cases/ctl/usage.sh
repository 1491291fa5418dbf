# Nonsense in every verb: exit code 2, one sentence that says where to look, nothing done.
# run: user
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

while read -r words; do
	# shellcheck disable=SC2086
	expect_refusal 2 "sbxctl:" sbxctl $words
done <<'END'
frobnicate
fsck
dataset frob
dataset add ws
dataset add ws name
dataset add ws bad/name /usr
dataset add ws .hidden /usr
dataset remove ws
dataset list
dataset list a b
mount
mount ws
mount ws a b
umount
umount a b
status a b
ps a b
ps --all
kill
kill a b
set ws
set ws memory
set ws =5
set ws limits.memory=lots
set ws limits.memry=2G
set ws limits.cpus=-1
set ws limits.pids=none
set ws quota=
set ws id=00
show
key frob
key add ws
key add ws --passphrase --recipient sbx-pub-x
key remove ws
key recovery
doctor now
init --cipher
init --nonsense ws
show --passphrase-file
status --json=yes
END
expect_code 2 sbxctl
expect_code 2 sbxctl dataset
expect_code 2 sbxctl key
grep -q 'did you mean' <(sbxctl statsu 2>&1) || fail "no suggestion for a verb"
grep -q 'limits.memory' <(sbxctl set ws limits.memry=2G 2>&1) || fail "no suggestion for a setting"
grep -q -- '--quota' <(sbxctl init --qouta 1G ws 2>&1) || fail "no suggestion for an option"

expect_eq "$(ls -A | sort | tr '\n' ' ')" "cmd.err cmd.out " "what is left"

# What stands at the place of a workspace.
mkdir dir && : >file
expect_refusal 1 "dir workspace.json init" sbxctl show dir
expect_refusal 1 "file workspace init" sbxctl show file
expect_refusal 1 "missing" sbxctl show missing
expect_refusal 1 "" sbxctl show ""
ln -s loop loop
expect_refusal 1 "loop" sbxctl status loop

# Facts that cannot be written are a failure, not a success.
sbxctl --help >/dev/full 2>err && fail "--help on a full device said yes"
grep -q 'No space' err || fail "no word about the full device: $(cat err)"
expect_code 0 sbxctl --version
expect_code 0 sbxctl key --help
exit 0
