/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Poker: the process that makes inotify speak
 *
 * A fork of the keeper that never returns to it. One thread of its pool waits for a request while N_ACTIVE at most carry
 * some out, not counting those that the kernel has held for longer than STUCK_US; whoever takes a request while no
 * other is at hand starts one. The last one that may be started carries out nothing, and says so.
 */
#include "poker.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/sock.h"
#include "core/lock.h"

#define POKER_CHANNEL_FD 3
#define N_ACTIVE         4
#define STUCK_US         (50 * 1000)

struct pool;

struct thread {
	struct pool *pool;
	uint64_t busy_since_us; /* 0: it does nothing */
};

struct pool {
	struct shared *shared;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_receiving; /* one of them */
	unsigned n_threads;
	struct thread threads[SHARED_POKER_THREADS_MAX];
};

static int change(const char *path)
{
	/* Not waiting for the end of a lease. */
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return ftruncate(fd, st.st_size) < 0 ? -errno : 0;
}

/* A name that somebody has looked up already is there. */
static int add(const char *path)
{
	if (mknod(path, S_IFREG | 0400, 0) == 0)
		return 0;
	return errno == EEXIST ? change(path) : -errno;
}

static int remove_name(const char *path)
{
	return unlink(path) < 0 ? -errno : 0;
}

/* Every component is a name below. */
static bool is_below(const char *path)
{
	while (true) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[n] == '\0')
			return true;
		path += n + 1;
	}
}

static int carry_out(const struct poker_request *r, size_t size)
{
	static int (*const ops[_POKER_N_OPS])(const char *path) = {
		[POKER_ADD] = add, [POKER_CHANGE] = change, [POKER_REMOVE] = remove_name};

	if (size <= offsetof(struct poker_request, path) || r->op >= _POKER_N_OPS ||
	    ((const char *)r)[size - 1] != '\0' || !is_below(r->path))
		return -EINVAL;
	return ops[r->op](r->path);
}

static void answer(uint64_t number, int error)
{
	const struct poker_answer a = {.number = number, .error = error};

	(void)send(POKER_CHANNEL_FD, &a, sizeof(a), MSG_NOSIGNAL);
}

static unsigned count_busy(const struct pool *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_threads; i++)
		n += p->threads[i].busy_since_us != 0;
	return n;
}

/* How many carry out something, and have not been held in the kernel for long. */
static unsigned count_active(const struct pool *p, uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_threads; i++)
		n += p->threads[i].busy_since_us != 0 &&
		     now - p->threads[i].busy_since_us < STUCK_US;
	return n;
}

static void *serve(void *arg);

static int start_thread(struct pool *p)
{
	struct thread *t = &p->threads[p->n_threads];
	pthread_attr_t attr;
	pthread_t id;
	int r;

	if (p->n_threads == ARRAY_SIZE(p->threads))
		return -EAGAIN;
	*t = (struct thread){.pool = p};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&id, &attr, serve, t);
	pthread_attr_destroy(&attr);
	if (r == 0)
		p->n_threads++;
	return r;
}

/* Waits for a request and carries it out, unless nobody else could take the next one. With the lock held. */
static void serve_one(struct thread *t)
{
	struct pool *p = t->pool;
	struct poker_request request = {0};
	ssize_t n;
	int r = -EBUSY;

	p->is_receiving = true;
	pthread_mutex_unlock(&p->lock);
	do
		n = recv(POKER_CHANNEL_FD, &request, sizeof(request), 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0);
	pthread_mutex_lock(&p->lock);
	p->is_receiving = false;
	if (count_busy(p) + 1 < p->n_threads || start_thread(p) == 0)
		t->busy_since_us = now_us();
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
	if (t->busy_since_us)
		r = carry_out(&request, (size_t)n);
	answer(request.number, r);
	pthread_mutex_lock(&p->lock);
	t->busy_since_us = 0;
	pthread_cond_signal(&p->cond);
}

/* Never ends but with the process: its id is that of a thread of ours for as long as it stands in the shared state. */
static void *serve(void *arg)
{
	struct thread *t = arg;
	struct pool *p = t->pool;
	LOCK_HOLD(&p->lock);

	p->shared->poker_tids[t - p->threads] = gettid();
	for (;;) {
		uint64_t now = now_us(), until = now + STUCK_US;
		const struct timespec deadline = {.tv_sec = (time_t)(until / 1000000),
						  .tv_nsec = (long)(until % 1000000) * 1000};

		if (p->is_receiving)
			pthread_cond_wait(&p->cond, &p->lock);
		else if (count_active(p, now) >= N_ACTIVE)
			(void)pthread_cond_timedwait(&p->cond, &p->lock, &deadline);
		else
			serve_one(t);
	}
	return NULL;
}

static _Noreturn void become_poker(const char *path, pid_t keeper_pid, int channel_fd,
				   struct shared *shared)
{
	struct pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!p || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper_pid)
		_exit(1);
	prctl(PR_SET_NAME, "devlxdfs-poker");
	if (dup3(channel_fd, POKER_CHANNEL_FD, O_CLOEXEC) < 0 && channel_fd != POKER_CHANNEL_FD)
		_exit(1);
	if (close_range(POKER_CHANNEL_FD + 1, ~0U, 0) < 0 || chdir(path) < 0)
		_exit(1);
	p->shared = shared;
	p->n_threads = 1;
	p->threads[0].pool = p;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->cond, &attr);
	shared->is_poker_up = true;
	answer(0, 0);
	serve(&p->threads[0]);
	_exit(0);
}

int poker_start(const char *path, int channel_fd, struct shared *shared, struct poker *ret)
{
	_cleanup_(closep) int pid_fd = -1;
	pid_t pid, self = getpid();

	shared->is_poker_up = false;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_poker(path, self, channel_fd, shared);
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0) {
		int r = -errno;

		kill(pid, SIGKILL);
		return r;
	}
	shared->poker_pid = pid;
	*ret = (struct poker){pid, steal_fd(&pid_fd)};
	return 0;
}

void poker_reap(struct poker *p, struct shared *shared)
{
	if (p->pid == 0)
		return;
	/* First: once it is reaped, its number may be another's. */
	shared->poker_pid = 0;
	for (size_t i = 0; i < SHARED_POKER_THREADS_MAX; i++)
		shared->poker_tids[i] = 0;
	waitpid(p->pid, NULL, WNOHANG);
	closep(&p->pid_fd);
	*p = (struct poker){0, -1};
}

void poker_stop(struct poker *p, struct shared *shared)
{
	if (p->pid_fd >= 0 && p->pid != 0)
		pidfd_send_signal(p->pid_fd, SIGKILL, NULL, 0);
	poker_reap(p, shared);
}

bool poker_has_thread(const struct shared *shared, pid_t tid)
{
	pid_t pid = shared->poker_pid;

	if (pid == 0 || tid == 0)
		return false;
	for (size_t i = 0; i < SHARED_POKER_THREADS_MAX; i++)
		if (shared->poker_tids[i] == tid)
			/* One that has ended is known until its process is reaped; who waits is no other of that id. */
			return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno == EPERM;
	return false;
}
