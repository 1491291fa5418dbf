# A name in a document that looks like a path of this tree exists.
# usage: docs.sh SOURCE_ROOT
cd "$1" || exit 1
bad=0
names='(base|keys|fs|sandbox|shell|tests|packaging|doc)/[A-Za-z0-9_.*/{},-]+'
for doc in README.md doc/*.md; do
	[ -f "$doc" ] || { echo "$doc is missing"; bad=1; continue; }
	# Between back-quotes, in links, in code blocks: any word that begins with one of our folders.
	while read -r name; do
		name=${name%[.,]}
		case $name in *NAME*) continue ;; esac
		compgen -G "$name" >/dev/null || eval "ls -d $name" >/dev/null 2>&1 ||
			compgen -G "$name.[ch]" >/dev/null ||
			{ echo "$doc names $name, which does not exist"; bad=1; }
	done < <(grep -oE "(^|[ \`(])$names" "$doc" | grep -oE "$names" | sort -u)
done
# What the threat model says to hold names the test that shows it.
awk -F'|' '/^## /{on=/^## What holds/} on && /^\|/ && !/^\|-/ && !/shown by/ && $(NF - 1) !~ /(tests\/|the table above)/ {
	print "doc/threat-model.md: no test is named for:" $2; bad = 1 } /^## What holds/{seen=1} END { exit bad || !seen }' doc/threat-model.md || bad=1
exit $bad
