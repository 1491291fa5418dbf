#!/bin/sh
# Make the Debian package from the commit that is checked out, or from an unpacked tarball.
#
#   sh packaging/build-deb.sh [OUTDIR]      default: the current directory
#
# Needs the packages of Build-Depends in packaging/debian/control and dpkg-dev; no root.  In a git
# checkout, what is not committed is not in it.  Two builds of one commit are the same, byte by byte.
set -eu
src=$(cd "$(dirname "$0")/.." && pwd)
out=$(cd "${1:-.}" && pwd)
for need in dpkg-buildpackage dh; do
	command -v "$need" >/dev/null || {
		echo "build-deb.sh: no $need here; apt-get install dpkg-dev debhelper dh-apparmor" >&2
		exit 1
	}
done
version=$(sed -n '1s/.*(\([^-]*\)-.*/\1/p' "$src/packaging/debian/changelog")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tree=$work/sbx-$version
mkdir "$tree"
if [ -e "$src/.git" ]; then
	git -C "$src" archive HEAD
else
	tar -c -C "$src" --exclude='./build*' --exclude=__pycache__ .
fi | tar -x -C "$tree"
cp -r "$tree/packaging/debian" "$tree/debian"
(cd "$tree" && dpkg-buildpackage -b -us -uc) >"$work/log" 2>&1 || {
	tail -n 40 "$work/log" >&2
	echo "build-deb.sh: the build failed (above)" >&2
	exit 1
}
cp "$work"/sbx_*.deb "$out/"
(cd "$work" && ls sbx_*.deb) | sed "s|^|$out/|"
