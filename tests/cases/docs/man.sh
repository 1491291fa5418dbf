# The man pages are well formed, and name every option of --help; completions load in their shells.
# run: root
# needs: mandoc
. "$SBX_SRC/tests/lib/common.sh"

pages=$(find "$SBX_BUILD/shell" -name '*.1')
[ -n "$pages" ] || fail "no man pages were built"
for page in $pages; do
	mandoc -T lint -W warning "$page" >lint.out 2>&1 || fail "$page: $(head -n 5 lint.out)"
	mandoc -T ascii "$page" | sed 's/.\x08//g' >text
	for section in NAME SYNOPSIS DESCRIPTION EXAMPLES; do
		grep -q "^$section" text || fail "$page has no section $section"
	done
	program=$(basename "$page" .1)
	grep -q "$program" text || fail "$page does not name $program"
done
sbx-shell --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u >options
[ "$(wc -l <options)" -ge 20 ] || fail "too few options: $(cat options)"
mandoc -T ascii "$SBX_BUILD/shell/sbx-shell.1" | sed 's/.\x08//g' >text
while read -r o; do
	grep -q -- "$o" text || fail "the man page does not name $o"
done <options
[ ! -f "$SBX_BUILD/shell/sbx-shell.bash" ] || bash -n "$SBX_BUILD/shell/sbx-shell.bash" || fail "bash completion"
for shell in zsh fish; do
	command -v $shell >/dev/null || continue
	for f in "$SBX_BUILD"/shell/_* "$SBX_BUILD"/shell/*.fish; do
		case $shell:$f in
		zsh:*/_*) zsh -n "$f" || fail "$f" ;;
		fish:*.fish) fish -n "$f" || fail "$f" ;;
		esac
	done
done
