/* Which folder is the notebook's, and may it be shown to the code? */
#pragma once

#include <stddef.h>

/* The front end starts a kernel in the folder of the notebook.  'cwd': that folder, all links
 * followed; 'home': of the user, likewise, or NULL.  Returns NULL when it may be shown, else why
 * not: a folder that holds more than a notebook and its data is not shown unless the user names it.
 */
const char *jup_folder_refuse(const char *cwd, const char *home);
