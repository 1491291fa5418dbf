/* Which system calls a payload may make, and why.  A call that is in no row gets EPERM; the rows of
 * seccomp_refused[] name what is knowingly left out.  Calls whose arguments decide (clone, socket,
 * ioctl, ...) are in seccomp.c. */
#include "sandbox/seccomp.h"

#include <stddef.h>

const struct seccomp_row seccomp_allowed[] = {
	{ "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close "
	  "close_range dup dup2 dup3 lseek _llseek fcntl fcntl64 pipe pipe2",
	  "plain input and output" },
	{ "open openat openat2 creat access faccessat faccessat2 stat fstat lstat newfstatat "
	  "stat64 "
	  "fstat64 lstat64 fstatat64 statx statfs fstatfs statfs64 fstatfs64 readlink readlinkat "
	  "getdents getdents64 getcwd chdir fchdir umask",
	  "files: mounts and Landlock decide which" },
	{ "mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink "
	  "symlinkat truncate truncate64 ftruncate ftruncate64 fallocate chmod fchmod fchmodat "
	  "fchmodat2 chown fchown lchown fchownat chown32 fchown32 lchown32 utime utimes utimensat "
	  "utimensat_time64 futimesat mknod mknodat",
	  "changing files; device nodes need a capability that nothing here has" },
	{ "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr "
	  "flistxattr removexattr lremovexattr fremovexattr setxattrat getxattrat listxattrat "
	  "removexattrat",
	  "extended attributes of own files" },
	{ "fsync fdatasync sync sync_file_range sync_file_range2 syncfs fadvise64 fadvise64_64 "
	  "arm_fadvise64_64 readahead flock copy_file_range sendfile sendfile64 splice tee",
	  "durability, advice, locks; copies between descriptors one already holds" },
	{ "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
	  "watching own files (tail -f, notebooks)" },
	{ "select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create "
	  "epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait "
	  "epoll_pwait2 "
	  "eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_settime64 "
	  "timerfd_gettime timerfd_gettime64",
	  "waiting for several things" },
	{ "io_setup io_submit io_getevents io_pgetevents io_pgetevents_time64 io_cancel io_destroy",
	  "the older asynchronous interface: the same calls, the same checks" },
	{ "brk mmap mmap2 munmap mremap mprotect madvise msync mincore mlock mlock2 munlock "
	  "mlockall munlockall remap_file_pages pkey_alloc pkey_free pkey_mprotect memfd_create "
	  "memfd_secret process_madvise map_shadow_stack mseal",
	  "memory; the memory limit counts it" },
	{ "get_mempolicy set_mempolicy set_mempolicy_home_node mbind migrate_pages move_pages "
	  "getcpu",
	  "NUMA placement of own memory (NumPy, PyTorch)" },
	{ "fork vfork execve execveat exit exit_group wait4 waitid waitpid set_tid_address gettid "
	  "getpid getppid getpgid getpgrp setpgid getsid setsid",
	  "processes; clone is decided by its flags" },
	{ "kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigreturn "
	  "rt_sigtimedwait rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack "
	  "sigaction sigprocmask sigpending sigsuspend sigreturn signal pause alarm pidfd_open "
	  "pidfd_send_signal restart_syscall",
	  "signals: only what is in the same process namespace can be named" },
	{ "futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue set_robust_list "
	  "get_robust_list rseq membarrier arch_prctl set_thread_area get_thread_area set_tls "
	  "cacheflush breakpoint riscv_flush_icache riscv_hwprobe prctl modify_ldt seccomp "
	  "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
	  "threads and language runtimes; prctl, seccomp and Landlock can only narrow what one "
	  "has" },
	{ "getuid geteuid getgid getegid getresuid getresgid getgroups getuid32 geteuid32 getgid32 "
	  "getegid32 getresuid32 getresgid32 getgroups32 setuid setgid setreuid setregid setresuid "
	  "setresgid setgroups setfsuid setfsgid setuid32 setgid32 setreuid32 setregid32 "
	  "setresuid32 setresgid32 setgroups32 setfsuid32 setfsgid32 capget capset",
	  "identity: one id is mapped and no capability is left, so these change nothing" },
	{ "sched_yield sched_setaffinity sched_getaffinity sched_setparam sched_getparam "
	  "sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min "
	  "sched_rr_get_interval sched_rr_get_interval_time64 sched_setattr sched_getattr "
	  "getpriority setpriority nice ioprio_get ioprio_set",
	  "scheduling of own threads, bounded by limits" },
	{ "getrlimit setrlimit ugetrlimit prlimit64 getrusage times sysinfo uname",
	  "limits can only be lowered; what the machine is" },
	{ "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 "
	  "clock_nanosleep clock_nanosleep_time64 nanosleep getitimer setitimer timer_create "
	  "timer_settime timer_settime64 timer_gettime timer_gettime64 timer_getoverrun "
	  "timer_delete",
	  "reading clocks and sleeping" },
	{ "socketpair connect bind listen accept accept4 getsockname getpeername getsockopt "
	  "setsockopt shutdown sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg recvmmsg_time64 "
	  "send recv",
	  "sockets of the families that socket() lets pass, in a network of its own" },
	{ "shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget "
	  "msgsnd "
	  "msgrcv msgctl ipc mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive "
	  "mq_timedreceive_time64 mq_notify mq_getsetattr",
	  "System V and POSIX messages in an IPC namespace of its own" },
	{ "getrandom", "random numbers" },
	{ "cachestat statmount listmount listns", "asking about what one can already reach" },
	{ NULL, NULL },
};

