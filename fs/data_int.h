/* What the parts of the datasets layer share. Included by fs/data*.c only. */
#pragma once

#include <stdatomic.h>

#include "fs/data.h"
#include "fs/tree.h"

#define DATA_DEVICES 64

struct source {
	char *name, *path;
	const char *base; /* last component of 'path' */
	enum data_what what;
	char **include, **exclude; /* patterns of data_filter.h, NULL-terminated */
};

struct data {
	struct arch_cache *archives;
	void *user;
	struct tree *tree; /* its lock guards 'sources' and 'devices' too */
	struct source *sources;
	size_t nsources;
	atomic_bool has_parts;       /* some of them are not shown whole */
	dev_t devices[DATA_DEVICES]; /* seen so far: inode numbers of different ones must differ */
	size_t ndevices;
	dev_t own[2];
	bool has_own;
	uid_t uid;
	gid_t gid;
};

void data_sources_free(struct source *s, size_t n);

/* What a node is, by its place: */
enum data_kind {
	DATA_ROOT,
	DATA_SOURCE_DIR,  /* the top of a dataset that is a directory */
	DATA_SOURCE_FILE, /* the made-up directory around a single file */
	DATA_FILE,        /* that single file */
	DATA_BELOW,       /* whatever is inside a directory dataset */
};

/* An open file: of the host, or of an archive. */
struct data_file {
	struct data *d;
	uint64_t nodeid;
	int fd;            /* -1: */
	struct arch *arch; /* referenced and in use */
	uint32_t inode;
};

/* Where a node is reached: a descriptor of its parent and its name there, or of the source. */
struct spot {
	enum data_kind kind;
	int dirfd;      /* owned by the spot; -1 for ROOT and SOURCE_FILE */
	char name[256]; /* "" = the descriptor itself (SOURCE_DIR) */
};

/* -ESTALE: unknown; -ENOENT: its source or its way is gone. */
int spot_get(struct data *d, struct node *n, struct spot *ret);
void spot_put(struct spot *s);
/* A directory to look into: descriptor (O_PATH, caller closes), or the kind for made-up ones. */
int spot_dir(struct data *d, struct node *n, enum data_kind *ret_kind, int *ret_fd);

/* Raw attributes below a directory, own mounts left out. */
int raw_stat(struct data *d, int dirfd, const char *name, struct stat *ret);
/* What is shown. */
void data_show(struct data *d, int dirfd, const char *name, const struct stat *raw,
	       struct stat *ret);
void data_show_made_up(struct data *d, const char *name, struct stat *ret);
uint64_t data_ino(struct data *d, dev_t dev, uint64_t ino);
/* data_part.c.  Is 'name' in node 'n' ("": the node itself) shown? 0, -ENOENT, -ENOMEM. */
int part_check(struct data *d, struct node *n, const char *name, bool is_dir);
/* Is the node in a dataset of which a part is shown? */
bool part_is(struct data *d, const struct node *n);
/* In such a one attributes tell nothing of what is left out. */
void part_show(struct data *d, const struct node *n, struct stat *st);

/* The node of a name with this inode; counts a lookup. */
int data_adopt(struct data *d, struct node *parent, const char *name, const struct stat *raw,
	       struct node **ret);
int data_node(struct data *d, uint64_t nodeid, struct node **ret);
/* 0, or -ESTALE: another inode than the node's. */
int data_same_inode(const struct node *n, const struct stat *st);
