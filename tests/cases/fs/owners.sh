# Served by root, owners, groups and modes live in the store: they hold for all users of the host's
# mount and across mounts, and what a sandbox makes belongs to the volume's owner.
# run: root
# needs: fuse userns setpriv
. "$SBX_SRC/tests/lib/common.sh"

as() { # UID GID SCRIPT: in the mount
	(cd "$PWD/m/workspace" && setpriv --reuid "$1" --regid "$2" --clear-groups sh -euc "$3")
}

owner() { # PATH
	stat -c '%u:%g %a' "$1"
}

new_ws ws
mkdir m
chmod 755 . ..
expect_code 0 sbxctl mount ws m
cd m/workspace || fail "no mount"
chmod 755 .
echo secret >mine && chmod 600 mine
mkdir group team && chown 3001:3002 group && chmod 2775 group && chown 3001:3001 team && chmod 1777 team
echo tool >tool && chown 3003:3004 tool && chmod 6755 tool && chmod u+w tool
ln -s target link && chown -h 3005:3006 link
mkfifo pipe && chown 3007:3008 pipe && chmod 640 pipe
cd ../..
expect_eq "$(owner m/workspace/group)" "3001:3002 2775" group
expect_eq "$(owner m/workspace/tool)" "3003:3004 6755" tool
expect_eq "$(owner m/workspace/link)" "3005:3006 777" link
expect_eq "$(owner m/workspace/pipe)" "3007:3008 640" pipe

# What others make is theirs; a directory with set-gid gives its group, and the bit to directories.
as 3001 3009 'cd group && echo a >file && mkdir dir && ln -s x sym && mkfifo fifo && echo b >dir/deep'
for f in file sym fifo dir/deep; do
	expect_match "$(owner m/workspace/group/$f)" '^3001:3002 ' "$f in a directory with set-gid"
done
expect_eq "$(owner m/workspace/group/dir)" "3001:3002 2755" "a directory in one with set-gid"
as 3010 3011 'echo a >team/file && mkdir team/dir'
expect_eq "$(owner m/workspace/team/file)" "3010:3011 644" "in a plain directory"
# The kernel checks.
as 3010 3011 'cat mine' 2>/dev/null && fail "another user reads a file with mode 600"
as 3010 3011 'echo x >group/file' 2>/dev/null && fail "another user writes a file of mode 644"
as 3012 3013 'rm -f team/file' 2>/dev/null && fail "another user removes from a sticky directory"
as 3010 3011 'chown 3012 team/file' 2>/dev/null && fail "a user gives a file away"
as 3010 3011 'chmod 777 mine' 2>/dev/null && fail "another user changes a mode"
as 3010 3011 'rm team/file; rmdir team/dir' || fail "the owner may not remove"
# Set-id bits go with a write by others, a change of size, a change of owner.
for how in 'echo y >>tool' 'truncate -s 2 tool' 'fallocate -l 9000 tool' ': >tool'; do
	chmod 6777 m/workspace/tool
	as 3010 3011 "$how"
	expect_eq "$(owner m/workspace/tool)" "3003:3004 777" "after: $how"
done
chmod 6755 m/workspace/tool
chown 3003:3014 m/workspace/tool
expect_eq "$(owner m/workspace/tool)" "3003:3014 755" "after chown"
chmod 4711 m/workspace/tool

before=$(cd m/workspace && find . -printf '%p %U:%G %m %y\n' | sort)
expect_code 0 sbxctl umount m
settled ws
find ws/store -perm /6000 ! -type p ! -type s | grep -q . && fail "an inode of the store has a set-id bit"
expect_code 0 sbxctl mount ws m
expect_eq "$(cd m/workspace && find . -printf '%p %U:%G %m %y\n' | sort)" "$before" "after a remount"

# A sandbox on the same mount, then one of its own: the volume's owner is its user.
look='umask 022; stat -c "%u:%g %a" . group tool mine; echo in >"$1" && mkdir "$1.d" && mkfifo "$1.p" && stat -c "%u:%g" "$1" "$1.d" "$1.p"
	cat mine; echo more >>mine; echo x >>tool && exit 9; echo x >group/new && exit 9; chown 1000:1000 "$1"; chown 1 "$1" && exit 9; true'
wanted='1000:1000 755
65534:65534 2775
65534:65534 4711
1000:1000 600
1000:1000
1000:1000
1000:1000
secret'
joined=$(uname -r | awk -F. '{ print ($1 > 6 || ($1 == 6 && $2 >= 12)) ? "yes" : "no" }')
if [ "$joined" = yes ]; then
	expect_eq "$(inside ws "$look" one 2>/dev/null)" "$wanted" "a sandbox on the host's mount sees"
	for f in one one.d one.p; do
		expect_match "$(owner m/workspace/$f)" '^0:0 ' "what the sandbox made, on the host: $f"
	done
fi
printf 'secret\n' >m/workspace/mine
expect_code 0 sbxctl umount m
settled ws
expect_eq "$(inside ws "$look" two 2>/dev/null)" "$wanted" "a private sandbox sees"
settled ws
expect_code 0 sbxctl mount ws m
for f in two two.d two.p; do
	expect_match "$(owner m/workspace/$f)" '^0:0 ' "what the private sandbox made, on the host: $f"
done
expect_eq "$(owner m/workspace/group)" "3001:3002 2775" "group, at the end"
expect_code 0 sbxctl umount m
