/* Archives that are pinned.  Their names come from an index, not from the host, one by one: so they
 * are compared with the pin all at once, when a state of the archive is first shown, and each file
 * of it then knows where its leaves are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/arch.h"
#include "fs/arch_index.h"
#include "fs/data_int.h"
#include "fs/pin_tree.h"

/* One state of one archive, by the number of which there is no second. In a list under tree->lock,
 * from when it was compared until the layer ends. */
struct arch_pin {
	struct arch_pin *next;
	uint32_t slot;
	struct pin *pin;
	bool ok;
	uint32_t ninodes;
	uint32_t *record; /* of each inode: one of its names */
};

void arch_pins_free(struct data *d)
{
	while (d->arch_pins) {
		struct arch_pin *p = d->arch_pins;

		d->arch_pins = p->next;
		pin_unref(p->pin);
		free(p->record);
		free(p);
	}
}

static struct arch_pin *find(struct data *d, uint32_t slot)
{
	struct arch_pin *p;

	pthread_mutex_lock(&d->tree->lock);
	for (p = d->arch_pins; p && p->slot != slot; p = p->next)
		;
	pthread_mutex_unlock(&d->tree->lock);
	return p;
}

/* Both are in the same order: a difference anywhere shows where it begins. */
static bool same(const struct pin_record *want, const char *name, const struct pin_tree *t,
		 uint32_t i)
{
	const struct pin_record *is = &t->rec[i];

	return want->type == is->type && want->mode == is->mode && want->size == is->size &&
	       want->parent == is->parent && want->name_len == is->name_len &&
	       memcmp(name, pin_tree_name(t, i), is->name_len) == 0 &&
	       (is->type != 'd' || (want->count == is->count && want->first == is->first)) &&
	       (is->type != 'l' || memcmp(want->digest, is->digest, PIN_HASH) == 0);
}

/* 0; -EIO, told. */
static int compare(struct data *d, struct arch_pin *ap, const struct pin_tree *t)
{
	struct pin_record want;
	char name[256];

	for (uint32_t i = 0; i < t->n; i++) {
		int r = pin_record(ap->pin, i, &want);

		if (r == 0)
			r = pin_name(ap->pin, &want, name);
		if (r < 0 && r != -ENOENT)
			return pin_broken(d, ap->pin, r);
		if (r < 0 || !same(&want, name, t, i))
			return pin_say(d, ap->pin, MIN(i, pin_head(ap->pin)->records - 1),
				       SAID_ARCHIVE,
				       "or what is near it is not what was pinned: the archive is "
				       "another one, nothing of it is shown");
		ap->record[t->inode[i]] = i;
	}
	if (t->n < pin_head(ap->pin)->records)
		return pin_say(d, ap->pin, t->n, SAID_ARCHIVE,
			       "is gone: the archive is another one, nothing of it is shown");
	return 0;
}

static int arch_pin_make(struct data *d, struct pin *pin, struct arch *a, struct arch_pin **ret)
{
	uint32_t n = arch_index_of(a)->head->ninodes;
	struct arch_pin *ap = calloc(1, sizeof(*ap));
	struct pin_walk w = { .arch = a };
	struct pin_tree t = { 0 };
	int r = -ENOMEM;

	if (ap)
		ap->record = malloc(((size_t)n + 1) * sizeof(*ap->record));
	if (ap && ap->record) {
		memset(ap->record, 0xff, (size_t)n * sizeof(*ap->record));
		ap->slot = arch_slot(a);
		ap->ninodes = n;
		ap->pin = pin_ref(pin);
		r = pin_tree_walk(&t, &w);
	}
	if (r == 0)
		ap->ok = compare(d, ap, &t) == 0;
	pin_tree_free(&t);
	if (r < 0) {
		free(ap ? ap->record : NULL);
		pin_unref(ap ? ap->pin : NULL);
		free(ap);
		return r;
	}
	pthread_mutex_lock(&d->tree->lock);
	ap->next = d->arch_pins; /* if another thread was as fast, there are two: no harm */
	d->arch_pins = ap;
	pthread_mutex_unlock(&d->tree->lock);
	*ret = ap;
	return 0;
}

int arch_pin_check(struct data *d, const char *dataset, struct arch *a)
{
	autoplace struct pin_place at = { 0 };
	struct arch_pin *ap;
	int r = pin_of_top(d, dataset, &at);

	if (r < 0 || !at.pin)
		return r;
	ap = find(d, arch_slot(a));
	if (!ap)
		r = arch_pin_make(d, at.pin, a, &ap);
	return r < 0 ? r : ap->ok && ap->pin == at.pin ? 0 : -EIO;
}

int arch_pin_open(struct data *d, struct data_file *f)
{
	autoplace struct pin_place at = { 0 };
	struct arch_pin *ap = find(d, arch_slot(f->arch));
	struct pin_record rec;
	int r = ap ? 0 : pin_of_top(d, arch_dataset(f->arch), &at);

	if (r < 0 || !ap)
		return r < 0 ? r : at.pin ? -ESTALE : 0;
	if (!ap->ok || f->inode >= ap->ninodes)
		return -EIO;
	r = pin_record(ap->pin, ap->record[f->inode], &rec);
	if (r < 0)
		return pin_broken(d, ap->pin, r);
	if (rec.type != 'f')
		return -EIO;
	f->pin = pin_ref(ap->pin);
	f->record = ap->record[f->inode];
	f->size = rec.size;
	f->leaf = rec.leaf;
	return 0;
}
