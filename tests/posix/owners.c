/* Owners, and what who may do: by class, in sticky directories, with set-id bits. */
#include "tests/posix/posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { U1 = 3001, U2 = 3002, G1 = 4001, G2 = 4002, G3 = 4003 };

static const struct who {
	const char *name;
	uid_t uid;
	gid_t gid, extra;
	int shift; /* of the bits that count for what belongs to U1 and G1 */
} whos[] = {
	{ "the owner", U1, G2, 0, 6 }, { "the owner, also of the group", U1, G1, 0, 6 },
	{ "the group", U2, G1, 0, 3 }, { "a supplementary group", U2, G2, G1, 3 },
	{ "others", U2, G2, G3, 0 },
};

enum { NWHO = sizeof(whos) / sizeof(whos[0]) };

static int opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd >= 0)
		close(fd);
	return fd;
}

/* The class decides by its own bits, however generous the others are. */
static mode_t mode_for(const struct who *w, mode_t bits)
{
	return (bits << w->shift) | (~(07u << w->shift) & 0777 & ~(bits * 0111u));
}

static void files_for(const struct who *w, mode_t bits)
{
	const int r = bits & 4 ? 0 : EACCES, wr = bits & 2 ? 0 : EACCES, x = bits & 1 ? 0 : EACCES;

	GIVES(opens("f", O_RDONLY), r, "%s reads with bits %o", w->name, bits);
	GIVES(opens("f", O_WRONLY), wr, "%s writes with bits %o", w->name, bits);
	GIVES(opens("f", O_RDWR), r ? r : wr, "%s reads and writes with bits %o", w->name, bits);
	GIVES(opens("f", O_RDONLY | O_TRUNC), wr ? wr : r, "%s empties with bits %o", w->name,
	      bits);
	GIVES(truncate("f", 0), wr, "%s truncates with bits %o", w->name, bits);
	GIVES(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS), r, "%s, R_OK, bits %o", w->name, bits);
	GIVES(faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS), wr, "%s, W_OK, bits %o", w->name, bits);
	GIVES(faccessat(AT_FDCWD, "f", X_OK, AT_EACCESS), x, "%s, X_OK, bits %o", w->name, bits);
	GIVES(utimensat(AT_FDCWD, "f", NULL, 0), w->uid == U1 ? 0 : wr, "%s touches with bits %o",
	      w->name, bits);
	GIVES(setxattr("f", "user.a", "b", 1, 0), wr, "%s sets an attribute with bits %o", w->name,
	      bits);
	GIVES(getxattr("f", "user.0", NULL, 0), r ? r : ENODATA, "%s gets one with bits %o",
	      w->name, bits);
	GIVES(chmod("f", mode_for(w, bits)), w->uid == U1 ? 0 : EPERM, "%s changes bits %o",
	      w->name, bits);
	GIVES(opens("p", O_RDONLY | O_NONBLOCK), r, "%s opens a fifo with bits %o", w->name, bits);
}

