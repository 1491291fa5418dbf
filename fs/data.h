/* The datasets: host directories, files and archives under one root, read-only.  No FUSE in here;
 * ops_data.c translates requests.  Thread-safe.  0, a count, or negative errno.
 *
 * Node ids and lookups work as in fs/out.h.  Unlike there, the host may change these trees at any
 * time: names are asked for at every lookup, a node remembers which inode it stood for, and answers
 * -ESTALE (the kernel then looks again) when another has taken its place. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct arch_cache;
struct data;
struct node;
struct pin;

/* 'archives' is borrowed. */
int data_new(struct arch_cache *archives, struct data **ret);
void data_free(struct data *d);
/* For who serves it: kept, not looked at. */
void data_set_user(struct data *d, void *user);
void *data_user(const struct data *d);
/* Where damage is told. */
void data_set_log(struct data *d, void (*log)(void *ctx, const char *line), void *ctx);
void data_set_owner(struct data *d, uid_t uid, gid_t gid);
/* Devices of our own mounts on the host: never entered, for we would wait for ourselves. */
void data_set_own_devices(struct data *d, const dev_t devs[static 2]);
void data_own_devices(const struct data *d, dev_t ret[static 2]);
/* The kernel side is gone. No request may be running. */
void data_reset(struct data *d);

/* Datasets by name; DATA_IS_FILE: the source is one file, shown as NAME/<its name>.  Replaces the
 * whole list; all strings are copied. */
enum data_what { DATA_IS_DIR, DATA_IS_FILE, DATA_IS_ARCHIVE };
struct data_source {
	const char *name;
	const char *source; /* absolute, without symlinks */
	enum data_what what;
	/* Of a directory: which part of it is shown (fs/data_filter.h); NULL-terminated, or NULL.
	 */
	const char *const *include, *const *exclude;
	/* What is read must be what was pinned.  Without the pin (NULL) nothing of it is shown. */
	bool pinned;
	struct pin *pin; /* a reference is taken */
};
int data_set_sources(struct data *d, const struct data_source *s, size_t n);
/* The pin that a dataset has now, if its table has this digest, with a reference; or NULL. */
struct pin *data_pin_now(struct data *d, const char *name, const uint8_t *table);
/* A descriptor of a source: no symlink anywhere in its path is followed. */
int data_source_open(const char *path, int flags);
/* Can it be reached now? */
bool data_reachable(const struct data_source *s);

/* Is a source below this directory? Its name then. */
bool data_has_below(struct data *d, const char *dir, char ret_name[static 64]);

struct data_entry {
	uint64_t nodeid;
	struct stat st;
};
/* Neither this inode nor its names will ever change. */
bool data_is_fixed(uint64_t nodeid);

/* -EINPROGRESS: an archive is being indexed: ask again. */
int data_lookup(struct data *d, uint64_t parent, const char *name, struct data_entry *ret);
void data_forget(struct data *d, uint64_t nodeid, uint64_t nlookup);
int data_getattr(struct data *d, uint64_t nodeid, struct stat *ret);
int data_readlink(struct data *d, uint64_t nodeid, char *buf, size_t size);
/* '*ret_keep': what the kernel cached of it is still right. */
struct data_file;
int data_open(struct data *d, uint64_t nodeid, int flags, struct data_file **ret, bool *ret_keep);
void data_close(struct data_file *f);
/* Of the host's file, borrowed; -1: only data_read() may read it: it is a member of an archive, or
 * pinned. */
int data_fd(const struct data_file *f);
/* Up to 'size' bytes; fewer at the end. '*ret_changed': the host has changed the file since it was
 * looked at last, so that what the kernel cached of it is not right any more. -EINPROGRESS: it is
 * being unpacked: ask again. */
ssize_t data_read(struct data_file *f, void *buf, size_t size, uint64_t off, bool *ret_changed);
/* As lseek(2) with SEEK_DATA or SEEK_HOLE. */
off_t data_seek(struct data_file *f, off_t off, int whence);

/* Listings. One thread at a time per handle. */
struct data_dir;
struct data_dirent {
	const char *name;
	uint64_t ino;
	mode_t type;
	uint64_t next_off;
};
int data_opendir(struct data *d, uint64_t nodeid, struct data_dir **ret);
void data_closedir(struct data_dir *dir);
void data_seekdir(struct data_dir *dir, uint64_t off);
bool data_readdir(struct data_dir *dir, struct data_dirent *ret); /* false at the end */
/* Why it ended: 0, or what it cannot go on for. */
int data_dir_error(const struct data_dir *dir);
/* Its names will never change. */
bool data_dir_is_fixed(const struct data_dir *dir);
/* Of what data_readdir() showed last; counts a lookup. */
int data_dir_entry(struct data_dir *dir, struct data_entry *ret);
