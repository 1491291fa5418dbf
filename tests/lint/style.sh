# Layout by clang-format, functions of at most 80 lines, files of at most 600, nothing unfinished,
# no path of somebody's machine.
# usage: style.sh SOURCE_ROOT
cd "$1" || exit 1
bad=0

sources=$(find base keys fs sandbox shell tests -name '*.[ch]' | sort)

# Other versions of clang-format lay out some lines differently.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
	for f in $sources; do
		clang-format --dry-run -Werror "$f" >/dev/null 2>&1 ||
			{ echo "$f: not in the layout of .clang-format"; bad=1; }
	done
else
	echo "clang-format 14 is not here: layout is not checked"
fi

# A function is what stands between a "{" and a "}" in the first column.
awk '
	FNR == 1 { open = 0 }
	/^{/ { open = FNR }
	/^}/ && open {
		if (FNR - open - 1 > 80) {
			printf "%s:%d: a function of %d lines\n", FILENAME, open, FNR - open - 1
			bad = 1
		}
		open = 0
	}
	END { exit bad }' $sources || bad=1

for f in $sources; do
	n=$(wc -l <"$f")
	[ "$n" -le 600 ] || { echo "$f: $n lines"; bad=1; }
	case $f in
	*.h) grep -q '^#pragma once' "$f" || { echo "$f: no #pragma once"; bad=1; } ;;
	esac
done

marks='TO''DO|FIX''ME|X''XX|HA''CK'
paths='(^|[^A-Za-z0-9_.}])/(wo''rk/|ho''me/[a-rt-z]|ro''ot/[a-z])'
texts=$(git ls-files 2>/dev/null | grep -vE '^tests/data/|\.(bin|png)$')
[ -n "$texts" ] || texts=$(find . -type f -not -path './build*' -not -path './.git/*' -not -path './tests/data/*')
# shellcheck disable=SC2086
! grep -nIwE "$marks" $texts 2>/dev/null || { echo "unfinished marks"; bad=1; }
# shellcheck disable=SC2086
! grep -nIE "$paths" $texts 2>/dev/null | grep -vE '/ho''me/(me|ada)/' || { echo "paths of a machine"; bad=1; }
exit $bad
