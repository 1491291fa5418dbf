/* Many threads in the names of the outputs at once: making, looking up, listing, renaming, linking,
 * removing and forgetting in the same few directories.  Every lookup is forgotten in the end, so
 * nothing may be left in memory; what is there is what the store says. */
#include <dirent.h>
#include <pthread.h>

#include "fs/name.h"
#include "fs/out_int.h"
#include "tests/unit/store_kit.h"

enum { THREADS = 4, ROUNDS = 4000, NAMES = 24, DIRS = 3 };

static const struct out_who who;
static struct kit kit;
static struct out *o;
static uint64_t dirs[DIRS];
static atomic_uint worked, strange;

struct worker {
	pthread_t thread;
	uint64_t rnd;
};

static unsigned any(struct worker *w, unsigned n)
{
	return (unsigned)(kit_random(&w->rnd) % n);
}

/* What others did meanwhile is no error. */
static bool ok(int r)
{
	if (r == 0)
		atomic_fetch_add(&worked, 1);
	else if (r != -ENOENT && r != -EEXIST)
		atomic_fetch_add(&strange, 1);
	return r == 0;
}

static void make(uint64_t dir, const char *name)
{
	struct out_entry e;
	struct node *h;

	if (!ok(out_create(o, dir, name, 0644, O_RDWR | O_EXCL, &who, &e, &h)))
		return;
	if (out_write(h, "text", 4, 0) != 4)
		atomic_fetch_add(&strange, 1);
	out_release(o, h, O_RDWR);
	out_forget(o, e.nodeid, 1);
}

/* The kernel asks for an inode as long as it has it, with or without a name. */
static void look(uint64_t dir, const char *name, bool set)
{
	const struct out_attr a = { .valid = OUT_SET_MTIME, .mtime = { 1000000000, 5 } };
	struct out_entry e;
	struct node *h;
	struct stat st;

	if (!ok(out_lookup(o, dir, name, &e)))
		return;
	if (out_getattr(o, e.nodeid, &st) < 0 || st.st_ino != e.st.st_ino ||
	    st.st_mode != e.st.st_mode)
		atomic_fetch_add(&strange, 1);
	if (set && ok(out_open(o, e.nodeid, O_RDONLY, &h))) {
		(void)out_setattr(o, e.nodeid, &a, &st);
		out_release(o, h, O_RDONLY);
	} else if (set) {
		(void)out_setattr(o, e.nodeid, &a, &st);
	}
	out_forget(o, e.nodeid, 1);
}

static void list(uint64_t dir)
{
	struct out_dirent d;
	struct out_entry e;
	struct out_dirit it;
	uint64_t last = 0;

	if (!ok(out_dir_begin(o, dir, 0, &it)))
		return;
	while (out_dir_next(&it, &d)) {
		if (d.next_off <= last)
			atomic_fetch_add(&strange, 1);
		last = d.next_off;
		if (!d.is_dot && ok(out_dir_entry(&it, &e))) {
			if (e.st.st_ino != d.ino)
				atomic_fetch_add(&strange, 1);
			out_forget(o, e.nodeid, 1);
		}
	}
	out_dir_end(&it);
}

static void join(uint64_t dir, const char *name, uint64_t dir2, const char *name2)
{
	struct out_entry e, e2;

	if (!ok(out_lookup(o, dir, name, &e)))
		return;
	if (ok(out_link(o, e.nodeid, dir2, name2, &e2))) {
		if (e2.nodeid != e.nodeid)
			atomic_fetch_add(&strange, 1);
		out_forget(o, e2.nodeid, 1);
	}
	out_forget(o, e.nodeid, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t dir = dirs[any(w, DIRS)], dir2 = dirs[any(w, DIRS)];
		char name[64], name2[64];
		int late = -1;

		snprintf(name, sizeof(name), "name-%u", any(w, NAMES));
		snprintf(name2, sizeof(name2), "name-%u", any(w, NAMES));
		switch (any(w, 8)) {
		case 0:
		case 1:
			make(dir, name);
			break;
		case 2:
			if (ok(out_unlink(o, dir, name, &late)))
				out_close_late(o, late);
			break;
		case 3:
			(void)ok(out_rename(o, dir, name, dir2, name2, 0));
			break;
		case 4:
			join(dir, name, dir2, name2);
			break;
		case 5:
			list(dir);
			break;
		default:
			look(dir, name, any(w, 2));
		}
	}
	return NULL;
}

/* As root shows it: an inode with several names has one node, and all its names are told of. */
static void settled(void)
{
	unsigned names = 0;

	for (int i = 0; i < DIRS; i++) {
		struct out_dirent d;
		struct out_dirit it;
		struct out_entry e;

		CHECK_EQ(out_dir_begin(o, dirs[i], 0, &it), 0);
		while (out_dir_next(&it, &d)) {
			if (d.is_dot)
				continue;
			names++;
			CHECK_EQ(out_dir_entry(&it, &e), 0);
			CHECK_EQ(e.st.st_ino, d.ino);
			out_forget(o, e.nodeid, 1);
		}
		out_dir_end(&it);
	}
	CHECK(names > 0);
	CHECK(names <= DIRS * NAMES);
}

int main(void)
{
	struct name_keys keys = { .vol_id = { 1 }, .nm = { 2 }, .ne = { 3 } };
	struct worker w[THREADS];
	uint64_t seed = kit_seed();
	struct out_params p;
	struct err err = { 0 };

	kit_start(&kit, SUITE_XCHACHA20, 16384, NULL);
	p = (struct out_params){ .store = kit.s, .quota = kit.quota, .keys = &keys };
	CHECK_EQ(mkdirat(kit.dirfd, "l", 0700) < 0 && errno != EEXIST, 0);
	CHECK_EQ(out_new(&p, &o, &err), 0);
	out_late_start(o);
	for (int i = 0; i < DIRS; i++) {
		char name[16];
		struct out_entry e;

		snprintf(name, sizeof(name), "dir-%d", i);
		CHECK_EQ(out_mkdir(o, 1, name, 0755, &who, &e), 0);
		dirs[i] = e.nodeid;
	}
	for (int i = 0; i < THREADS; i++) {
		w[i].rnd = seed + (uint64_t)i;
		CHECK_EQ(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(w[i].thread, NULL), 0);
	CHECK(worked > THREADS * ROUNDS / 4);
	CHECK_EQ(strange, 0);
	settled();
	late_stop(o);
	for (int i = 0; i < DIRS; i++)
		out_forget(o, dirs[i], 1);
	CHECK_EQ(o->tree->nnodes, 1);
	CHECK_EQ(o->tree->inos.count, 0);
	CHECK(tree_bytes(o->tree) <= 8 * SLAB_BYTES);
	out_free(o);
	CHECK_EQ(kit_close(&kit), 0);
	kit_end(&kit);
	return check_report();
}