static void dirs_for(const struct who *w, mode_t bits)
{
	const int r = bits & 4 ? 0 : EACCES, x = bits & 1 ? 0 : EACCES;
	const int change = (bits & 3) == 3 ? 0 : EACCES;
	struct stat st;

	GIVES(opens("d", O_RDONLY | O_DIRECTORY), r, "%s lists with bits %o", w->name, bits);
	GIVES(stat("d/in", &st), x, "%s looks below bits %o", w->name, bits);
	GIVES(stat("d/none", &st), x ? x : ENOENT, "%s looks for nothing below %o", w->name, bits);
	GIVES(opens("d/in", O_RDONLY), x, "%s opens below bits %o", w->name, bits);
	GIVES(opens("d/new", O_WRONLY | O_CREAT), change, "%s creates below bits %o", w->name,
	      bits);
	GIVES(rename("d/new", "d/new2"),
	      x        ? x
	      : change ? ENOENT
		       : 0,
	      "%s renames below bits %o", w->name, bits);
	GIVES(unlink("d/new2"),
	      x        ? x
	      : change ? ENOENT
		       : 0,
	      "%s removes below bits %o", w->name, bits);
	GIVES(mkdir("d/sub", 0755), change, "%s makes a directory below bits %o", w->name, bits);
	GIVES(rmdir("d/sub"),
	      x        ? x
	      : change ? ENOENT
		       : 0,
	      "%s removes it below bits %o", w->name, bits);
	GIVES(mkfifo("d/fifo", 0644), change, "%s makes a fifo below bits %o", w->name, bits);
	GIVES(symlink("t", "d/sym"), change, "%s makes a symlink below bits %o", w->name, bits);
	GIVES(link("d/in", "d/hard"), x ? x : change, "%s links below bits %o", w->name, bits);
	GIVES(rename("d/in", "d/in"), x, "%s renames to the same below bits %o", w->name, bits);
	GIVES(chdir("d"), x, "%s enters bits %o", w->name, bits);
	if (x == 0)
		GIVES(chdir(".."), 0, "and leaves");
}

static void check_classes(void)
{
	put("f", "text");
	make("p", S_IFIFO);
	GIVES(chown("f", U1, G1) | chown("p", U1, G1), 0, "chown");
	for (size_t i = 0; i < NWHO; i++) {
		for (mode_t bits = 0; bits < 8; bits++) {
			const struct who *w = &whos[i];

			make("d", S_IFDIR);
			put("d/in", "x");
			GIVES(chown("d/in", w->uid, G1) | chmod("d/in", 0666), 0, "chown");
			GIVES(chown("d", U1, G1), 0, "chown");
			GIVES(chmod("f", mode_for(w, bits)) | chmod("p", mode_for(w, bits)), 0,
			      "chmod");
			GIVES(chmod("d", mode_for(w, bits)), 0, "chmod");
			be(w->uid, w->gid, w->extra);
			files_for(w, bits);
			dirs_for(w, bits);
			be_root();
			wipe("d");
		}
	}
	GIVES(chmod("f", 0), 0, "chmod");
	GIVES(opens("f", O_RDWR), 0, "root opens with no bits at all");
	GIVES(access("f", X_OK), EACCES, "root executes what nobody may");
}

/* -- chown ---------------------------------------------------------------- */

static void chown_one(mode_t type, const struct who *w, uid_t uid, gid_t gid)
{
	bool root = !w, owner = w && w->uid == U1;
	bool own_group = w && (gid == w->gid || (w->extra && gid == w->extra));
	bool may = root || (owner && (uid == (uid_t)-1 || uid == U1) &&
			    (gid == (gid_t)-1 || own_group || gid == G1));
	uid_t want_uid = may && uid != (uid_t)-1 ? uid : U1;
	gid_t want_gid = may && gid != (gid_t)-1 ? gid : G1;
	const char *name = root ? "root" : w->name;
	struct stat st;

	/* Set-id bits would go, which is a change after all: Linux filesystems disagree. */
	if (type == S_IFREG && w && !owner && uid == (uid_t)-1 && gid == (gid_t)-1)
		return;
	if (w && owner && uid == (uid_t)-1 && gid == (gid_t)-1)
		may = true;
	else if (w && !owner && uid == (uid_t)-1 && gid == (gid_t)-1)
		may = true; /* nothing is asked for */
	make("x", type);
	GIVES(lchown("x", U1, G1), 0, "lchown of %s", type_name(type));
	if (type == S_IFREG)
		GIVES(chmod("x", 06755), 0, "chmod");
	if (w)
		be(w->uid, w->gid, w->extra);
	GIVES(lchown("x", uid, gid), may ? 0 : EPERM, "%s gives %s to %d:%d", name, type_name(type),
	      (int)uid, (int)gid);
	be_root();
	ok(lstat("x", &st) == 0 && st.st_uid == want_uid && st.st_gid == want_gid,
	   "%s gave %s to %d:%d, it is %u:%u's", name, type_name(type), (int)uid, (int)gid,
	   st.st_uid, st.st_gid);
	if (type == S_IFREG && may && (uid != (uid_t)-1 || gid != (gid_t)-1))
		ok((st.st_mode & 06000) == 0, "%s gave a file with set-id bits to %d:%d: mode %o",
		   name, (int)uid, (int)gid, st.st_mode & 07777);
	wipe("x");
}

