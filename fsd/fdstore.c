/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The service manager's store of descriptors: what outlives a keeper
 */
#include "fdstore.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/text.h"
#include "mount.h"
#include "notify.h"

#define FIRST_FD    3
#define FUSE_DEVICE makedev(10, 229) /* /dev/fuse, the kernel's admin-guide/devices.txt */
/* And the serial. */
#define LISTENER "instance-"

static const char *const tree_names[] = {"fuse", "shared",      "journal",
					 "tree", "poke-worker", "poke-poker"};

static void listener_name(uint32_t serial, char ret[32])
{
	snprintf(ret, 32, LISTENER "%u", serial);
}

void fdstore_open(struct fdstore *s, bool is_wanted)
{
	*s = (struct fdstore){0};
	if (!is_wanted)
		return;
	s->is_on = notify_has_store();
	if (!s->is_on)
		log_warn("there is no service manager to keep descriptors, so a restart unmounts");
	else
		s->n = notify_kept(&s->names);
	if (s->n < 0) {
		log_warn("cannot take what the service manager kept, ignoring: %s",
			 strerror(-s->n));
		s->n = 0;
	}
}

void fdstore_finish(struct fdstore *s)
{
	for (int i = 0; i < s->n; i++) {
		int fd = FIRST_FD + i;

		if (s->names[i][0]) {
			notify_forget(s->names[i]);
			closep(&fd);
		}
		free(s->names[i]);
	}
	free(s->names);
	s->names = NULL;
	s->n = 0;
}

static int find(const struct fdstore *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (streq(s->names[i], name))
			return i;
	return -1;
}

int fdstore_take(struct fdstore *s, const char *name)
{
	int i = find(s, name);

	if (i < 0)
		return -1;
	s->names[i][0] = '\0';
	return FIRST_FD + i;
}

void fdstore_put(const struct fdstore *s, const char *name, int fd)
{
	if (s->is_on)
		notify_store(name, fd);
}

/* The connection lives, and is the one that is mounted at @path. */
static bool is_mounted(const char *path, int fuse_fd, const struct shared *shared)
{
	struct pollfd p = {.fd = fuse_fd, .events = POLLIN};
	struct stat st;

	if (fstat(fuse_fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != FUSE_DEVICE)
		return false;
	return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLERR | POLLHUP | POLLNVAL)) &&
	       mount_number(path) == shared->mount_number;
}

int fdstore_take_listener(struct fdstore *s, uint32_t *ret_serial)
{
	const size_t n = strlen(LISTENER);
	uint64_t serial;

	for (int i = 0; i < s->n; i++) {
		if (strlen(s->names[i]) <= n || memcmp(s->names[i], LISTENER, n) != 0 ||
		    text_to_u64(s->names[i] + n, 1, UINT32_MAX, &serial) < 0)
			continue;
		s->names[i][0] = '\0';
		*ret_serial = (uint32_t)serial;
		return FIRST_FD + i;
	}
	return -1;
}

static void forget_the_dead(struct shared *shared)
{
	shared->canary_tid = 0;
	shared->helper_tid = 0;
	shared->poker_pid = 0;
	shared->is_poker_up = false;
	shared->is_socket_bound = false;
	for (size_t i = 0; i < SHARED_POKER_THREADS_MAX; i++)
		shared->poker_tids[i] = 0;
}

int fdstore_take_tree(struct fdstore *s, const char *path, struct fdstore_tree *ret,
		      struct shared **ret_shared)
{
	_cleanup_(shared_freep) struct shared *shared = NULL;
	int fds[ARRAY_SIZE(tree_names)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tree_names); i++) {
		int at = find(s, tree_names[i]);

		fds[i] = FIRST_FD + at;
		n += at >= 0;
	}
	if (n == 0)
		return -ENOENT;
	if (n < ARRAY_SIZE(tree_names)) {
		log_warn("the service manager has lost a part of the tree, starting a new one");
		return -ESTALE;
	}
	if (shared_map(fds[1], &shared) < 0) {
		log_warn("the tree is of another version of devlxdfsd, starting a new one");
		return -ESTALE;
	}
	if (!is_mounted(path, fds[0], shared)) {
		log_warn("what the service manager kept is not mounted at \"%s\", starting a new "
			 "tree",
			 path);
		return -ESTALE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(tree_names); i++)
		(void)fdstore_take(s, tree_names[i]);
	forget_the_dead(shared);
	*ret = (struct fdstore_tree){fds[0], fds[1], fds[2], fds[3], {fds[4], fds[5]}};
	*ret_shared = steal_ptr(&shared);
	return 0;
}

void fdstore_put_tree(const struct fdstore *s, const struct fdstore_tree *tree)
{
	const int fds[ARRAY_SIZE(tree_names)] = {tree->fuse_fd,     tree->shared_fd,
						 tree->journal_fd,  tree->listen_fd,
						 tree->poke_fds[0], tree->poke_fds[1]};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fdstore_put(s, tree_names[i], fds[i]);
}

void fdstore_put_listener(uint32_t serial, int fd)
{
	char name[32];

	listener_name(serial, name);
	notify_store(name, fd);
}

void fdstore_forget_listener(uint32_t serial)
{
	char name[32];

	listener_name(serial, name);
	notify_forget(name);
}
