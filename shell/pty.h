/* The caller's terminal: raw while a shell runs inside, and put back on every way out.
 *
 * No host terminal is ever a descriptor inside: the payload has a pty of its own in the sandbox and
 * its bytes are relayed.  Process-wide by nature: a process has one controlling terminal, and the
 * handlers of crash signals must find it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;
struct term_modes;

/* Remember how the terminal on 'fd' is set, and restore it should we crash (SEGV, BUS, ABRT, FPE,
 * ILL), exit(), or be killed (a child, which ends with us, sees to that).  Does not change it yet.
 */
int pty_save(int fd, struct err *err);
/* Raw mode; no effect while we are in the background, where the terminal is another's. */
void pty_raw(void);
/* The account of what was changed of the terminal beyond its settings, for whoever filters what is
 * written to it; undone with pty_restore(), and by the guard.  NULL before pty_save(). */
struct term_modes *pty_modes(void);
/* As it was saved, modes included. Async-signal-safe, may be called again. */
void pty_restore(void);
/* The size of the terminal; zeros when it is not known. */
void pty_size(unsigned short *ret_rows, unsigned short *ret_cols);
/* Give the size of the terminal to this pty master. */
void pty_copy_size(int master);
/* The same, so that a full-screen program draws everything anew. */
void pty_redraw(int master);
/* Does the terminal read UTF-8?  As its driver and the locale say; no when in doubt. */
bool pty_is_utf8(int fd);
/* Is our process group the one in the foreground of this terminal?  False for other files. */
bool pty_foreground(int fd);
/* Stop, as any program that would read from the terminal, until we are in the foreground. */
void pty_wait_foreground(int fd);
/* Stop ourselves (SIGTSTP came): restore, stop; returns when continued, raw again if it was. */
void pty_suspend(void);
