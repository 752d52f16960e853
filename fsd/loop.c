/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request loop
 *
 * Quiet: one thread sleeps in read(2), answers what comes at once, and sleeps again; the others stand by, because two that
 * take turns cost a client more than one. A read that slept found the kernel's queue empty before. When reads do not sleep
 * any more, another thread is called in; one whose sleep was long when there are others stands by again.
 *
 * Busy: when reads do not sleep there may be a queue, in which one guest can have put hundreds. The threads then drain it
 * into fairness.h, answer one request, and drain again, so that who came last from another guest is served in
 * the next round. Draining must not sleep in read(2), which is a matter of a flag that all share: it is set
 * while somebody drains.
 *
 * What has no waiting caller (FORGET, RELEASE) is done at once, and so are interrupts, for the few requests that wait for long.
 */
#include "loop.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/sock.h"
#include "core/lock.h"
#include "fairness.h"
#include "journal.h"
#include "tree.h"

#define NOTIFY_RESEND 7 /* enum fuse_notify_code, 6.9 */

/* In an answer: it is to an interrupt of the request. */
#define INTERRUPT_BIT UINT64_C(1)

/* A read(2) that took less cannot have slept; sleeping and waking take longer anywhere. */
#define SLEPT_US 5
/* After so many reads in a row that did not sleep there may be a queue: it is looked at, and one more thread called in. */
#define STREAK_BUSY 32
/* Who slept for so long is not needed, if there are others. */
#define IDLE_US 1000

/* Ends a thread's sleep in read(2). */
#define SIGNAL_WAKE SIGUSR1

struct thread {
	struct loop *loop;
	pthread_t id;
	bool is_started;
	unsigned streak; /* reads of requests that somebody waits for, since one slept */
	void *request;   /* the journal's */
};

struct loop {
	struct loop_options options;
	struct fairness *fairness;
	int stop_fd;
	_Atomic bool is_stopping;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t standby;
	_Atomic unsigned n_active; /* threads that do not stand by */
	unsigned n_wanted;         /* as many are to be active */
	unsigned n_draining;       /* the descriptor is non-blocking while there are any */
	struct log_limit trouble_log;
	unsigned n_threads;
	struct thread threads[];
};

int loop_resend(int fuse_fd)
{
	const struct fuse_out_header out = {.len = sizeof(out), .error = NOTIFY_RESEND};

	return write(fuse_fd, &out, sizeof(out)) < 0 ? -errno : 0;
}

static void refuse(struct loop *l, const struct fuse_in_header *head, int error)
{
	const struct fuse_out_header out = {
		.len = sizeof(out), .error = error, .unique = head->unique};

	if (write(l->options.fuse_fd, &out, sizeof(out)) < 0)
		log_debug("cannot refuse a request, ignoring: %m");
	l->options.refused(l->options.ctx, tree_serial(head->nodeid));
}

/* Whether nobody waits for its answer. */
static bool is_unattended(const struct fuse_in_header *head)
{
	return head->opcode == FUSE_FORGET || head->opcode == FUSE_BATCH_FORGET ||
	       head->opcode == FUSE_RELEASE || head->opcode == FUSE_RELEASEDIR ||
	       head->opcode == FUSE_INTERRUPT;
}

/* Reads one request. Returns its size, 0: it was none to be answered, or -errno. */
static ssize_t read_request(struct thread *t)
{
	const struct fuse_in_header *head = t->request;
	ssize_t n = read(t->loop->options.fuse_fd, t->request, JOURNAL_REQUEST_MAX);

	if (n < 0)
		return errno == ENOENT || errno == EINTR ? 0 : -errno;
	return (size_t)n < sizeof(*head) ? 0 : n;
}

/* By instance; the socket for all and image files are every guest's, and not the root's, which is the host's. */
static uint32_t lane_of(uint64_t id)
{
	return id == TREE_SOCKET_ID  ? UINT32_MAX
	       : tree_id_is_file(id) ? UINT32_MAX - 1
				     : tree_serial(id);
}

/* Whether answering it may take as long as the disk does. */
static bool may_be_slow(const struct fuse_in_header *head)
{
	return head->opcode == FUSE_WRITE ||
	       (tree_id_is_file(head->nodeid) &&
		(head->opcode == FUSE_READ || head->opcode == FUSE_OPEN));
}

static void answer(struct loop *l, void *request, size_t n)
{
	journal_begin(l->options.journal, request);
	l->options.process(l->options.ctx, request, n);
	journal_end(l->options.journal);
}

