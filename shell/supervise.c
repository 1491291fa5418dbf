#include "shell/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "fs/client.h"
#include "shell/progress.h"
#include "shell/pty.h"
#include "shell/screen.h"

#define KILL_SOON_MS  150  /* for what needs no file; a busy machine took 20 */
#define KILL_WAIT_MS  2000 /* for a task that may be hanging in a file request */
#define DRAIN_WAIT_MS 2000 /* for a reader of our output, after a kill */
#define CPU_SLACK_MS  100  /* how far a CPU limit may be passed */
#define CPU_BURST_MS  200  /* two periods of the kernel's rate limit */
#define TICK_MS       100
#define INSIST_MS     1000
#define PROGRESS_MS   1000
#define NEVER         UINT64_MAX

/* What the loop remembers between turns. All times in ms of the monotonic clock. */
struct loop {
	struct supervise *s;
	struct run_facts *f;
	uint64_t start;
	uint64_t grace_end;     /* TERM was sent; NEVER = not */
	uint64_t next_usage;    /* NEVER = nothing to look at */
	uint64_t next_side;     /* NEVER = no side, or it waits for its descriptor only */
	uint64_t next_progress; /* NEVER = no line is shown */
	uint64_t insist_first;  /* of three SIGINT within a second */
	unsigned insists;
	bool killed;
	int hung; /* sandbox_kill() failed for good */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int supervise_signals(struct err *err)
{
	static const int taken[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
				     SIGUSR2, SIGCHLD, SIGTSTP, SIGCONT, SIGWINCH };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		sigaddset(&set, taken[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_set(err, -errno, "block signals");
	/* A reader that went away is an error of write; the terminal must not stop the one who
	 * keeps the limits. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set(err, -errno, "make a signalfd") : fd;
}

/* A pipe whose end inside may block and whose end here may not. */
static int make_pipe(int *inside, int *here, int inside_end, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	*inside = p[inside_end];
	*here = p[!inside_end];
	if (fcntl(*here, F_SETFL, O_NONBLOCK) < 0)
		return err_set(err, -errno, "set up a pipe");
	fcntl(*here, F_SETPIPE_SZ, STREAM_PIPE_BYTES);
	return 0;
}

int supervise_pipes(struct supervise *s, int inner[3], struct err *err)
{
	struct stream *outs[] = { &s->out, &s->errs };
	int r = make_pipe(&inner[0], &s->in.dst, 0, err);

	s->in.dst_pipe = true;
	if (r == 0)
		r = stream_adopt_src(&s->in, STDIN_FILENO, err);
	for (int i = 0; r == 0 && i < 2; i++) {
		r = make_pipe(&inner[1 + i], &outs[i]->src, 1, err);
		outs[i]->src_pipe = true;
		if (r == 0)
			r = stream_adopt_dst(outs[i], STDOUT_FILENO + i, err);
		outs[i]->budget = s->limits->output_bytes ? &s->budget : NULL;
	}
	s->budget = s->limits->output_bytes;
	if (r == 0 && s->screen)
		r = screen_attach_pipes(s->screen, &s->out, &s->errs, err);
	return r;
}

int supervise_pty(struct supervise *s, int master, struct err *err)
{
	int r;

	s->master = master;
	if (fcntl(master, F_SETFL, O_NONBLOCK) < 0)
		return err_set(err, -errno, "set up the pty");
	s->in.dst = fcntl(master, F_DUPFD_CLOEXEC, 3);
	s->out.src = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (s->in.dst < 0 || s->out.src < 0)
		return err_set(err, -errno, "duplicate the pty");
	r = stream_adopt_src(&s->in, STDIN_FILENO, err);
	if (r == 0)
		r = stream_adopt_dst(&s->out, STDOUT_FILENO, err);
	s->budget = s->limits->output_bytes;
	if (!s->interactive && s->budget)
		s->out.budget = &s->budget;
	if (r == 0 && s->screen)
		r = screen_attach_pty(s->screen, &s->in, &s->out, err);
	return r;
}

void supervise_free(struct supervise *s)
{
	stream_free(&s->in);
	stream_free(&s->out);
	stream_free(&s->errs);
	if (s->master >= 0)
		close(s->master);
	s->master = -1;
}

/* A task whose request the daemon has read but not answered survives SIGKILL until the request is
 * answered, the daemon's end of the connection is closed, or the connection is aborted.  A daemon
 * that is merely slow gets its time: ending it ends the other sessions of the workspace, too. */
static int kill_with_daemon(struct loop *l)
{
	struct fsc *fsc = l->s->fsc;
	int r = fsc_stopped(fsc) ? -ETIMEDOUT : sandbox_kill(l->s->sb, KILL_WAIT_MS);

	if (r != -ETIMEDOUT)
		return r;
	l->f->daemon_ended = true;
	fsc_kill(fsc);
	r = sandbox_kill(l->s->sb, KILL_WAIT_MS / 4);
	/* Frozen, or itself waiting for a disk that hangs: it cannot even die. */
	if (r == -ETIMEDOUT && sandbox_sever(l->s->sb) == 0)
		r = sandbox_kill(l->s->sb, KILL_WAIT_MS);
	return r;
}

/* The last rungs. */
static void kill_all(struct loop *l)
{
	if (l->killed)
		return;
	l->killed = true;
	l->grace_end = NEVER;
	l->hung = sandbox_kill(l->s->sb, l->s->fsc ? KILL_SOON_MS : KILL_WAIT_MS);
	if (l->hung == -ETIMEDOUT && l->s->fsc)
		l->hung = kill_with_daemon(l);
}

/* Record why; ask first when 'sig' says how and there is a grace. The first cause stays. */
static void end_run(struct loop *l, enum run_cause cause, int sig)
{
	uint64_t grace = l->s->limits->grace_ms;

	if (l->f->cause == CAUSE_NONE)
		l->f->cause = cause;
	else if (l->grace_end != NEVER && sig)
		return; /* asked already */
	if (!sig || grace == 0) {
		kill_all(l);
		return;
	}
	if (l->killed)
		return;
	sandbox_signal(l->s->sb, sig);
	/* A stopped group would never see it. */
	sandbox_signal(l->s->sb, SIGCONT);
	l->grace_end = now_ms() + grace;
}

/* Told to end: the command decides what its end is, as long as it comes within the grace. */
static void told_to_end(struct loop *l, int sig)
{
	uint64_t grace = l->s->limits->grace_ms;

	if (l->f->cause != CAUSE_NONE)
		return;
	l->f->cause_signal = sig;
	if (l->s->side) {
		end_run(l, CAUSE_SIGNAL, 0);
		return;
	}
	/* A shell at its prompt ignores TERM. */
	sandbox_signal(l->s->sb, l->s->interactive ? SIGHUP : sig);
	sandbox_signal(l->s->sb, SIGCONT);
	if (l->grace_end == NEVER)
		l->grace_end = now_ms() + grace;
}

/* True at the third stroke within a second. */
static bool insists(struct loop *l)
{
	uint64_t now = now_ms();

	if (l->insists == 0 || now - l->insist_first > INSIST_MS) {
		l->insists = 0;
		l->insist_first = now;
	}
	return ++l->insists == 3;
}

/* The terminal is another's for a while. */
static void suspend(const struct loop *l)
{
	if (l->s->progress)
		progress_hide(l->s->progress);
	pty_suspend();
	if (l->s->master >= 0)
		pty_redraw(l->s->master);
}

static void obey_escape(struct loop *l)
{
	struct escape *e = &l->s->screen->escape;
	enum escape_order order = e->order;
	char text[512];

	e->order = ESCAPE_PASS;
	if (order == ESCAPE_END) {
		end_run(l, CAUSE_ESCAPE, 0);
	} else if (order == ESCAPE_SUSPEND) {
		suspend(l);
	} else if (order == ESCAPE_HELP) {
		escape_help(e, text, sizeof(text));
		stream_say(&l->s->out, text);
	}
}

static void on_signal(struct loop *l, int sig)
{
	switch (sig) {
	case SIGTERM:
	case SIGHUP:
		told_to_end(l, sig);
		break;
	case SIGINT:
		/* A command may take its time with one, or have its own use for it. */
		if (!l->s->side)
			l->f->cause_signal = sig;
		if (!l->s->side && insists(l))
			end_run(l, CAUSE_SIGNAL, 0);
		sandbox_signal(l->s->sb, sig);
		break;
	case SIGQUIT:
	case SIGUSR1:
	case SIGUSR2:
		sandbox_signal(l->s->sb, sig);
		break;
	case SIGTSTP:
		suspend(l);
		break;
	case SIGCONT:
		/* After fg: raw again, and the window may be another size. */
		if (l->s->master >= 0) {
			pty_raw();
			pty_copy_size(l->s->master);
		}
		break;
	case SIGWINCH:
		if (l->s->master >= 0)
			pty_copy_size(l->s->master);
		else
			sandbox_signal(l->s->sb, sig);
		break;
	case SIGCHLD:
		if (l->s->more.reap)
			l->s->more.reap(l->s->more.self);
		break;
	default:
		break;
	}
}

static void take_signals(struct loop *l)
{
	struct signalfd_siginfo si;

	while (read(l->s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		on_signal(l, (int)si.ssi_signo);
}

/* The limit cannot be reached before all CPUs have worked for the rest of it, nor faster than the
 * rate allows, whose periods may be spent at once.  Where all CPUs work the first look is the last
 * but one; where nothing does there is nothing to look at for long.  Near the end the looks are so
 * close that all CPUs together stay within half of CPU_SLACK_MS between two. */
static uint64_t cpu_wait(const struct plan_limits *l, uint64_t used)
{
	const uint64_t cpus = (uint64_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	const uint64_t rest = l->cpu_time_ms > used ? l->cpu_time_ms - used : 0;
	uint64_t soonest = rest / cpus;

	if (rest == 0)
		return TICK_MS;
	if (l->cpu_milli && rest * 1000 / l->cpu_milli > CPU_BURST_MS)
		soonest = MAX(soonest, rest * 1000 / l->cpu_milli - CPU_BURST_MS);
	return MAX(soonest, MAX(MIN(CPU_SLACK_MS / 2 / cpus, 5UL), 1UL));
}

static void look_at_usage(struct loop *l)
{
	const struct plan_limits *limits = l->s->limits;
	struct sandbox_usage *u = &l->f->usage;
	uint64_t now = now_ms();
	bool memory = limits->memory_bytes && (u->memory_is_polled || !l->s->interactive);

	if (sandbox_poll(l->s->sb, u) < 0)
		return;
	if (limits->cpu_time_ms && u->cpu_ms >= limits->cpu_time_ms)
		end_run(l, CAUSE_CPU_TIME, l->s->side ? SIGINT : SIGTERM);
	if (u->memory_is_polled && limits->memory_bytes &&
	    u->max_memory_bytes > limits->memory_bytes)
		end_run(l, CAUSE_MEMORY, 0);
	/* As memory.oom.group does where there is one: half a computation is none. A shell lives
	 * on. */
	if (u->oom_kills && !l->s->interactive && limits->memory_bytes)
		end_run(l, CAUSE_MEMORY, 0);
	l->next_usage = memory || u->memory_is_polled ? now + TICK_MS : NEVER;
	if (limits->cpu_time_ms)
		l->next_usage = MIN(l->next_usage, now + cpu_wait(limits, u->cpu_ms));
	/* What ends between two looks may be missed. */
	if (limits->cpu_time_ms && u->cpu_is_polled)
		l->next_usage = MIN(l->next_usage, now + TICK_MS);
}

static uint64_t wall_end(const struct loop *l)
{
	return l->s->limits->time_ms ? l->start + l->s->limits->time_ms : NEVER;
}

static void keep_deadlines(struct loop *l)
{
	uint64_t now = now_ms();

	if (l->f->cause == CAUSE_NONE && l->grace_end == NEVER && now >= wall_end(l))
		end_run(l, CAUSE_TIME, l->s->side ? SIGINT : SIGTERM);
	if (now >= l->next_usage)
		look_at_usage(l);
	if (now >= l->grace_end) {
		if (l->f->cause == CAUSE_NONE)
			l->f->cause = CAUSE_SIGNAL;
		kill_all(l);
	}
}

static void keep_side(struct loop *l)
{
	const struct supervise_side *side = l->s->side;
	enum run_cause cause = CAUSE_NONE;

	if (!side)
		return;
	l->next_side = side->tick(side->self, now_ms(), &cause);
	if (cause != CAUSE_NONE && l->f->cause == CAUSE_NONE)
		end_run(l, cause, 0);
}

/* Not amid a line of the command's, nor on a screen that it has taken for itself. */
static bool foot_is_free(const struct supervise *s)
{
	const struct stream *outs[] = { &s->out, &s->errs };
	char text[TERM_MODES_TEXT];

	for (int i = 0; i < 2; i++)
		if (outs[i]->dst_tty && (outs[i]->len || outs[i]->mid_line))
			return false;
	return !pty_modes() || term_modes_undo(pty_modes(), text) == 0;
}

static void keep_progress(struct loop *l)
{
	const struct plan_limits *limits = l->s->limits;
	uint64_t now = now_ms(), used;
	struct progress_now p;

	if (now < l->next_progress)
		return;
	l->next_progress = now + PROGRESS_MS;
	if (!foot_is_free(l->s) || !pty_foreground(l->s->progress->fd) ||
	    sandbox_poll(l->s->sb, &l->f->usage) < 0)
		return;
	used = sandbox_memory_used(l->s->sb);
	p = (struct progress_now){
		.elapsed_ms = now - l->start,
		.time_ms = limits->time_ms,
		.memory = used ? used : l->f->usage.max_memory_bytes,
		.memory_limit = limits->memory_bytes,
		.cpu_ms = l->f->usage.cpu_ms,
		.passed = l->s->out.total + l->s->errs.total,
	};
	progress_show(l->s->progress, &p);
}

/* ms until the next deadline, -1 for none; rounded so that we never wake too early and spin. */
static int next_wait(const struct loop *l)
{
	uint64_t now = now_ms(), next = MIN(MIN(l->grace_end, l->next_usage), l->next_side);

	next = MIN(next, l->next_progress);
	if (l->f->cause == CAUSE_NONE && l->grace_end == NEVER)
		next = MIN(next, wall_end(l));
	/* In the background the terminal is not polled: look again whether we are in front. */
	if (l->s->in.src >= 0 && l->s->in.src_tty && l->s->in.src_slot < 0)
		next = MIN(next, now + 2 * TICK_MS);
	if (next == NEVER)
		return -1;
	return next <= now ? 0 : (int)MIN(next - now, (uint64_t)3600000);
}

static void move_streams(struct loop *l, const struct pollfd *set)
{
	struct supervise *s = l->s;

	/* What comes now wants the line. */
	if (s->progress && ((s->out.src_slot >= 0 && set[s->out.src_slot].revents) ||
			    (s->errs.src_slot >= 0 && set[s->errs.src_slot].revents)))
		progress_hide(s->progress);
	stream_move(&s->in, set, NULL);
	if (s->master >= 0 && s->screen)
		obey_escape(l);
	stream_move(&s->out, set, NULL);
	stream_move(&s->errs, set, NULL);
	if ((s->out.over || s->errs.over) && l->f->cause == CAUSE_NONE)
		end_run(l, CAUSE_OUTPUT, 0);
	/* The terminal hung up: nobody will type or read again. */
	if (s->master >= 0 && ((s->in.eof && !s->in.error) || s->out.error) &&
	    l->grace_end == NEVER && !l->killed)
		told_to_end(l, SIGHUP);
}

/* One turn. Returns true when pid 1 inside has ended. */
static bool turn(struct loop *l)
{
	struct supervise *s = l->s;
	struct pollfd set[12];
	size_t n = 6;
	int r;

	set[0] = (struct pollfd){ .fd = sandbox_pidfd(s->sb), .events = POLLIN };
	set[1] = (struct pollfd){ .fd = s->sigfd, .events = POLLIN };
	set[2] = (struct pollfd){ .fd = s->fsc ? fsc_fd(s->fsc) : -1, .events = POLLRDHUP };
	set[3] = (struct pollfd){ .fd = s->side ? s->side->fd : -1, .events = POLLIN };
	set[4] = (struct pollfd){ .fd = sandbox_explain_fd(s->sb), .events = POLLIN };
	set[5] = (struct pollfd){ .fd = s->more.ready ? s->more.fd : -1, .events = POLLIN };
	stream_poll(&s->in, set, &n);
	stream_poll(&s->out, set, &n);
	stream_poll(&s->errs, set, &n);
	r = poll(set, n, next_wait(l));
	if (r < 0 && errno != EINTR)
		end_run(l, CAUSE_SIGNAL, 0);
	if (r < 0)
		return false;
	if (set[1].revents)
		take_signals(l);
	if (set[2].revents && l->f->cause != CAUSE_FS_LOST && !l->killed)
		end_run(l, CAUSE_FS_LOST, 0);
	/* Before the streams: what an ended command wrote last is drained without waiting. */
	if (set[0].revents)
		return true;
	if (set[4].revents)
		sandbox_explain(s->sb);
	if (set[5].revents)
		s->more.ready(s->more.self);
	move_streams(l, set);
	if (set[3].revents)
		s->side->ready(s->side->self);
	keep_deadlines(l);
	keep_side(l);
	keep_progress(l);
	return false;
}

/* What is still in the pipes goes out. We wait for whoever reads us, but not after a kill, and not
 * when told to end; never for the end of a pipe. */
static void drain(struct loop *l)
{
	struct stream *outs[] = { &l->s->out, &l->s->errs };
	uint64_t end = l->f->cause == CAUSE_NONE ? NEVER : now_ms() + DRAIN_WAIT_MS;

	stream_close(&l->s->in);
	for (;;) {
		struct pollfd set[3] = { { .fd = l->s->sigfd, .events = POLLIN } };
		struct signalfd_siginfo si;
		bool pending = false;
		uint64_t now = now_ms();

		for (int i = 0; i < 2; i++) {
			stream_drain(outs[i]);
			pending |= stream_pending(outs[i]);
			set[1 + i] =
				(struct pollfd){ .fd = stream_pending(outs[i]) ? outs[i]->dst : -1,
						 .events = POLLOUT };
		}
		if (!pending || now >= end)
			break;
		if (poll(set, 3, end == NEVER ? -1 : (int)(end - now)) < 0 && errno != EINTR)
			break;
		if (set[0].revents && read(l->s->sigfd, &si, sizeof(si)) == sizeof(si)) {
			if (si.ssi_signo == SIGTSTP)
				pty_suspend();
			else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT ||
				 si.ssi_signo == SIGHUP || si.ssi_signo == SIGQUIT)
				break;
		}
	}
}

static void report_lost(const struct stream *s, const char *what)
{
	if (s->error && s->error != -EPIPE)
		log_print(LOG_ERROR, "write %s: %s", what, strerror(-s->error));
}

int supervise_run(struct supervise *s, struct run_facts *f, struct err *err)
{
	struct loop l = {
		.s = s,
		.f = f,
		.start = now_ms(),
		.grace_end = NEVER,
		.next_usage = 0,
		.next_side = s->side ? 0 : NEVER,
		.next_progress = s->progress ? now_ms() + PROGRESS_MS : NEVER,
	};

	if (s->master >= 0) {
		pty_raw();
		pty_copy_size(s->master);
	}
	while (!turn(&l)) {
		if (l.hung < 0)
			return err_set(err, l.hung,
				       "processes of the run hang and cannot be ended; run '%s'",
				       f->run_id);
	}
	f->wall_ms = now_ms() - l.start;
	if (s->progress)
		progress_hide(s->progress);
	drain(&l);
	if (s->screen)
		screen_finish(s->screen);
	if (s->out.over || s->errs.over)
		f->cause = f->cause == CAUSE_NONE ? CAUSE_OUTPUT : f->cause;
	f->stdout_bytes = s->out.total;
	f->stderr_bytes = s->errs.total;
	report_lost(&s->out, "standard output");
	report_lost(&s->errs, "standard error");
	return 0;
}
