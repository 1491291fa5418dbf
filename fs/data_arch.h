/* Nodes of archive datasets, beside those of the tree.  Included by fs/data*.c only.
 *
 * A node id says it all: that it is one, which archive (arch_slot()), which inode of its index. So
 * nothing is kept for an inode that the kernel knows but a count for the whole archive. */
#pragma once

#include "fs/data.h"

struct arch;
struct data_file;

bool data_arch_owns(uint64_t nodeid);
/* Its top; counts a lookup. 'a' stays the caller's. */
void data_arch_top(struct data *d, struct arch *a, struct data_entry *ret);

/* As in data.h. */
int data_arch_lookup(struct data *d, uint64_t parent, const char *name, struct data_entry *ret);
void data_arch_forget(struct data *d, uint64_t nodeid, uint64_t nlookup);
int data_arch_getattr(struct data *d, uint64_t nodeid, struct stat *ret);
int data_arch_readlink(struct data *d, uint64_t nodeid, char *buf, size_t size);
int data_arch_open(struct data *d, uint64_t nodeid, struct data_file *ret);

/* Listings: the archive referenced; entry 'off', whose name and inode are kept for the caller,
 * false at the end; that inode, counting a lookup. */
int data_arch_opendir(struct data *d, uint64_t nodeid, struct arch **ret);
bool data_arch_readdir(const struct arch *a, uint32_t dir, uint64_t off, char name[static 256],
		       uint32_t *ret_inode, struct data_dirent *ret);
void data_arch_entry(struct data *d, struct arch *a, uint32_t inode, struct data_entry *ret);