/* Parks a request that was put aside, or refuses it. */
static void park(struct loop *l, void *request, size_t n, unsigned max)
{
	const struct fuse_in_header *head = request;
	int r = fairness_park(l->fairness, lane_of(head->nodeid), request, n, max);

	if (r == 0)
		return;
	refuse(l, head, r);
	journal_done(l->options.journal, request);
}

/* Parks the one just read, or answers it. */
static void handle_busy(struct thread *t, size_t n)
{
	struct loop *l = t->loop;
	struct journal *j = l->options.journal;
	void *aside;

	if (is_unattended(t->request)) {
		answer(l, t->request, n);
		return;
	}
	aside = journal_put_aside(j, t->request, n);
	if (aside) {
		park(l, aside, n, journal_share(j, FAIRNESS_MAX));
	} else {
		refuse(l, t->request, -EAGAIN);
		journal_done(j, t->request);
	}
}

/* Serves one that waits. Whether there was one. */
static bool serve_parked(struct loop *l)
{
	struct parked *p = fairness_take(l->fairness);

	if (!p)
		return false;
	answer(l, p->request, p->n);
	fairness_done(l->fairness, p);
	return true;
}

static void set_blocking(struct loop *l, bool blocking)
{
	(void)fcntl(l->options.fuse_fd, F_SETFL, O_RDWR | (blocking ? 0 : O_NONBLOCK));
}

static void begin_draining(struct loop *l)
{
	LOCK_HOLD(&l->lock);

	if (l->n_draining++ == 0)
		set_blocking(l, false);
}

static void end_draining(struct loop *l)
{
	LOCK_HOLD(&l->lock);

	if (--l->n_draining == 0 && !l->is_stopping)
		set_blocking(l, true);
}

/* Until there is nothing to read and nothing to serve. Returns 0, or what ends the loop. */
static int drain(struct thread *t)
{
	struct loop *l = t->loop;
	ssize_t n = 0;

	begin_draining(l);
	while (!l->is_stopping) {
		n = read_request(t);
		if (n > 0)
			handle_busy(t, (size_t)n);
		else if (n == -EAGAIN && !serve_parked(l))
			break;
		else if (n < 0 && n != -EAGAIN)
			break;
	}
	end_draining(l);
	t->streak = 0;
	return n == -EAGAIN || n >= 0 ? 0 : (int)n;
}

/* The descriptor is non-blocking, because of another thread or another worker: sleeps elsewhere. */
static void wait_for_request(struct loop *l)
{
	struct pollfd wanted[] = {{.fd = l->options.fuse_fd, .events = POLLIN},
				  {.fd = l->stop_fd, .events = POLLIN}};

	(void)poll(wanted, ARRAY_SIZE(wanted), -1);
}

/* Has one more thread read, if there is one. */
static void call_in(struct loop *l)
{
	LOCK_HOLD(&l->lock);

	if (l->n_wanted > l->n_active || l->n_wanted == l->n_threads)
		return;
	l->n_wanted++;
	pthread_cond_signal(&l->standby);
}

/* Stands by until called in, or until the end. */
static void stand_by(struct loop *l)
{
	LOCK_HOLD(&l->lock);

	while (l->n_active >= l->n_wanted && !l->is_stopping)
		pthread_cond_wait(&l->standby, &l->lock);
	l->n_active++;
}

/* Whether the thread is to stand by, being one too many. */
static bool retire(struct loop *l)
{
	LOCK_HOLD(&l->lock);

	if (l->n_active == 1)
		return false;
	l->n_active--;
	l->n_wanted = l->n_active;
	return true;
}

/* What the last read says about the load; @slept_us is how long it took. */
static void judge_load(struct thread *t, uint64_t slept_us)
{
	const struct fuse_in_header *head = t->request;

	if (slept_us >= SLEPT_US)
		t->streak = 0;
	else if (!is_unattended(head))
		t->streak++;
	/* Others are not to wait for that. */
	if (t->streak >= STREAK_BUSY || may_be_slow(head))
		call_in(t->loop);
}

/* Reads and answers one request, or many. Returns 0, or what ends the loop. */
static int serve_next(struct thread *t)
{
	struct loop *l = t->loop;
	const struct fuse_in_header *head = t->request;
	uint64_t slept_us = now_us();
	ssize_t n = read_request(t);

	slept_us = now_us() - slept_us;
	/* What waits for others of its instance is served by who serves those. */
	if (n == -EAGAIN && fairness_has_turn(l->fairness))
		return drain(t);
	if (n == -EAGAIN)
		wait_for_request(l);
	if (n <= 0)
		return n == -EAGAIN ? 0 : (int)n;
	judge_load(t, slept_us);
	/* It is counted, so that not all threads do that for one guest. */
	if (t->streak >= STREAK_BUSY || may_be_slow(head) || !fairness_is_idle(l->fairness)) {
		handle_busy(t, (size_t)n);
		return drain(t);
	}
	answer(l, t->request, (size_t)n);
	if (slept_us >= IDLE_US && retire(l))
		stand_by(l);
	return 0;
}

