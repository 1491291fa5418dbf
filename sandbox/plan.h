/* What a run shall be: pure data, made by shell/plan_build.c from options, workspace limits and
 * profile; validated and printed without doing anything; carried out by sandbox_launch().
 *
 * Strings are borrowed from the maker and live as long as the plan. Limits of 0 mean "none" unless
 * said otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct plan_bind {
	const char *source; /* host path without symlinks: one that is met was put there since */
	const char *dest;   /* clean absolute path inside */
};

/* A dataset that is a whole directory, which an ordinary user's kernel may read without asking the
 * daemon: /datasets/NAME becomes a read-only overlay of SOURCE alone, at the speed of the source.
 * Not a bind: through an overlay no socket of the host can be connected to, no fifo reaches the
 * host, and what is mounted below SOURCE does not show.  Where the kernel refuses it, the daemon's
 * view of the same dataset stays in place. */
struct plan_direct {
	const char *name;   /* one part of a path */
	const char *source; /* absolute, without symlinks */
};

struct plan_limits {
	uint64_t time_ms;  /* wall clock */
	uint64_t grace_ms; /* between TERM and the end; 0 = at once */
	uint64_t cpu_time_ms;
	uint64_t memory_bytes; /* memory and swap of all processes, tmpfs included */
	uint64_t cpu_milli;    /* 1500 = one and a half CPUs */
	uint64_t pids;
	uint64_t output_bytes;                     /* stdout and stderr together, command mode */
	uint64_t tmp_bytes, shm_bytes, home_bytes; /* sizes of the tmpfs; never 0 */
	uint64_t fsize_bytes;                      /* RLIMIT_FSIZE */
	uint64_t nofile;                           /* RLIMIT_NOFILE; never 0 */
};

/* Where the workspace's two mounts come from (reply to "session", doc/control.md). */
struct plan_workspace {
	int userns_fd;        /* U1 to join, or -1 */
	int mntns_fd;         /* U1's mount namespace holding /datasets and /workspace, or -1 */
	const char *host_dir; /* instead: a host mount holding datasets/ and workspace/ */
	uid_t outer_uid;      /* the one uid and gid of the payload, as seen in U1 (or on the */
	gid_t outer_gid;      /*   host when host_dir is used): 0 when unprivileged */
	bool mapped;          /* host_dir, as root: what is volume_uid's and volume_gid's there */
	uid_t volume_uid;     /*   shall be the payload's, by an idmapped mount */
	gid_t volume_gid;
};

/* What a Jupyter kernel needs besides being a command.  Its clients are outside, its sockets
 * inside: pid 1 connects to them and passes the connection out; nothing of the host's network ever
 * goes in. */
#define PLAN_CHANNELS 5
struct plan_kernel {
	const char *file; /* made before it starts, mode 0600: a clean absolute path inside */
	const char *text; /* what is in it */
	uint16_t ports[PLAN_CHANNELS]; /* of the inner loopback; 0 with 'sockets' */
	const char *sockets; /* instead: channel i is the socket "SOCKETS-<i+1>"; NULL = ports */
	const char *links;   /* a directory inside: what is in it is linked from 'cwd', under the
				same names, where these are free; or NULL */
};

struct sandbox_plan {
	struct plan_workspace workspace;
	bool home_persist;             /* $HOME is /workspace/.home instead of a tmpfs */
	uid_t uid;                     /* inside; gid is the same number */
	const char *hostname;          /* "sandbox" */
	const char *cwd;               /* inside */
	const struct plan_bind *binds; /* --ro */
	size_t nbinds;
	const struct plan_direct *directs;
	size_t ndirects;
	char *const *argv; /* NULL-terminated, argv[0] looked up in the inner PATH */
	char *const *envp; /* NULL-terminated, complete */
	struct plan_limits limits;
	bool tty; /* make a pty inside; its master comes out of the launch */
	unsigned short tty_rows, tty_cols; /* the first size of it, 0 = unknown */
	int stdio[3]; /* when !tty: descriptors that become 0, 1, 2 inside (borrowed) */
	const struct plan_kernel *kernel; /* NULL = an ordinary command */
	bool allow_degraded;
	bool explain;       /* count and name the system calls that are refused */
	const char *run_id; /* names the cgroups: "20261120T101500Z-7f3a" */
};

#define PLAN_BINDS_MAX 64

/* Everything that can be refused before anything is done: -EINVAL and a sentence that names the
 * part and what is allowed. */
int plan_validate(const struct sandbox_plan *p, struct err *err);
