/* sbxctl: everything about workspaces except running code in them. One verb per file, cmd_*.c. */
#include "shell/sbxctl.h"

const char sbxctl_summary[] = "create, fill, look into and look after workspaces";

const struct opt_command *const sbxctl_commands[] = {
	&cmd_init,
	&cmd_dataset_add,
	&cmd_dataset_list,
	&cmd_dataset_verify,
	&cmd_dataset_remove,
	&cmd_mount,
	&cmd_umount,
	&cmd_status,
	&cmd_ps,
	&cmd_kill,
	&cmd_set,
	&cmd_show,
	&cmd_key_show,
	&cmd_key_list,
	&cmd_key_add,
	&cmd_key_remove,
	&cmd_key_recovery,
	&cmd_kernel_install,
	&cmd_kernel_list,
	&cmd_kernel_remove,
	&cmd_kernel_test,
	&cmd_fsck,
	&cmd_doctor,
	NULL,
};
