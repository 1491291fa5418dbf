/* Work that nobody waits for: a file whose last handle went gets its header and is closed, and what
 * was unlinked gives its space back, on a thread of its own.  The kernel waits for neither, but the
 * program's next request would wait behind them.
 *
 * A file in this queue is like an open one: who opens it again finds it as it is.  The thread
 * sleeps for a moment between two rounds instead of being woken for each file, which would cost the
 * caller more than half of what is saved. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/cfile.h"
#include "fs/out_int.h"

#define LATE_MAX      128u /* each has a descriptor */
#define LATE_PAUSE_NS 1000000

struct late {
	struct out *o;
	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool stop;
	bool asleep; /* waits for 'cond' */
	unsigned nnodes, nfds;
	struct node *nodes[LATE_MAX]; /* referenced; node->late */
	int fds[LATE_MAX];
};

/* n->mu is held. */
void file_close(struct node *n)
{
	struct cfile *cf = n->cf;

	n->cf = NULL;
	n->mapped = cfile_mapped(cf);
	n->mapped_known = true;
	cfile_put(cf); /* writes what is pending: before anybody opens it again */
}

static void finish(struct out *o, struct node *n)
{
	mutex_lock(&n->mu);
	n->late = false;
	if (n->nopen == 0 && n->cf)
		file_close(n);
	mutex_unlock(&n->mu);
	tree_lock(o);
	n->refs--;
	tree_reap(o->tree, n);
	tree_unlock(o);
}

/* All that is there now; false: nothing was. */
static bool work(struct late *l)
{
	struct node *nodes[LATE_MAX];
	int fds[LATE_MAX];
	unsigned nnodes, nfds;

	pthread_mutex_lock(&l->mu);
	nnodes = l->nnodes;
	nfds = l->nfds;
	memcpy(nodes, l->nodes, nnodes * sizeof(nodes[0]));
	memcpy(fds, l->fds, nfds * sizeof(fds[0]));
	l->nnodes = l->nfds = 0;
	pthread_mutex_unlock(&l->mu);
	for (unsigned i = 0; i < nnodes; i++)
		finish(l->o, nodes[i]);
	for (unsigned i = 0; i < nfds; i++)
		close(fds[i]);
	return nnodes + nfds > 0;
}

static void *late_main(void *arg)
{
	struct late *l = arg;

	for (;;) {
		bool stop;

		if (work(l)) {
			nanosleep(&(struct timespec){ .tv_nsec = LATE_PAUSE_NS }, NULL);
			continue;
		}
		pthread_mutex_lock(&l->mu);
		l->asleep = true;
		while (!l->stop && l->nnodes + l->nfds == 0)
			pthread_cond_wait(&l->cond, &l->mu);
		l->asleep = false;
		stop = l->stop && l->nnodes + l->nfds == 0;
		pthread_mutex_unlock(&l->mu);
		if (stop)
			return NULL;
	}
}

void out_late_start(struct out *o)
{
	struct late *l;

	if (o->late)
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		return;
	l->o = o;
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->cond, NULL);
	if (pthread_create(&l->thread, NULL, late_main, l) != 0) {
		pthread_cond_destroy(&l->cond);
		pthread_mutex_destroy(&l->mu);
		free(l);
		return;
	}
	o->late = l;
}

void late_stop(struct out *o)
{
	struct late *l = o->late;

	if (!l)
		return;
	pthread_mutex_lock(&l->mu);
	l->stop = true;
	pthread_mutex_unlock(&l->mu);
	pthread_cond_signal(&l->cond);
	pthread_join(l->thread, NULL);
	o->late = NULL;
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->mu);
	free(l);
}

static void late_unlock(struct late *l)
{
	bool wake = l->asleep;

	l->asleep = false; /* once is enough */
	pthread_mutex_unlock(&l->mu);
	if (wake)
		pthread_cond_signal(&l->cond);
}

bool late_close_file(struct out *o, struct node *n)
{
	struct late *l = o->late;
	bool taken;

	if (n->late)
		return true;
	/* What has no name gives its quota back now. */
	if (!l || n->nlink == 0)
		return false;
	pthread_mutex_lock(&l->mu);
	taken = !l->stop && l->nnodes < LATE_MAX;
	if (taken) {
		tree_lock(o);
		n->refs++;
		tree_unlock(o);
		n->late = true;
		l->nodes[l->nnodes++] = n;
	}
	late_unlock(l);
	return taken;
}

void out_close_late(struct out *o, int fd)
{
	struct late *l = o->late;
	bool taken;

	if (fd < 0)
		return;
	if (!l) {
		close(fd);
		return;
	}
	pthread_mutex_lock(&l->mu);
	taken = !l->stop && l->nfds < LATE_MAX;
	if (taken)
		l->fds[l->nfds++] = fd;
	late_unlock(l);
	if (!taken)
		close(fd);
}
