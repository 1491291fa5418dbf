# Workspaces of format 1 as the first version made them: they open, by every key, with all that is in
# them; they can be written; and an implementation of its own reads them the same.
# run: root user
# needs: fuse userns
# timeout: 180
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

golden=$SBX_SRC/tests/data/volumes/v1
config=$HOME/.config/sbx
list=$SBX_SRC/tests/lib/golden.py
wfs="/usr/bin/python3 -B $SBX_SRC/tests/lib/wfs.py"

unpack() { # NAME
	rm -rf "$1"
	tar --xattrs --xattrs-include='user.*' --no-same-owner -pxzf "$golden/$1.tar.gz" ||
		fail "unpack $1"
}

use_identity() { # NAME
	rm -rf "$config"
	install -d -m 700 "$config"
	install -m 600 "$golden/$1.json" "$config/identity.json"
}

# Not the sandbox's own home or anything else: only the outputs, as code inside sees them.
inside_list() { # WS [OPTIONS]
	local ws=$1
	shift
	sbx-shell $degraded --quiet "$@" "$ws" -- /usr/bin/python3 - list /workspace <"$list"
}

same() { # FILE WANT WHAT
	diff "$golden/$2" "$1" || fail "$3 differs from what was written"
}

outside_list() { # WS: through the independent implementation
	rm -rf plain
	$wfs decrypt "$1" plain --identity "$config/identity.json" || fail "wfs.py on $1"
	/usr/bin/python3 -B "$list" list plain
	chmod -R u+rwx plain && rm -rf plain
}

use_identity identity
unpack xchacha20
outside_list xchacha20 >got
same got tree.list "xchacha20, read by wfs.py,"
inside_list xchacha20 >got || fail "xchacha20 does not open"
same got tree.list xchacha20
expect_eq "$(sbxctl show --json xchacha20 | /usr/bin/python3 -c '
import json, sys
s = json.load(sys.stdin)
s = s.get("settings", s)
print(s["limits"]["memory"], s["quota"]["bytes"])')" "2G 1073741824" "settings"

# It is still a workspace to work in, and stays of format 1.
inside xchacha20 'echo new >/workspace/new.txt; echo more >>/workspace/cut; rm /workspace/hard*' || fail "writing"
expect_eq "$(inside xchacha20 'cat /workspace/new.txt; stat -c %s /workspace/cut')" "new
12350" "what was written"
wait_for 10 eval '! [ -s xchacha20/lock ]' || fail "the daemon stays"
$wfs check xchacha20 --identity "$config/identity.json" >got || fail "wfs.py after writing"

# Every other key.
unpack xchacha20
rm -rf "$config"
install -m 600 "$golden/passphrase" "$golden/recovery" .
inside_list xchacha20 --passphrase-file passphrase >got || fail "the passphrase does not open it"
same got tree.list "by passphrase: it"
wait_for 10 eval '! [ -s xchacha20/lock ]' || fail "the daemon stays"
inside_list xchacha20 --recovery-file recovery >got || fail "the recovery key does not open it"
same got tree.list "by recovery key: it"
wait_for 10 eval '! [ -s xchacha20/lock ]' || fail "the daemon stays"
$wfs check xchacha20 --recovery-file recovery >got || fail "wfs.py by recovery key"
$wfs check xchacha20 --passphrase-file passphrase >got || fail "wfs.py by passphrase"

# A recipient: not before the owner's key is confirmed; then for reading.
use_identity friend
! sbx-shell $degraded xchacha20 -- true </dev/null 2>err || fail "opened without a confirmed owner"
grep -q known_owners err || fail "no word about known_owners: $(cat err)"
sed -n 's/.*"public": "\(.*\)".*/\1 the owner/p' "$golden/identity.json" >"$config/known_owners"
inside_list xchacha20 >got || fail "the recipient cannot open it"
same got tree.list "for the recipient: it"
! inside xchacha20 'echo x >/workspace/x' 2>/dev/null || fail "the recipient can write"
! $wfs check xchacha20 --identity "$golden/friend.json" 2>err || fail "wfs.py reads without a pinned owner"
grep -q pinned err || fail "wfs.py: $(cat err)"
$wfs check xchacha20 --identity "$golden/friend.json" --owner "$(cut -d ' ' -f 1 "$config/known_owners")" >got ||
	fail "wfs.py as a recipient"
wait_for 10 eval '! [ -s xchacha20/lock ]' || fail "the daemon stays"

use_identity identity
for ws in padded crashed aes-gcm; do
	unpack $ws
	if [ $ws = aes-gcm ] && ! grep -qw aes /proc/cpuinfo; then
		continue
	fi
	if [ $ws = crashed ]; then
		! $wfs check $ws --identity "$config/identity.json" 2>err || fail "wfs.py reads an unclean store"
		$wfs decrypt $ws plain --crashed --identity "$config/identity.json" || fail "wfs.py --crashed"
		/usr/bin/python3 -B "$list" list plain >got
		same got small.list "crashed, read by wfs.py,"
		chmod -R u+rwx plain && rm -rf plain
	fi
	inside_list $ws >got || fail "$ws does not open"
	same got small.list $ws
	wait_for 10 eval "! [ -s $ws/lock ]" || fail "the daemon stays"
	outside_list $ws >got
	same got small.list "$ws, read by wfs.py,"
done
