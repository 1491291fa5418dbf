/* A FUSE filesystem that stores nothing: names and sizes are in memory, what is written is thrown
 * away, what is read is zeros.  With the same kernel settings as a workspace it shows how fast any
 * filesystem in user space could be on this machine; the rest is what storing and sealing cost.
 *
 *   nullfs MOUNTPOINT [THREADS]      serves until unmounted; root raises the mount's limits */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BUCKETS 65536u
#define TIMEOUT 86400.0

struct node {
	struct node *next;
	fuse_ino_t parent;
	struct stat st;
	char name[];
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* guards the table and the sizes */
static struct node *table[BUCKETS];
static struct node *root;
static char zeros[1 << 20];

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? root : (struct node *)ino;
}

static struct node **slot(fuse_ino_t parent, const char *name)
{
	unsigned long h = parent * 0x9E3779B97F4A7C15ul;
	struct node **p;

	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 0x100000001B3ul;
	p = &table[h >> 20 & (BUCKETS - 1)];
	while (*p && ((*p)->parent != parent || strcmp((*p)->name, name) != 0))
		p = &(*p)->next;
	return p;
}

static struct node *node_new(fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *n = calloc(1, sizeof(*n) + strlen(name) + 1);

	if (!n)
		exit(1);
	strcpy(n->name, name);
	n->parent = parent;
	n->st.st_mode = mode;
	n->st.st_nlink = S_ISDIR(mode) ? 2 : 1;
	n->st.st_uid = getuid();
	n->st.st_gid = getgid();
	n->st.st_blksize = 4096;
	n->st.st_ino = (ino_t)(parent ? (fuse_ino_t)n : FUSE_ROOT_ID);
	return n;
}

static struct fuse_entry_param entry(struct node *n)
{
	return (struct fuse_entry_param){ .ino = (fuse_ino_t)n,
					  .attr = n->st,
					  .attr_timeout = TIMEOUT,
					  .entry_timeout = TIMEOUT };
}

static struct node *add(fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *n = node_new(parent, name, mode);

	pthread_rwlock_wrlock(&lock);
	*slot(parent, name) = n;
	pthread_rwlock_unlock(&lock);
	return n;
}

static void op_init(void *data, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & (FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ATOMIC_O_TRUNC |
				       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_write = 1 << 20;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .entry_timeout = TIMEOUT };
	struct node *n;

	pthread_rwlock_rdlock(&lock);
	n = *slot(parent, name);
	if (n)
		e = entry(n);
	pthread_rwlock_unlock(&lock);
	fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_attr(req, &node_of(ino)->st, TIMEOUT);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set,
		       struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	if (set & FUSE_SET_ATTR_SIZE)
		n->st.st_size = st->st_size;
	if (set & FUSE_SET_ATTR_MODE)
		n->st.st_mode = st->st_mode;
	if (set & FUSE_SET_ATTR_MTIME)
		n->st.st_mtim = st->st_mtim;
	fuse_reply_attr(req, &n->st, TIMEOUT);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_entry_param e = entry(add(parent, name, S_IFDIR | (mode & 07777)));

	fuse_reply_entry(req, &e);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct fuse_entry_param e = entry(add(parent, name, S_IFREG | (mode & 07777)));

	fi->keep_cache = 1;
	fuse_reply_create(req, &e, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fi->flags & O_TRUNC)
		node_of(ino)->st.st_size = 0;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node **p;

	pthread_rwlock_wrlock(&lock);
	p = slot(parent, name);
	if (*p)
		*p = (*p)->next; /* the node stays: its number may be in use */
	pthread_rwlock_unlock(&lock);
	fuse_reply_err(req, 0);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		      const char *newname, unsigned flags)
{
	struct node **p, *old, *n;

	pthread_rwlock_wrlock(&lock);
	p = slot(parent, name);
	old = *p;
	if (old)
		*p = old->next;
	p = slot(newparent, newname);
	if (*p)
		*p = (*p)->next;
	pthread_rwlock_unlock(&lock);
	if (old) {
		n = add(newparent, newname, old->st.st_mode);
		n->st.st_size = old->st.st_size;
	}
	fuse_reply_err(req, old ? 0 : ENOENT);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	off_t left = node_of(ino)->st.st_size - off;

	if ((off_t)size > left)
		size = left > 0 ? (size_t)left : 0;
	fuse_reply_buf(req, zeros, size);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	pthread_rwlock_wrlock(&lock);
	if (n->st.st_size < off + (off_t)size)
		n->st.st_size = off + (off_t)size;
	pthread_rwlock_unlock(&lock);
	fuse_reply_write(req, size);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	fuse_reply_none(req);
}

/* Without opendir, getxattr and flush the kernel asks for them once and never again. */
static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mkdir = op_mkdir,
	.create = op_create,
	.open = op_open,
	.unlink = op_unlink,
	.rename = op_rename,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.release = op_release,
};

static void bdi_write(dev_t dev, const char *attr, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", major(dev), minor(dev), attr);
	f = fopen(path, "w");
	if (f) {
		fputs(value, f);
		fclose(f);
	}
}

static void *raise_limits(void *mountpoint)
{
	struct stat st;

	/* Answered by the loop, hence from a thread; by then INIT set the kernel's own values. */
	if (geteuid() == 0 && stat(mountpoint, &st) == 0) {
		bdi_write(st.st_dev, "read_ahead_kb", "4096");
		bdi_write(st.st_dev, "strict_limit", "0");
		bdi_write(st.st_dev, "max_ratio", "100");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char *args_v[] = { argv[0], (char *)"-o", (char *)"fsname=nullfs,default_permissions",
			   NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, args_v);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se;
	pthread_t t;

	if (argc < 2)
		return 2;
	root = node_new(0, "", S_IFDIR | 0755);
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se || fuse_session_mount(se, argv[1]) < 0)
		return 1;
	fuse_daemonize(0);
	fuse_loop_cfg_set_max_threads(config, argc > 2 ? (unsigned)atoi(argv[2]) : 4);
	pthread_create(&t, NULL, raise_limits, argv[1]);
	fuse_session_loop_mt(se, config);
	fuse_session_unmount(se);
	return 0;
}
