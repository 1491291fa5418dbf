# Who can open a workspace: identity, passphrase, recovery key, recipients; wrong and missing ones.
# run: root user
. "$SBX_SRC/tests/lib/common.sh"

secret_file() { (umask 077 && printf '%s\n' "$2" >"$1"); }
closed() { wait_for 5 flock -n "$1/lock" true || fail "$1 is still served"; }

secret_file pass 'correct horse'
secret_file wrong 'battery staple'

# By identity: taken away, or another's, it does not open.
new_ws ws
sbxctl key show >out || fail "key show"
grep -q 'public .*sbx-pub-' out || fail "no public key: $(cat out)"
mv .config away
expect_refusal 3 "key" sbxctl show ws
expect_code 0 sbxctl key show
expect_refusal 3 "key" sbxctl show ws
rm -r .config && mv away .config
expect_code 0 sbxctl show ws

# A second way in by passphrase; it is hard to guess and easy to list.
sbxctl key add ws --new-passphrase-file pass >out || fail "key add"
sbxctl key list ws --json >slots.json
expect_eq "$(grep -c '"type": "passphrase"' slots.json)" 1 "passphrase slots"
closed ws
mv .config away
expect_refusal 3 "passphrase" sbxctl show ws --passphrase-file wrong
expect_code 0 sbxctl show ws --passphrase-file pass
closed ws
chmod 644 pass
expect_refusal 1 "pass chmod" sbxctl show ws --passphrase-file pass
chmod 600 pass
expect_refusal 1 "nofile" sbxctl show ws --passphrase-file nofile
rm -rf .config && mv away .config

# By recovery key, printed once.
sbxctl key recovery ws >recovery 2>err || fail "key recovery: $(cat err)"
expect_eq "$(wc -l <recovery)" 1 "lines of the recovery key"
expect_code 1 sbxctl key recovery ws --file recovery
expect_code 0 sbxctl key recovery ws --file recovery2
expect_eq "$(stat -c %a recovery2)" 600 "mode of the recovery file"
closed ws
chmod 600 recovery
mv .config away
expect_code 0 sbxctl show ws --recovery-file recovery
closed ws
expect_code 0 sbxctl show ws --recovery-file recovery2
closed ws
secret_file slip "$(tr 2-7A-Z 3-7A-Z2 <recovery)"
expect_refusal 1 "recovery slip" sbxctl show ws --recovery-file slip
new_ws foreign
expect_code 0 sbxctl key recovery foreign --file foreign.txt
expect_refusal 3 "key" sbxctl show ws --recovery-file foreign.txt
rm -rf .config && mv away .config

# Slots go one by one; the last that can write stays.
expect_refusal 1 "nosuch" sbxctl key remove ws nosuch
slots() { sbxctl key list ws | awk -v t="$1" '$2 == t { print $1 }'; }
for slot in $(slots recovery) $(slots passphrase); do
	expect_code 0 sbxctl key remove ws "$slot"
done
expect_refusal 1 "last" sbxctl key remove ws "$(slots owner)"
expect_code 0 sbxctl key list ws
closed ws

# A workspace by passphrase alone.
sbxctl init --cipher xchacha20 --passphrase-file pass wp >/dev/null || fail "init by passphrase"
expect_code 0 sbxctl show wp --passphrase-file pass
closed wp
expect_refusal 3 "passphrase" sbxctl show wp --passphrase-file wrong
expect_code 3 setsid -w sbxctl show wp
expect_code 1 setsid -w sbxctl init --passphrase wq
[ ! -e wq ] || fail "init without a passphrase left a workspace"

# A recipient reads and does not write.
mkdir other
pub=$(HOME=$PWD/other sbxctl key show --json | sed -n 's/.*"public": "\(.*\)".*/\1/p')
new_ws wr
inside wr 'echo shared >/workspace/file' || fail "write"
expect_code 0 sbxctl key add wr --recipient "$pub"
expect_code 1 sbxctl key add wr --recipient "${pub%?}x"
closed wr
HOME=$PWD/other expect_refusal 3 "confirmed known_owners" sbxctl status wr
grep -o 'sbx-pub-[a-z0-9]*' cmd.err >other/.config/sbx/known_owners
HOME=$PWD/other sbxctl status wr --json >s.json || fail "the recipient cannot open it"
expect_field s.json read_only true
closed wr
got=$(HOME=$PWD/other sbx-shell $degraded --quiet wr -- cat /workspace/file)
expect_eq "$got" shared "what the recipient reads"
HOME=$PWD/other sbx-shell $degraded --quiet wr -- sh -c 'echo x >/workspace/file' 2>err &&
	fail "a recipient wrote"
grep -q 'Read-only' err || fail "not EROFS: $(cat err)"
