# Our shell scripts as shellcheck sees them (errors and warnings, not taste).
# usage: scripts.sh SOURCE_ROOT
cd "$1" || exit 1
command -v shellcheck >/dev/null || { echo "skipped: no shellcheck"; exit 77; }
# SC1090/SC1091: sourced by a path known at run time; SC2034, SC2154: variables shared with it.
# SC2086, SC2046, SC2044: options in a variable are split on purpose; SC2217, SC2238, SC2062, SC1010: false alarms.
shellcheck -S warning -s bash -e SC1090,SC1091,SC2034,SC2154,SC2086,SC2046,SC2044,SC2238,SC2217,SC2062,SC1010 \
	tests/run.sh $(find tests packaging -name '*.sh' | sort)
