/* What plan_build() must know of this host. */
#pragma once

#include "shell/plan_build.h"

/* Asks the machine; 'variables' is borrowed. Never fails: what cannot be read counts as "no less".
 */
void host_facts(const char *const *variables, struct plan_host *ret);
