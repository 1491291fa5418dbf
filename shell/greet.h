/* The greeting of a shell, with what the daemon knows of the outputs. */
#pragma once

struct escape;
struct fsc;
struct sandbox_plan;

/* On stderr. 'name' is the last part of the workspace's path. */
void greet_person(struct fsc *c, const char *name, const struct sandbox_plan *plan,
		  const struct escape *escape);
