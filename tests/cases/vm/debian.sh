# A small Debian of this release in a virtual machine: cgroup v2 with no systemd, with it as root, and as users who log in.
# run: root
# needs: fuse
# timeout: 1200
# slow: yes
# lines: yes
# What is in it: tests/vm/run.sh. The image is kept in the build directory.
[ -n "${SBX_CACHE:-}" ] || { echo "skipped: no directory to keep the image in"; exit 77; }
exec bash "$SBX_SRC/tests/vm/run.sh" --build "$SBX_BUILD" --cache "$SBX_CACHE"
