/* Attack 23: kernel keyrings, which no namespace separates. */
#include "tests/escape/escape.h"

#define KEYCTL_GET_KEYRING_ID       0
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define KEY_SPEC_PROCESS_KEYRING    (-2)
#define KEY_SPEC_USER_KEYRING       (-4)

static int join_session(void)
{
	return errno_of(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static int user_keyring(void)
{
	return errno_of(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1));
}

static int add(void)
{
	return errno_of(syscall(SYS_add_key, "user", "sbx-escape", "x", (size_t)1,
				KEY_SPEC_PROCESS_KEYRING));
}

static int request(void)
{
	return errno_of(syscall(SYS_request_key, "user", "sbx-no-such-key", NULL,
				KEY_SPEC_PROCESS_KEYRING));
}

static const struct act acts[] = {
	{ "keyctl JOIN_SESSION", join_session, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "keyctl GET_KEYRING_ID", user_keyring, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "add_key", add, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "request_key", request, { EPERM }, CONTROL_PLAIN, { ENOKEY } },
};

ESCAPE_MAIN(acts)
