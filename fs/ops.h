/* The two tables of FUSE operations. */
#pragma once

struct fuse_lowlevel_ops;

/* Layer: struct out_mount. */
extern const struct fuse_lowlevel_ops ops_out;
/* Layer: struct data. */
extern const struct fuse_lowlevel_ops ops_data;
