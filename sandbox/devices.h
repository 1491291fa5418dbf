/* /dev, /proc and /sys of the sandbox. */
#pragma once

struct err;
struct sandbox_plan;

/* The usual harmless nodes, a private devpts, the standard links. */
int devices_dev(int root, struct err *err);
/* A new procfs of the caller's pid namespace at /proc.  Must run before the old root is detached:
 * the kernel gives a new procfs only to those who see a whole one.  Returns a descriptor of it for
 * what must be written before devices_mask_proc(). */
int devices_proc(int root, struct err *err);
/* Cover what tells about the machine or takes orders; /proc/sys becomes read-only. */
int devices_mask_proc(int root, int proc_fd, struct err *err);
/* /sys with the descriptions of CPUs and memory nodes only, read-only. */
int devices_sys(int root, struct err *err);

/* A new pty of the plan's size from the private devpts, when /dev is in its final place: both
 * ends. */
int devices_open_pty(const struct sandbox_plan *p, int *ret_master, int *ret_slave,
		     struct err *err);
