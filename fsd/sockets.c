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
	*s = (struct sockets){shared, path, -1, {0, -1, -1}};
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

int sockets_start_helper(struct sockets *s)
{
	int r = helper_start(s->path, &s->helper);

	if (r < 0)
		return r;
	s->shared->helper_tid = s->helper.pid;
	if (!s->shared->is_socket_bound)
		r = helper_bind(&s->helper, 0, s->fd);
	for (size_t i = 0; i < SHARED_LISTENERS_MAX && r == 0; i++) {
		const struct shared_listener *l = &s->shared->listeners[i];

		if (l->serial && !l->is_bound)
			r = helper_bind(&s->helper, l->serial, l->fd);
	}
	return r;
}

void sockets_helper_died(struct sockets *s)
{
	/* Before it is reaped: from then on its number may be another's. */
	s->shared->helper_tid = 0;
	helper_reap(&s->helper);
}

int sockets_take_answer(struct sockets *s, uint32_t *ret_serial, int *ret_error)
{
	struct shared_listener *l;
	struct channel_message m;
	int fd, r = channel_receive(s->helper.channel_fd, &m, &fd);

	if (r < 0)
		return r;
	closep(&fd);
	*ret_serial = m.serial;
	*ret_error = m.error;
	l = m.serial ? find(s, m.serial) : NULL;
	fd = m.serial == 0 ? s->fd : l ? l->fd : -1;
	if (m.type == CHANNEL_BOUND && sock_listen(fd, BACKLOG) < 0)
		*ret_error = -errno;
	if (m.serial == 0) {
		s->shared->is_socket_bound = *ret_error == 0;
	} else if (!l) {
		*ret_error = -ENOENT; /* removed meanwhile */
	} else if (*ret_error == 0) {
		l->is_bound = true;
	} else {
		sockets_remove(s, m.serial);
	}
	return 0;
}

int sockets_add(struct sockets *s, uint32_t serial)
{
	struct shared_listener *l = find(s, serial);
	int fd, r;

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
	l->serial = serial;
	r = helper_bind(&s->helper, serial, fd);
	return r == -ESRCH ? 0 : r; /* the next helper will */
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
