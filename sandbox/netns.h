/* The network namespace of a sandbox: its own loopback and nothing else. */
#pragma once

struct err;

/* Bring 'lo' up in the network namespace of the caller. */
int netns_loopback_up(struct err *err);
