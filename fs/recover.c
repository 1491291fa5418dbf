#include "fs/store_priv.h"

#include <errno.h>

#include "base/err.h"

int store_recover(struct store *s, struct err *err)
{
	return err_set(err, -EUCLEAN, "the store was not closed");
}
