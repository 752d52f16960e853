/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets in the tree
 *
 * A slot of the shared table is free, made, or bound. Jobs that died with a helper are given to the
 * next, which finds out when they were done.
 */
#include "sockets.h"

#include <sys/socket.h>

#include "base/sock.h"
#include "channel.h"

/* Who connects before the worker listens, or while there is none, waits. */
#define BACKLOG 512

static struct shared_listener *find(const struct sockets *s, uint32_t serial)
{
	for (size_t i = 0; i < SHARED_LISTENERS_MAX; i++)
		if (s->shared->listeners[i].serial == serial)
			return &s->shared->listeners[i];
	return NULL;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int sockets_init(struct sockets *s, const char *path, struct shared *shared)
{
	*s = (struct sockets){.shared = shared, .path = path, .fd = -1, .helper = {0, -1, -1}};
	s->fd = new_socket();
	return s->fd < 0 ? s->fd : 0;
}

void sockets_finish(struct sockets *s)
{
	if (!s->shared)
		return;
	helper_stop(&s->helper);
	for (size_t i = 0; i < SHARED_LISTENERS_MAX; i++)
		if (s->shared->listeners[i].serial)
			closep(&s->shared->listeners[i].fd);
	closep(&s->fd);
	*s = (struct sockets){.fd = -1, .helper = {0, -1, -1}};
}

/* What is to be bound next; false: nothing. */
static bool next_job(const struct sockets *s, uint32_t *ret_serial, uint32_t *ret_job, int *ret_fd)
{
	if (!s->shared->is_socket_bound) {
		*ret_serial = *ret_job = 0;
		*ret_fd = s->fd;
		return true;
	}
	for (size_t i = 0; i < SHARED_LISTENERS_MAX; i++) {
		const struct shared_listener *l = &s->shared->listeners[i];

		if (!l->serial || l->is_bound)
			continue;
		*ret_serial = l->serial;
		*ret_job = l->job;
		*ret_fd = l->fd;
		return true;
	}
	return false;
}

/* Gives the helper its next job, if it has none and there is one. Returns 0 or -errno. */
static int send_next(struct sockets *s)
{
	int fd, r;

	if (s->helper.pid == 0 || s->is_busy || !next_job(s, &s->busy_serial, &s->busy_job, &fd))
		return 0;
	r = helper_bind(&s->helper, s->busy_serial, fd);
	s->is_busy = r == 0;
	return r;
}

int sockets_start_helper(struct sockets *s)
{
	int r = helper_start(s->path, &s->helper);

	if (r < 0)
		return r;
	s->shared->helper_tid = s->helper.pid;
	s->is_busy = false;
	r = send_next(s);
	if (r < 0)
		helper_stop(&s->helper);
	return r;
}

void sockets_helper_died(struct sockets *s)
{
	/* Before it is reaped: from then on its number may be another's. */
	s->shared->helper_tid = 0;
	helper_reap(&s->helper);
	s->is_busy = false;
}

/* What the answer @m means for what it was about. Returns 0 or why it is not bound. */
static int settle(struct sockets *s, const struct channel_message *m)
{
	struct shared_listener *l = m->serial ? find(s, m->serial) : NULL;
	int r = m->type == CHANNEL_BOUND ? 0 : m->error;

	/* Taken away meanwhile, and perhaps made anew, which is another job. */
	if (m->serial != 0 && (!l || l->job != s->busy_job))
		return -ECANCELED;
	if (r == 0)
		r = sock_listen(m->serial ? l->fd : s->fd, BACKLOG);
	if (m->serial == 0)
		s->shared->is_socket_bound = r == 0;
	else if (r == 0)
		l->is_bound = true;
	else
		sockets_remove(s, m->serial);
	return r;
}

int sockets_take_answer(struct sockets *s, uint32_t *ret_serial, int *ret_error)
{
	struct channel_message m;
	int fd, r = channel_receive(s->helper.channel_fd, &m, &fd);

	if (r < 0)
		return r;
	closep(&fd);
	*ret_serial = m.serial;
	*ret_error = settle(s, &m);
	s->is_busy = false;
	/* Without the one for all there is no going on; the keeper decides. */
	if (m.serial != 0 || *ret_error == 0)
		(void)send_next(s);
	return 0;
}

int sockets_add(struct sockets *s, uint32_t serial)
{
	struct shared_listener *l = find(s, serial);
	int fd;

	if (l)
		return 0;
	l = find(s, 0);
	if (!l)
		return -EMFILE;
	fd = new_socket();
	if (fd < 0)
		return fd;
	l->is_bound = false;
	l->fd = fd;
	l->job = ++s->last_job;
	l->serial = serial;
	return send_next(s);
}

void sockets_remove(struct sockets *s, uint32_t serial)
{
	struct shared_listener *l = serial ? find(s, serial) : NULL;

	if (!l)
		return;
	l->serial = 0;
	l->is_bound = false;
	closep(&l->fd);
}

int sockets_find(const struct sockets *s, uint32_t serial)
{
	const struct shared_listener *l = serial ? find(s, serial) : NULL;

	return l && l->is_bound ? l->fd : -1;
}
