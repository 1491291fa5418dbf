# The product as cppcheck and clang-tidy see it: nothing to say. Both change their mind from version to
# version: the tree is kept clean for those of Debian 12, others are not asked.
# usage: SBX_BUILD=DIR analysis.sh SOURCE_ROOT
cd "$1" || exit 1
: "${SBX_BUILD:?the build directory, for its compile_commands.json}"
command -v cppcheck clang-tidy >/dev/null || { echo "skipped: no cppcheck or no clang-tidy"; exit 77; }
case $(cppcheck --version) in *' 2.10'*) ;; *) echo "skipped: not cppcheck 2.10"; exit 77 ;; esac
case $(clang-tidy --version) in *'version 14.'*) ;; *) echo "skipped: not clang-tidy 14"; exit 77 ;; esac
[ -f "$SBX_BUILD/compile_commands.json" ] || { echo "skipped: no compile_commands.json"; exit 77; }

rc=0
cppcheck --project="$SBX_BUILD/compile_commands.json" --enable=warning,performance,portability \
	--library=tests/lint/cppcheck.cfg --suppressions-list=tests/lint/cppcheck.suppress \
	--inline-suppr --quiet -j"$(nproc)" --error-exitcode=1 || rc=1
printf "%s\n" base/*.c keys/*.c fs/*.c sandbox/*.c shell/*.c |
	xargs -P "$(nproc)" -n 12 clang-tidy -p "$SBX_BUILD" --quiet 2>/dev/null || rc=1
exit $rc