static void check_chown(void)
{
	static const uid_t uids[] = { (uid_t)-1, 0, U1, U2 };
	static const gid_t gids[] = { (gid_t)-1, 0, G1, G2, G3 };

	for (size_t t = 0; t < 5; t++)
		for (size_t w = 0; w <= NWHO; w++)
			for (size_t u = 0; u < 4; u++)
				for (size_t g = 0; g < 5; g++)
					chown_one(types[t], w < NWHO ? &whos[w] : NULL, uids[u],
						  gids[g]);
}

/* -- sticky directories, set-gid directories ------------------------------- */

static void sticky_one(uid_t dir_uid, uid_t file_uid, bool sticky, mode_t type)
{
	bool may = !sticky || dir_uid == U2 || file_uid == U2;
	int want = may ? 0 : EPERM;

	make("d", S_IFDIR);
	make("d/x", type);
	make("d/y", type == S_IFDIR ? S_IFDIR : S_IFREG);
	GIVES(lchown("d/x", file_uid, G1) | lchown("d/y", file_uid, G1), 0, "lchown");
	GIVES(chown("d", dir_uid, G1) | chmod("d", sticky ? 01777 : 0777), 0, "chmod");
	if (type == S_IFDIR)
		GIVES(chmod("d/x", 0777), 0, "chmod");
	make("mine", type == S_IFDIR ? S_IFDIR : S_IFREG);
	GIVES(chown("mine", U2, G2), 0, "chown");
	GIVES(chmod(".", 0777), 0, "chmod");
	be(U2, G2, 0);
	GIVES(rename("d/x", "d/z"), want, "rename of %s of %u in a %s directory of %u",
	      type_name(type), file_uid, sticky ? "sticky" : "plain", dir_uid);
	GIVES(rename("mine", "d/y"), want, "rename over %s of %u in a %s directory of %u",
	      type_name(type), file_uid, sticky ? "sticky" : "plain", dir_uid);
	GIVES(type == S_IFDIR ? rmdir(may ? "d/z" : "d/x") : unlink(may ? "d/z" : "d/x"), want,
	      "removing %s of %u from a %s directory of %u", type_name(type), file_uid,
	      sticky ? "sticky" : "plain", dir_uid);
	be_root();
	wipe("d");
	wipe("mine");
}

static void check_sticky(void)
{
	static const uid_t uids[] = { 0, U1, U2 };

	for (size_t t = 0; t < 5; t++)
		for (size_t a = 0; a < 3; a++)
			for (size_t b = 0; b < 3; b++)
				for (int s = 0; s < 2; s++)
					sticky_one(uids[a], uids[b], s, types[t]);
}

static void check_new_owner(void)
{
	struct stat st;

	for (int setgid = 0; setgid < 2; setgid++) {
		for (size_t i = 0; i < NWHO; i++) {
			make("d", S_IFDIR);
			GIVES(chown("d", 0, G3) | chmod("d", setgid ? 02777 : 0777), 0, "chmod");
			for (size_t t = 0; t < 5; t++) {
				be(whos[i].uid, whos[i].gid, whos[i].extra);
				make("d/x", types[t]);
				be_root();
				ok(lstat("d/x", &st) == 0 && st.st_uid == whos[i].uid &&
					   st.st_gid == (setgid ? G3 : whos[i].gid),
				   "%s made by %s in a %s directory is %u:%u's",
				   type_name(types[t]), whos[i].name, setgid ? "set-gid" : "plain",
				   st.st_uid, st.st_gid);
				if (types[t] == S_IFDIR)
					ok(!!(st.st_mode & S_ISGID) == setgid,
					   "a directory in a %s one: mode %o",
					   setgid ? "set-gid" : "plain", st.st_mode & 07777);
				wipe("d/x");
			}
			wipe("d");
		}
	}
}