static void *serve(void *arg)
{
	struct thread *t = arg;
	struct loop *l = t->loop;
	int r = 0;

	/* By itself: naming another one is writing to a file, which the cage does not allow. */
	pthread_setname_np(pthread_self(), "tree");
	stand_by(l);
	/* Taken up. */
	if (!fairness_is_idle(l->fairness))
		r = drain(t);
	while (!l->is_stopping && (r == 0 || r == -ENOMEM))
		r = serve_next(t);
	if (r < 0 && !l->is_stopping)
		log_limited(&l->trouble_log, LOG_EVENT_NONE, NULL,
			    "cannot read from the mount: %s; guests have lost their directories, "
			    "restart the daemon",
			    r == -ENODEV ? "it was unmounted or aborted" : strerror(-r));
	while (serve_parked(l))
		continue;
	return NULL;
}

static int thread_start(struct loop *l, struct thread *t)
{
	int r;

	t->loop = l;
	t->request = journal_reader(l->options.journal, (unsigned)(t - l->threads));
	r = -pthread_create(&t->id, NULL, serve, t);
	if (r < 0)
		return r;
	t->is_started = true;
	return 0;
}

static void on_wake(int number)
{
}

/* Without SA_RESTART: a sleep in read(2) ends with it. */
static int handle_wake(void)
{
	const struct sigaction action = {.sa_handler = on_wake};

	return sigaction(SIGNAL_WAKE, &action, NULL) < 0 ? -errno : 0;
}

/*
 * Whether it has not been answered yet. If it was interrupted the interrupt is sent again, which an earlier worker may
 * have taken with it.
 */
static bool is_outstanding(const struct loop *l, uint64_t unique)
{
	const struct fuse_out_header again = {
		.len = sizeof(again), .error = -EAGAIN, .unique = unique | INTERRUPT_BIT};

	/* -EINVAL: it was not. */
	return write(l->options.fuse_fd, &again, sizeof(again)) >= 0 || errno != ENOENT;
}

/* A request of an earlier worker. */
static void take_up(void *ctx, void *request, size_t n)
{
	struct loop *l = ctx;
	const struct fuse_in_header *head = request;

	if (is_outstanding(l, head->unique) && head->opcode != FUSE_INTERRUPT)
		park(l, request, n, UINT_MAX);
	else
		journal_done(l->options.journal, request);
}

static int take_up_all(struct loop *l)
{
	if (l->options.is_taking_up)
		return journal_take_up(l->options.journal, take_up, l);
	journal_clear(l->options.journal);
	return 0;
}

int loop_new(const struct loop_options *options, struct loop **ret)
{
	_cleanup_(loop_freep) struct loop *l =
		calloc(1, sizeof(*l) + options->n_threads * sizeof(l->threads[0]));
	int r;

	if (!l)
		return -ENOMEM;
	l->options = *options;
	l->n_threads = options->n_threads;
	l->n_wanted = 1;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->standby, NULL);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0)
		return -errno;
	l->fairness = fairness_new(options->n_threads);
	if (!l->fairness)
		return -ENOMEM;
	r = take_up_all(l);
	if (r < 0)
		return r;
	r = handle_wake();
	set_blocking(l, true);
	for (unsigned i = 0; i < l->n_threads && r == 0; i++)
		r = thread_start(l, &l->threads[i]);
	if (r == 0)
		*ret = steal_ptr(&l);
	return r;
}

/*
 * Wakes all threads for good: who comes to read(2) from now on does not sleep there, who sleeps is
 * woken by the signal, and who polls by the descriptor.
 */
static void wake_all(struct loop *l)
{
	{
		LOCK_HOLD(&l->lock);

		l->is_stopping = true;
		set_blocking(l, false);
		pthread_cond_broadcast(&l->standby);
	}
	eventfd_write(l->stop_fd, 1);
	for (unsigned i = 0; i < l->n_threads; i++)
		if (l->threads[i].is_started)
			pthread_kill(l->threads[i].id, SIGNAL_WAKE);
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	if (l->stop_fd >= 0)
		wake_all(l);
	for (unsigned i = 0; i < l->n_threads; i++)
		if (l->threads[i].is_started)
			pthread_join(l->threads[i].id, NULL);
	closep(&l->stop_fd);
	fairness_free(l->fairness);
	pthread_cond_destroy(&l->standby);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}
