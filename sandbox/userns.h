/* User namespaces: id maps of one single id, and sentences for hosts that forbid them. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;

/* Write setgroups, gid_map and uid_map of 'pid' (0: this process): inside 'inner' is 'outer' of the
 * parent namespace. The writer is in the parent namespace with rights, or maps its own id. */
int userns_map(pid_t pid, uid_t inner, uid_t outer_uid, gid_t outer_gid, struct err *err);

/* The descriptor of a new user namespace without members, in which the ids 'uid' and 'gid' are
 * 'outer_uid' and 'outer_gid' of ours: what mnt_idmap() takes. For root. */
int userns_for_idmap(uid_t uid, gid_t gid, uid_t outer_uid, gid_t outer_gid, struct err *err);

/* Set the limits of nested namespaces in the caller's user namespace, so that exactly one more user
 * namespace (the second level) can be made below it and nothing else ever.  'proc_fd': a procfs
 * that is still writable. */
int userns_limit_nested(int proc_fd, struct err *err);
/* Second level: a new user namespace in which this process is 'uid'.  The mounts made before belong
 * to the first level from then on: no right that the payload could regain reaches them. */
int userns_second_level(uid_t uid, struct err *err);

/* -EPERM, with a sentence, when 'outer' of the caller's namespace would be the root of the
 * namespace that 'parent_map' (the text of its /proc/self/uid_map) describes, although that has
 * other ids to give: foreign code never runs as a root that can be avoided.  'own_map' is the
 * caller's text, NULL when it still is in that namespace.  Pure. */
int userns_refuse_root(const char *parent_map, const char *own_map, uid_t outer, struct err *err);

/* The cause, as far as the host tells, of a clone or unshare that failed with 'code': a sentence
 * with the remedy. */
int userns_explain(int code, struct err *err);
/* Where AppArmor restricts user namespaces, and we are no root: true, with that cause and its
 * remedy as the sentence.  A namespace can be made there, but nothing can be done in it. */
bool userns_apparmor(struct err *err);
