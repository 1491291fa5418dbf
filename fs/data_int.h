/* What the parts of the datasets layer share. Included by fs/data*.c only. */
#pragma once

#include <stdatomic.h>

#include "fs/data.h"
#include "fs/pin.h"
#include "fs/tree.h"

#define DATA_DEVICES 64

struct source {
	char *name, *path;
	const char *base; /* last component of 'path' */
	enum data_what what;
	char **include, **exclude; /* patterns of data_filter.h, NULL-terminated */
	bool pinned;
	struct pin *pin;
};

struct data {
	struct arch_cache *archives;
	void *user;
	struct tree *tree; /* its lock guards 'sources' and 'devices' too */
	struct source *sources;
	size_t nsources;
	atomic_bool has_parts;       /* some of them are not shown whole */
	atomic_bool has_pins;        /* some of them are pinned */
	dev_t devices[DATA_DEVICES]; /* seen so far: inode numbers of different ones must differ */
	size_t ndevices;
	dev_t own[2];
	bool has_own;
	uid_t uid;
	gid_t gid;
	void (*log)(void *ctx, const char *line);
	void *log_ctx;
	struct data_leaves *leaves; /* data_pin.c */
	struct arch_pin *arch_pins; /* data_arch_pin.c */
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
	/* Pinned: */
	struct pin *pin; /* referenced */
	uint32_t record;
	uint64_t size, leaf; /* its first one */
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
/* What the host mounted below a dataset is no part of it: left out of lookups, listings and pins.
 */
int data_open_below(int dirfd, const char *name, int flags);
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
	       uint32_t pin_id, struct node **ret);
int data_node(struct data *d, uint64_t nodeid, struct node **ret);
/* 0, or -ESTALE: another inode than the node's. */
int data_same_inode(const struct node *n, const struct stat *st);

/* -- data_pin.c ------------------------------------------------------------- */

/* Where something is in the pin of its dataset. */
struct pin_place {
	struct pin *pin; /* referenced; NULL: not pinned */
	uint32_t i;
	struct pin_record rec;
};
void pin_place_put(struct pin_place *p);
#define autoplace __attribute__((cleanup(pin_place_put)))

/* Of a node.  -ESTALE: it is from another pin; -EIO: the pin cannot be used (told once). */
int pin_of_node(struct data *d, struct node *n, struct pin_place *ret);
/* Of the top of a dataset. */
int pin_of_top(struct data *d, const char *dataset, struct pin_place *ret);
/* Of 'name' in the directory at 'dir', which is pinned; 'r' and 'raw' are what the host says of it.
 * -ENOENT: it was not pinned; -EIO: it is gone or another than what was pinned. */
int pin_of_name(struct data *d, const struct pin_place *dir, const char *name, int r,
		const struct stat *raw, struct pin_place *ret);
/* Is that what was pinned? 0 or -EIO; true without a pin. */
int pin_check_stat(struct data *d, const struct pin_place *p, const struct stat *raw);
/* What the host says of it, 'r', when it is a pinned name that is not there. */
int pin_gone(struct data *d, const struct pin_place *p, int r);
int pin_check_target(struct data *d, const struct pin_place *p, const char *target);
/* What is shown of it. */
void pin_show(const struct pin_place *p, struct stat *st);
static inline uint32_t pin_place_id(const struct pin_place *p)
{
	return p->pin ? pin_id(p->pin, p->i) : 0;
}
/* Pinned bytes; -EIO (told once) when they are others. */
ssize_t pin_read(struct data_file *f, uint8_t *buf, size_t size, uint64_t off);
int data_leaves_new(struct data_leaves **ret);
void data_leaves_free(struct data_leaves *l);
/* A line in the log about record 'i', once for each 'what'. Returns -EIO. */
enum pin_said {
	SAID_NEW = 1,
	SAID_GONE,
	SAID_TYPE,
	SAID_MODE,
	SAID_SIZE,
	SAID_TARGET,
	SAID_BYTES,
	SAID_ARCHIVE,
	SAID_PIN
};
/* The pin itself cannot be read: told once. Returns -EIO, of no memory -ENOMEM. */
int pin_broken(struct data *d, struct pin *p, int r);
int pin_say(struct data *d, struct pin *p, uint32_t i, enum pin_said what, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* -- data_arch_pin.c: archives ---------------------------------------------- */

/* May this state of an archive be shown as the dataset?  Its whole tree of names is compared with
 * the pin at the first time.  0 or -EIO. */
int arch_pin_check(struct data *d, const char *dataset, struct arch *a);
/* A file of it is being opened: how it is verified. -ESTALE: this state was not checked. */
int arch_pin_open(struct data *d, struct data_file *f);
void arch_pins_free(struct data *d);
