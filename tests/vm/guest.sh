# In the virtual machine, started by systemd when all else is up: the cases as root in a service, and
# as an ordinary user in a real login session, by ssh.
. /sbx/src/tests/vm/lib.sh

# One login, and through it as many commands as wanted.
as_user() { # root|user CMD..
	local as=$1
	shift
	if [ "$as" = user ]; then
		ssh -n -S /run/sbx-ssh -o ControlMaster=auto -o ControlPersist=600 $user@127.0.0.1 "$(printf '%q ' "$@")"
	else
		"$@"
	fi
}

{
	log_times "systemd is up"
	fallocate -l 256M /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap
	run_those systemd 'shell/cgroups [user]' 'machine/doctor [root]'
	# They log out, and in by other ways.
	ssh -S /run/sbx-ssh -O exit $user@127.0.0.1 2>/dev/null
	run_those systemd 'machine/logins [root]' 'machine/container [root]'
	log_times "the end"
	swapoff /swap
	finish
	echo "end of the tests"
	sync
} >/dev/ttyS1 2>&1
systemctl --no-block poweroff --force