/* -- set-id bits ---------------------------------------------------------- */

static int act_write(const char *p)
{
	int fd = open(p, O_WRONLY | O_CLOEXEC), r = write(fd, "x", 1) == 1 ? 0 : -1;

	return close(fd) | r;
}

static int act_append(const char *p)
{
	int fd = open(p, O_WRONLY | O_APPEND | O_CLOEXEC), r = write(fd, "xyz", 3) == 3 ? 0 : -1;

	return close(fd) | r;
}

static int act_truncate(const char *p)
{
	return truncate(p, 2);
}

static int act_empty(const char *p)
{
	return close(open(p, O_WRONLY | O_TRUNC | O_CLOEXEC));
}

static int act_read(const char *p)
{
	return close(open(p, O_RDONLY | O_CLOEXEC));
}

static const struct {
	const char *name;
	int (*fn)(const char *path);
	bool strips;
} acts[] = {
	{ "a write", act_write, true },         { "an append", act_append, true },
	{ "truncate", act_truncate, true },     { "O_TRUNC", act_empty, true },
	{ "opening to read", act_read, false },
};

static void check_setid(void)
{
	static const mode_t modes[] = { 04777, 02777, 06777, 02767, 06766, 0777 };

	for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
		for (size_t m = 0; m < 6; m++) {
			for (int as_root = 0; as_root < 2; as_root++) {
				mode_t want = modes[m];

				put("x", "some text");
				GIVES(chown("x", U1, G1) | chmod("x", modes[m]), 0, "chmod");
				if (!as_root)
					be(U1, G1, 0);
				GIVES(acts[a].fn("x"), 0, "%s", acts[a].name);
				be_root();
				if (acts[a].strips && !as_root)
					want &= ~(mode_t)(S_ISUID | (want & S_IXGRP ? S_ISGID : 0));
				ok(mode_of("x") == want, "mode %o after %s by %s: %o", modes[m],
				   acts[a].name, as_root ? "root" : "the owner", mode_of("x"));
				wipe("x");
			}
		}
	}
}

/* Of somebody who is not root. */
static void check_own(void)
{
	/* An id that does not exist in the user namespace is not valid. */
	const int refused = is_root ? 0 : in_sandbox ? EINVAL : EPERM;
	struct stat st;

	for (size_t t = 0; t < 5; t++) {
		make("x", types[t]);
		ok(lstat("x", &st) == 0 && st.st_uid == geteuid() && st.st_gid == getegid(),
		   "%s is its maker's", type_name(types[t]));
		GIVES(lchown("x", geteuid(), getegid()), 0, "chown to oneself");
		GIVES(lchown("x", (uid_t)-1, (gid_t)-1), 0, "chown to nobody");
		GIVES(lchown("x", 0, (gid_t)-1), refused, "chown to root");
		GIVES(lchown("x", (uid_t)-1, 0), refused, "chown to root's group");
		wipe("x");
	}
	put("x", "text");
	for (mode_t mode = 0; mode < 01000; mode += 0111) {
		GIVES(chmod("x", mode), 0, "chmod");
		if (is_root)
			break;
		GIVES(opens("x", O_RDONLY), mode & 0400 ? 0 : EACCES, "reading mode %o", mode);
		GIVES(opens("x", O_WRONLY), mode & 0200 ? 0 : EACCES, "writing mode %o", mode);
	}
}

void check_owners(void)
{
	if (is_root) {
		check_classes();
		check_chown();
		check_sticky();
		check_new_owner();
		check_setid();
	}
	check_own();
}