const struct seccomp_row seccomp_refused[] = {
	{ "mount umount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree "
	  "open_tree_attr move_mount mount_setattr swapon swapoff",
	  "the view of files is ours to make" },
	{ "unshare setns", "nested namespaces widen the kernel's surface" },
	{ "clone3", "hides its flags from filters; after ENOSYS libc calls clone instead" },
	{ "bpf perf_event_open userfaultfd lookup_dcookie",
	  "kernel machinery that most local exploits began with" },
	{ "io_uring_setup io_uring_enter io_uring_register",
	  "does its calls in the kernel, past this filter" },
	{ "keyctl add_key request_key",
	  "keyrings are not namespaced: a channel between sandboxes" },
	{ "name_to_handle_at open_by_handle_at", "files by number, past every path rule" },
	{ "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp",
	  "a process must not reach into another that runs under a different filter" },
	{ "kexec_load kexec_file_load init_module finit_module delete_module create_module "
	  "query_module get_kernel_syms reboot acct syslog iopl ioperm vhangup quotactl "
	  "quotactl_fd "
	  "nfsservctl sethostname setdomainname uselib ustat sysfs _sysctl",
	  "administration of the machine" },
	{ "settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex stime",
	  "the machine's clock" },
	{ "fanotify_init fanotify_mark", "watches whole mounts" },
	{ "vmsplice", "gifts own pages into pipes: the start of page cache attacks" },
	{ "lsm_get_self_attr lsm_set_self_attr lsm_list_modules", "labels of the host's policy" },
	{ "process_mrelease file_getattr file_setattr", "nobody inside needs them" },
	{ NULL, NULL },
};

const struct seccomp_argued seccomp_argued[] = {
	{ "clone", 0, "new processes and threads only, no namespaces" },
	{ "socket", 0,
	  "families other than UNIX, INET, INET6 and NETLINK_ROUTE reach past the sandbox" },
	{ "personality", 0, "only the ordinary one, with or without random addresses" },
	{ "ioctl", 1, "no typing into terminals, no line disciplines" },
	{ "setsockopt", 2, "no kernel TLS and no ESP on sockets" },
	{ NULL, 0, NULL },
};

const struct seccomp_row seccomp_init_allowed[] = {
	{ "read recvmsg recvfrom sendmsg sendto close", "orders and reports over the link" },
	{ "poll ppoll ppoll_time64 restart_syscall", "waiting" },
	{ "wait4 waitid waitpid", "reaping" },
	{ "kill", "passing signals on" },
	{ "exit exit_group rt_sigreturn rt_sigprocmask", "the end" },
	{ NULL, NULL },
};

const struct seccomp_row seccomp_connector_allowed[] = {
	{ "socket connect", "to the kernel's channels, in the network that has nothing else" },
	{ "openat open fstat fstat64 newfstatat fstatat64 statx",
	  "a channel that is a socket file, which must be one and not a link" },
	{ NULL, NULL },
};

const struct seccomp_row seccomp_daemon_refused[] = {
	{ "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp",
	  "it holds keys, others' too" },
	{ "bpf perf_event_open userfaultfd",
	  "kernel machinery that most local exploits began with" },
	{ "keyctl add_key request_key", "its keys are its own" },
	{ "open_by_handle_at", "files by number, past every path rule" },
	{ "kexec_load kexec_file_load init_module finit_module delete_module reboot acct syslog "
	  "swapon swapoff iopl ioperm quotactl quotactl_fd nfsservctl uselib vhangup personality "
	  "settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex "
	  "sethostname setdomainname",
	  "administration of the machine" },
	{ "fanotify_init fanotify_mark lookup_dcookie vmsplice", "never used by a file system" },
	{ NULL, NULL },
};

const struct seccomp_row seccomp_parser_allowed[] = {
	{ "read pread64 readv preadv lseek _llseek write writev close",
	  "the two descriptors that it has" },
	{ "fstat fstat64 newfstatat fstatat64 statx",
	  "the size of what it reads: the C library asks so; of other files it could learn no more "
	  "than that" },
	{ "brk mmap mmap2 munmap mremap mprotect madvise", "memory, bounded by a limit" },
	{ "futex futex_time64 sched_yield restart_syscall", "the locks of the C library" },
	{ "clock_gettime clock_gettime64 gettimeofday time getpid gettid getrandom sysinfo uname "
	  "getrusage getrlimit ugetrlimit prlimit64 sched_getaffinity",
	  "what libraries ask of the machine; its limits are at their lowest already" },
	{ "rt_sigreturn rt_sigprocmask rt_sigaction tgkill exit exit_group", "the end" },
	{ NULL, NULL },
};

const struct seccomp_row seccomp_parser_refused[] = {
	{ "open openat openat2 stat stat64 lstat lstat64 access "
	  "faccessat faccessat2 readlink readlinkat getuid geteuid getgid getegid getuid32 "
	  "geteuid32 getgid32 getegid32 ioctl fcntl fcntl64 umask",
	  "libraries look for their tables and for who they are, and can do without" },
	{ NULL, NULL },
};
