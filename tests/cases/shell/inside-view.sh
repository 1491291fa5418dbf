# What code inside sees is what the interface says: user, host name, places, environment, no network.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir data && echo d >data/d && expect_code 0 sbxctl dataset add ws set1 data
export SECRET_OF_HOST=1 LANG=C.UTF-8 TZ=Europe/Berlin
inside ws '
	echo "user $(id -un) $(id -u) $(id -g)"
	echo "host $(hostname)"
	echo "pwd $(pwd)"
	echo "home $HOME $(stat -c %U "$HOME")"
	echo "pid1 $(ls -d /proc/[0-9]* | wc -l)"
	echo "root $(ls -A / | sort | tr "\n" " ")"
	echo "datasets $(ls /datasets)"
	echo "env $(env | cut -d = -f 1 | sort | tr "\n" " ")"
	echo "tz $TZ"
	echo "net $(tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d " \n")"
	echo "dev $(ls /dev | sort | tr "\n" " ")"' >out || fail "$(cat out)"
grep -qx 'user sbx 1000 1000' out || fail "$(grep ^user out)"
grep -qx 'host sandbox' out || fail "$(grep ^host out)"
grep -qx 'pwd /workspace' out || fail "$(grep ^pwd out)"
grep -qx 'home /home/sbx sbx' out || fail "$(grep ^home out)"
grep -qx 'datasets set1' out || fail "$(grep ^datasets out)"
grep -qx 'tz Europe/Berlin' out || fail "$(grep ^tz out)"
! grep '^env' out | grep -q SECRET_OF_HOST || fail "the environment of the host"
grep -q '^net lo$' out || fail "$(grep ^net out)"
for word in $(grep '^root' out | cut -d ' ' -f 2-); do
	case $word in bin | boot | datasets | dev | etc | home | lib | lib32 | lib64 | libx32 | opt | proc | run | sbin | sys | tmp | usr | var | workspace | mnt | root | srv) ;;
	*) fail "/$word is there" ;; esac
done
for word in $(grep '^dev' out | cut -d ' ' -f 2-); do
	case $word in console | fd | full | null | ptmx | pts | random | shm | stderr | stdin | stdout | tty | urandom | zero) ;;
	*) fail "/dev/$word is there" ;; esac
done
# Nothing of the host's files: home, store, etc of the host.
for path in "$PWD" "$HOME" "$SBX_SRC" /etc/shadow /etc/ssh /root/. /sys/fs/cgroup/cgroup.procs /sys/kernel /var/lib/dpkg; do
	! inside ws "test -r '$path' && ls '$path' | grep -q ." 2>/dev/null || fail "$path is readable inside"
done
# A root file system that cannot be written; places that can.
inside ws 'for d in / /usr /usr/bin /etc /bin /datasets /proc /sys /dev; do if (: >$d/x) 2>/dev/null; then echo "$d"; fi; done' >out
expect_file out ''
inside ws 'for d in /workspace "$HOME" /tmp /dev/shm; do echo x >$d/x; cat $d/x; done' >out || fail "a place that is not writable"
expect_eq "$(wc -l <out)" 4 "writable places"
# --env, --cwd, --ro
expect_eq "$(sbx-shell $degraded --quiet --env A=b --env SECRET_OF_HOST ws -- sh -c 'echo $A$SECRET_OF_HOST' </dev/null)" b1 --env
inside ws 'mkdir -p /workspace/sub'
expect_eq "$(sbx-shell $degraded --quiet --cwd /workspace/sub ws -- pwd </dev/null)" /workspace/sub --cwd
expect_eq "$(sbx-shell $degraded --quiet --ro "$PWD/data:/opt/shown" ws -- cat /opt/shown/d </dev/null)" d --ro
sbx-shell $degraded --quiet --ro "$PWD/data:/opt/shown" ws -- sh -c 'echo x >/opt/shown/new' 2>err </dev/null && fail "--ro is writable"
[ ! -e data/new ] || fail "--ro was written"
expect_eq "$(sbx-shell $degraded --quiet --ro "$PWD/data" ws -- cat "$PWD/data/d" </dev/null)" d "--ro without a destination"
# --home persist keeps it in the workspace.
sbx-shell $degraded --quiet --home persist ws -- sh -c 'echo kept >$HOME/note' </dev/null || fail "--home persist"
expect_eq "$(inside ws 'cat /workspace/.home/note; ls -A $HOME | grep -c note')" $'kept\n0' "persistent and private home"
