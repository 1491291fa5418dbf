# A backing filesystem without user xattrs: the workspace is flat (equal names look equal, no xattrs, no
# modes that would need one), says so, and keeps what is written.
# run: root
# needs: fuse userns
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

mkdir place
mount -t ramfs none place || skip "no ramfs here"
trap 'umount -l place' EXIT
sbxctl init --json place/ws --cipher xchacha20 >init.json || fail "init: $(cat init.json)"
expect_field init.json flat true
inside place/ws 'cd /workspace; mkdir -p a b; echo one >a/same; echo two >b/same; echo x >x; ln x y; ln -s x link
	chmod 640 x
	! chmod 0 x 2>/dev/null || exit 3
	! python3 -c "import os; os.setxattr(\"x\", \"user.a\", b\"v\")" 2>/dev/null || exit 4
	echo x >"$(printf %0200d 7)"' || fail "writing: $?"
expect_eq "$(inside place/ws 'cd /workspace; cat a/same b/same; stat -c "%a %h" x; ls | wc -l')" "one
two
640 2
6" "what was written"
wait_for 10 eval '! [ -s place/ws/lock ]' || fail "the daemon stays"
/usr/bin/python3 -B "$SBX_SRC/tests/lib/wfs.py" check place/ws --identity "$HOME/.config/sbx/identity.json" >got || fail "wfs.py"
# The same name has the same stored form in both directories: that is what "flat" means.
expect_eq "$(cd place/ws/store/t && find . -type f -links 1 | sed 's|.*/||' | sort | uniq -d | wc -l)" 1 "equal names"
