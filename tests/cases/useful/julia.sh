# Julia: it compiles, runs threads, and writes its depot into the home directory.
# run: user
# needs: fuse userns julia
# timeout: 90
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
expect_eq "$(sbx-shell $degraded --quiet ws -- julia --threads 2 -e '
	s = zeros(4); Threads.@threads for i in 1:4; s[i] = i^2; end
	write("/workspace/f", "text"); print(Int(sum(s)), read("/workspace/f", String))' 2>err)" 30text "what julia says ($(tail -n 5 err))"
