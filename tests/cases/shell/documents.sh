# Man pages and completions are made from the option tables: clean for mandoc, parsed by their shells,
# and what they offer is what the programs take.
# run: root
# needs: mandoc zsh fish
. "$SBX_SRC/tests/lib/common.sh"

docs=$SBX_BUILD/shell
for program in sbx-shell sbxctl; do
	mandoc -Tlint -Wwarning "$docs/$program.1" >lint || fail "mandoc on $program.1: $(cat lint)"
	expect_file lint ''
	mandoc -Tutf8 "$docs/$program.1" | col -b >page
	expect_code 0 "$program" --help
	# Every option of --help is in the page and in each completion.
	for opt in $(grep -oE '^ +(-., )?--[a-z-]+' cmd.out | grep -oE '\-\-[a-z-]+' | grep -v -e --help -e --version); do
		grep -q -- "$opt" page || fail "$program.1 does not know $opt"
		grep -q -- "$opt" "$docs/$program.bash" || fail "bash completion of $program does not know $opt"
		grep -q -- "$opt" "$docs/_$program" || fail "zsh completion of $program does not know $opt"
		grep -q -- "-l ${opt#--}" "$docs/$program.fish" || fail "fish completion of $program does not know $opt"
	done
	bash -n "$docs/$program.bash" || fail "bash cannot read it"
	zsh -n "$docs/_$program" || fail "zsh cannot read it"
	fish -n "$docs/$program.fish" || fail "fish cannot read it"
done

# bash: words typed, the last one unfinished -> what is offered.
. "$docs/sbx-shell.bash"
. "$docs/sbxctl.bash"
compopt() { :; }
offers() { # FUNCTION WANT WORDS..
	local f=$1 want=$2
	shift 2
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	"$f"
	expect_eq "$(printf '%s\n' "${COMPREPLY[@]}" | sort -u | xargs)" "$want" "bash offers after '$*'"
}
offers _sbx_shell "--memory" sbx-shell --mem
offers _sbx_shell "persist private" sbx-shell --home ''
offers _sbx_shell "persist" sbx-shell --home = per
offers _sbx_shell "half none" sbx-shell --memory ''
offers _sbx_shell "strict" sbx-shell --quiet --profile s
mkdir folder && : >file
offers _sbx_shell "folder" sbx-shell fo
offers _sbx_shell "file" sbx-shell --result fil
offers _sbx_shell "fish_indent" sbx-shell folder -- fish_ind
offers _sbxctl "dataset" sbxctl da
offers _sbxctl "add" sbxctl key ad
offers _sbxctl "aegis aes-gcm auto xchacha20" sbxctl init --cipher ''
expect_eq "$(fish -c "source $docs/sbxctl.fish; complete -C 'sbxctl dataset a'" | cut -f 1)" add "fish offers"
expect_eq "$(fish -c "source $docs/sbx-shell.fish; complete -C 'sbx-shell --home pe'" | cut -f 1)" persist "fish offers"
# zsh: loaded by its completion system, under the name of its program.
zsh -fc "fpath=($docs \$fpath); autoload -U compinit && compinit -u -D && whence -v _sbxctl _sbx-shell && [[ \$_comps[sbxctl] = _sbxctl ]]" >zsh.out 2>&1 ||
	fail "zsh: $(cat zsh.out)"
