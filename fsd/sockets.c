/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets in the tree
 *
 * A slot is free, made, or bound. Jobs that died with a helper are given to the
 * next, which finds out when they were done.
 */
#include "sockets.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/sock.h"
#include "channel.h"
#include "fdstore.h"

/* Who connects before the worker listens, or while there is none, waits. */
#define BACKLOG 512

static const struct socket_slot *find(const struct sockets *s, uint32_t serial)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++)
		if (s->slots[i].serial == serial)
			return &s->slots[i];
	return NULL;
}

static struct socket_slot *find_to_change(struct sockets *s, uint32_t serial)
{
	const struct socket_slot *slot = find(s, serial);

	return slot ? &s->slots[slot - s->slots] : NULL;
}

/* What is bound is whole before it is said to be. */
static void show(const struct sockets *s, const struct socket_slot *slot)
{
	struct shared_listener *l = &s->shared->listeners[slot - s->slots];

	l->is_bound = false;
	l->fd = slot->fd;
	l->serial = slot->serial;
	l->is_bound = slot->is_bound;
}

void sockets_show(const struct sockets *s)
{
	if (!s->shared)
		return;
	s->shared->is_socket_bound = s->is_bound;
	s->shared->helper_tid = s->helper.pid;
	for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++)
		show(s, &s->slots[i]);
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

/* Bound and listening: the helper has done its job. */
static bool is_ready(int fd)
{
	struct sockaddr_un name;
	socklen_t n = sizeof(name), n_listens = sizeof(int);
	int listens = 0;

	return getsockname(fd, (struct sockaddr *)&name, &n) == 0 &&
	       n > offsetof(struct sockaddr_un, sun_path) &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n_listens) == 0 && listens;
}

void sockets_take_up(struct sockets *s, const char *path, struct shared *shared, int fd,
		     struct fdstore *store)
{
	int listener_fd;
	uint32_t serial;

	*s = (struct sockets){.shared = shared, .path = path, .fd = fd, .helper = {0, -1, -1}};
	s->is_bound = is_ready(fd);
	while ((listener_fd = fdstore_take_listener(store, &serial)) >= 0) {
		struct socket_slot *slot = find(s, serial) ? NULL : find_to_change(s, 0);

		if (slot)
			*slot = (struct socket_slot){serial, ++s->last_job, listener_fd,
						     is_ready(listener_fd)};
		else
			closep(&listener_fd);
	}
}

void sockets_finish(struct sockets *s)
{
	if (!s->shared)
		return;
	helper_stop(&s->helper);
	for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++)
		if (s->slots[i].serial)
			closep(&s->slots[i].fd);
	closep(&s->fd);
	*s = (struct sockets){.fd = -1, .helper = {0, -1, -1}};
}

/* What is to be bound next; false: nothing. */
static bool next_job(const struct sockets *s, uint32_t *ret_serial, uint32_t *ret_job, int *ret_fd)
{
	if (!s->is_bound) {
		*ret_serial = *ret_job = 0;
		*ret_fd = s->fd;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++) {
		const struct socket_slot *l = &s->slots[i];

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
	struct socket_slot *slot = m->serial ? find_to_change(s, m->serial) : NULL;
	int r = m->type == CHANNEL_BOUND ? 0 : m->error;

	/* Taken away meanwhile, and perhaps made anew, which is another job. */
	if (m->serial != 0 && (!slot || slot->job != s->busy_job))
		return -ECANCELED;
	if (r == 0)
		r = sock_listen(slot ? slot->fd : s->fd, BACKLOG);
	if (!slot) {
		s->shared->is_socket_bound = s->is_bound = r == 0;
	} else if (r == 0) {
		slot->is_bound = true;
		show(s, slot);
	} else {
		sockets_remove(s, m->serial);
	}
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
	struct socket_slot *slot = find_to_change(s, serial);
	int fd;

	if (slot)
		return 0;
	slot = find_to_change(s, 0);
	if (!slot)
		return -EMFILE;
	fd = new_socket();
	if (fd < 0)
		return fd;
	*slot = (struct socket_slot){.serial = serial, .job = ++s->last_job, .fd = fd};
	show(s, slot);
	if (s->is_kept)
		fdstore_put_listener(serial, fd);
	return send_next(s);
}

void sockets_remove(struct sockets *s, uint32_t serial)
{
	struct socket_slot *slot = serial ? find_to_change(s, serial) : NULL;

	if (!slot)
		return;
	closep(&slot->fd);
	*slot = (struct socket_slot){.fd = -1};
	show(s, slot);
	if (s->is_kept)
		fdstore_forget_listener(serial);
}

int sockets_find(const struct sockets *s, uint32_t serial)
{
	const struct socket_slot *slot = serial ? find(s, serial) : NULL;

	return slot && slot->is_bound ? slot->fd : -1;
}
