/* What POSIX and Linux promise of a filesystem, thousands of single checks.  The program runs in an
 * empty directory: on the host's own filesystem (the control, which shows that a check is right),
 * on a mount, and inside the sandbox.  Root also acts as other users; somebody else checks what
 * they may. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

extern bool is_root;
extern bool in_sandbox; /* no ids but one's own, and Landlock */

/* One check: 'good' must hold. The rest says what it is about, as for printf. */
void ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The call must fail with 'want', or work if that is 0. */
#define GIVES(call, want, ...)                                                                     \
	do {                                                                                       \
		long r_ = (errno = 0, (long)(call));                                               \
		gives(r_ < 0 ? errno : 0, want, __VA_ARGS__);                                      \
	} while (0)
void gives(int got, int want, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Root acts as somebody, with one supplementary group (0: none); and as itself again. */
void be(uid_t uid, gid_t gid, gid_t extra);
void be_root(void);

/* Everything of the name, whatever it is. */
void wipe(const char *path);
/* An inode of a type (S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFLNK), mode 0644 or 0755; symlinks
 * lead to "target". */
void make(const char *path, mode_t type);
void put(const char *path, const char *text);
const char *type_name(mode_t type);
extern const mode_t types[5];
mode_t mode_of(const char *path); /* permission bits, by lstat */

void check_modes(void);
void check_owners(void);
void check_paths(void);
void check_names(void);
void check_times(void);
void check_files(void);
