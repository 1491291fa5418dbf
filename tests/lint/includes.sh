# The arrows between the folders, and one door per library.
# usage: includes.sh SOURCE_ROOT
cd "$1" || exit 1
bad=0

# Which folders a file may include from. Exceptions are by file name.
allowed() { # FILE
	case $1 in
	fs/main.c | fs/serve.c | fs/fsck_main.c | fs/arch_main.c) echo 'base keys fs sandbox/confine.h' ;;
	shell/cmd_init.c | shell/cmd_key.c) echo 'base sandbox shell fs/client.h keys/buffer.h keys/prompt.h' ;;
	base/*) echo 'base' ;;
	keys/*) echo 'base keys' ;;
	sandbox/*) echo 'base sandbox' ;;
	fs/*) echo 'base keys fs' ;;
	shell/*) echo 'base sandbox shell fs/client.h' ;;
	tests/*) echo 'base keys fs sandbox shell tests' ;;
	*) echo '' ;;
	esac
}

# header<space>files that may include it
doors='
jansson.h base/json.c base/json.h
seccomp.h sandbox/seccomp.c
fuse.h
fuse_lowlevel.h fs/ops*.[ch] fs/session*.[ch] fs/main.c tests/bench/nullfs.c
sodium.h keys/*.[ch] fs/block.c fs/head.c fs/name*.c fs/log*.c fs/pin_hash.c fs/cfile*.c fs/recover*.c
archive.h fs/arch_read.c
archive_entry.h fs/arch_read.c
'

complain() {
	echo "$1"
	bad=1
}

is_allowed() { # INCLUDE WORDS
	local w
	for w in $2; do
		[ "$1" = "$w" ] && return 0
		case $1 in "$w"/*) return 0 ;; esac
	done
	return 1
}

check_own() { # FILE
	local inc words
	words=$(allowed "$1")
	while read -r inc; do
		# Made by the build.
		case $inc in config.h | sandbox/filter_data.h) continue ;; esac
		[ -f "$inc" ] || { complain "$1 includes \"$inc\", which is not written from the root"; continue; }
		is_allowed "$inc" "$words" || complain "$1 includes \"$inc\": no such arrow (allowed: $words)"
	done < <(sed -n 's/^#include "\(.*\)".*/\1/p' "$1")
}

check_doors() {
	local header files f pat ok
	while read -r header files; do
		[ -n "$header" ] || continue
		while read -r f; do
			ok=no
			for pat in $files; do
				# shellcheck disable=SC2254
				case $f in $pat) ok=yes ;; esac
			done
			case $f in tests/*) ok=yes ;; esac
			[ $ok = yes ] || complain "$f includes <$header>: only ${files:-nobody} may"
		done < <(grep -lE "^#include <(fuse3?/)?$header>" ./*/*.[ch] 2>/dev/null | sed 's|^\./||')
	done <<<"$doors"
}

while read -r f; do
	check_own "$f"
done < <(find base keys fs sandbox shell tests -name '*.[ch]' | sort)
check_doors

# What is linked tells the same story: who runs foreign code holds no key code.
program=${SBX_BUILD:-}/shell/sbx-shell
! readelf -d "$program" 2>/dev/null | grep -q 'NEEDED.*sodium' ||
	complain "$program is linked with libsodium: it must not be able to hold a key"
exit $bad
