# In the virtual machine, as pid 1, before systemd: the cases as root of a host with cgroup v2 and no
# systemd.  Then all is put back, systemd takes over, and guest.sh goes on.
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
modprobe fuse
ip link set lo up 2>/dev/null

(
	. /sbx/src/tests/vm/lib.sh
	log_times "the kernel is up"
	run_those plain 'shell/cgroups [root]'
	finish
) </dev/null >/dev/ttyS1 2>&1

umount /sys/fs/cgroup /tmp /dev/pts /dev/shm
exec /sbin/init
