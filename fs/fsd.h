/* The daemon of one workspace: its state, shared by main.c, serve.c, control*.c and mounts.c.  Only
 * the main thread uses it; the threads of the sessions know their layers, the store its own.
 *
 * It stays in the host's namespaces with its user's rights, for it reads datasets and the store; it
 * never runs anybody's code and never touches its own mounts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"
#include "fs/mounter.h"

struct arch_cache;
struct brake;
struct data;
struct err;
struct msglog;
struct out;
struct pin_job;
struct pin_jobs;
struct quota;
struct session;
struct store;
struct volume;

/* One client. A session is a connection that asked for one. */
struct conn {
	struct conn *next;
	int fd;
	pid_t pid;    /* from the socket, not from what it says */
	char run[64]; /* session: its run; else "" */
	char since[32];
	char indexed[65]; /* the last dataset whose archive was indexed for it */
	struct pin_job *job;
	char *job_for; /* what it is about */
};

enum mount_kind { MOUNTED_NOT, MOUNTED_PRIVATE, MOUNTED_HOST };
enum {
	MOUNT_DATASETS = MOUNTER_DATASETS,
	MOUNT_WORKSPACE = MOUNTER_WORKSPACE,
	MOUNT_COUNT = MOUNTER_COUNT
};

struct mounts {
	enum mount_kind kind;
	struct session *session[MOUNT_COUNT]; /* NULL: gone */
	int userns_fd, mntns_fd;              /* private: U1, kept alive by these */
	char *dir;                            /* host */
	struct brake *brake;                  /* of the workspace's mount */
	uint64_t writing_dev;                 /* and its device number */
	uid_t uid;                            /* owner of everything, as the mounts show it */
	gid_t gid;
};

struct fsd {
	struct volume *vol;
	struct quota *quota;
	struct store *store;
	struct out *out;
	struct arch_cache *archives;
	struct data *data;
	struct pin_jobs *pin_jobs;
	int pins; /* WS/pins, or -1 */
	struct msglog *log;
	struct mounts mounts;
	struct mounter mounter;
	struct conn *conns;
	int listener, signals;
	int starter; /* the one that started us, until it hangs up; or -1 */
	char socket_name[64];
	bool stop; /* SIGTERM */
	bool had_client;
};

/* -- mounts.c ------------------------------------------------------------- */

/* U1 with both mounts in it; does nothing when it is there. -EBUSY while mounted on the host. */
int mounts_private(struct fsd *d, struct err *err);
/* On the host, below 'dir'. -EBUSY while sessions run or when mounted already. */
int mounts_host(struct fsd *d, const char *dir, struct err *err);
/* Sessions whose kernel side went: after a host mount was taken away by somebody. */
void mounts_collect(struct fsd *d);
/* Unmount, serve the last writes, stop the threads, forget everything the kernel knew. */
void mounts_end(struct fsd *d);
/* The id that code shall have on the host when we are root; false: no second id here. */
bool payload_id(const uint8_t vol_id[static 16], uid_t *ret);
bool has_sessions(const struct fsd *d);
/* opcodes.c: what the kernel asked of the workspace's mount so far: {"lookup":12,..}. */
json_t *mounts_requests(const struct fsd *d);

/* -- control.c ------------------------------------------------------------ */

/* Serve what a client asks; false: it left. */
bool control_serve(struct fsd *d, struct conn *c);
/* A client leaves: what was made for it and never added goes, too. */
void control_forget(struct fsd *d, struct conn *c);
/* What a daemon that was killed left of datasets that never came to be. */
void datasets_sweep(struct fsd *d);
/* Give the datasets of the settings to the layer. */
int datasets_apply(struct fsd *d, struct err *err);

/* -- serve.c -------------------------------------------------------------- */

struct serve_options {
	const char *ws, *passphrase_file, *recovery_file;
	int ready_fd;
	bool foreground;
};

/* All of it. Returns the exit code of the program. */
int serve(const struct serve_options *o);
/* Say on the ready descriptor and to ourselves: {"ok":true,...} or the error. */
json_t *reply_ok(void);
json_t *reply_error(int code, const struct err *err);

/* -- fsck_main.c ----------------------------------------------------------- */

/* "sbxfsd fsck ..": argv[0] is the verb. Returns the exit code of the program. */
int cmd_fsck(int argc, char **argv);
