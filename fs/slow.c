#include "fs/slow.h"

_Thread_local void (*slow_hook)(void *arg);
_Thread_local void *slow_hook_arg;
