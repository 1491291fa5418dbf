#include "fs/passthrough.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/fuse_wire.h"
#include "fs/hmap.h"

/* An inode that is open. */
struct opened {
	struct hlink link;
	uint64_t nodeid;
	unsigned count;
	int32_t id; /* 0: through us */
};

struct passthrough {
	int fuse_fd;
	pthread_mutex_t lock;
	struct hmap opened;
};

int passthrough_new(int fuse_fd, struct passthrough **ret)
{
	struct passthrough *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fuse_fd = fuse_fd;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

/* The kernel's side is gone with the connection. */
void passthrough_free(struct passthrough *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->opened.size; i++) {
		for (struct hlink *l = p->opened.slots[i], *next; l; l = next) {
			next = l->next;
			free(container_of(l, struct opened, link));
		}
	}
	hmap_free(&p->opened);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static struct opened *find(struct passthrough *p, uint64_t nodeid)
{
	struct hlink *l = hmap_first(&p->opened, hmap_mix(nodeid));

	while (l && container_of(l, struct opened, link)->nodeid != nodeid)
		l = hmap_next(l);
	return l ? container_of(l, struct opened, link) : NULL;
}

static struct opened *first_open(struct passthrough *p, uint64_t nodeid, int fd)
{
	struct wire_backing_map map = { .fd = fd };
	struct opened *o = calloc(1, sizeof(*o));
	int id;

	if (!o)
		return NULL;
	o->nodeid = nodeid;
	if (hmap_insert(&p->opened, &o->link, hmap_mix(nodeid)) < 0) {
		free(o);
		return NULL;
	}
	/* Whatever stands against it (no capability, a stack of filesystems, a file that is not
	 * read by the page cache): we can read it for the kernel. */
	id = ioctl(p->fuse_fd, WIRE_BACKING_OPEN, &map);
	o->id = id > 0 ? id : 0;
	return o;
}

int passthrough_open(struct passthrough *p, uint64_t nodeid, int fd, int32_t *ret_id)
{
	struct opened *o;

	pthread_mutex_lock(&p->lock);
	o = find(p, nodeid);
	if (!o)
		o = first_open(p, nodeid, fd);
	if (o) {
		o->count++;
		*ret_id = o->id;
	}
	pthread_mutex_unlock(&p->lock);
	return o ? 0 : -ENOMEM;
}

void passthrough_close(struct passthrough *p, uint64_t nodeid)
{
	struct opened *o;
	uint32_t id;

	pthread_mutex_lock(&p->lock);
	o = find(p, nodeid);
	if (o && --o->count == 0) {
		hmap_remove(&p->opened, &o->link);
		id = (uint32_t)o->id;
		if (id)
			(void)ioctl(p->fuse_fd, WIRE_BACKING_CLOSE, &id);
		free(o);
	}
	pthread_mutex_unlock(&p->lock);
}
