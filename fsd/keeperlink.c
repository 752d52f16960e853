/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's end of the channel to its keeper
 */
#include "keeperlink.h"

#include "core/hub.h"
#include "core/lock.h"
#include "treefront.h"
#include "upgrade.h"

static int upgrade(void *ctx)
{
	return keeperlink_tell(ctx, CHANNEL_UPGRADE);
}

static json_t *upgrades(void *ctx)
{
	struct keeperlink *l = ctx;
	LOCK_HOLD(&l->lock);
	const struct channel_message *m = &l->upgrades;

	return json_pack("{s:I, s:I, s:s?}", "done", (json_int_t)m->serial, "failed",
			 (json_int_t)m->count, "last_failure",
			 m->count > 0 ? upgrade_failure_text((uint32_t)m->error) : NULL);
}

void keeperlink_init(struct keeperlink *l, int fd)
{
	struct channel_message m;
	int lent_fd = -1;

	*l = (struct keeperlink){.fd = fd, .api = {l, upgrade, upgrades}};
	pthread_mutex_init(&l->lock, NULL);
	asker_init(&l->asker, fd);
	if (channel_receive(fd, &m, &lent_fd) == 0 && m.type == CHANNEL_UPGRADES)
		l->upgrades = m;
	closep(&lent_fd);
}

static void take_upgrades(struct keeperlink *l, const struct channel_message *m)
{
	struct channel_message before;
	{
		LOCK_HOLD(&l->lock);

		before = l->upgrades;
		l->upgrades = *m;
	}
	if (m->serial != before.serial)
		hub_lifecycle(l->hub, LIFECYCLE_UPGRADED, NULL, NULL);
	if (m->count != before.count)
		hub_lifecycle(l->hub, LIFECYCLE_UPGRADE_FAILED, NULL,
			      upgrade_failure_text((uint32_t)m->error));
}

int keeperlink_tell(const struct keeperlink *l, enum channel_type type)
{
	return channel_send(l->fd, (struct channel_message){.type = type}, -1);
}

/* That this thread runs says little: the tree is to get on, too. */
static int answer_ping(const struct keeperlink *l)
{
	int r = 0;

	if (!l->tree || treefront_gets_on(l->tree))
		r = keeperlink_tell(l, CHANNEL_PONG);
	return r == -EAGAIN ? 0 : r;
}

int keeperlink_handle(struct keeperlink *l)
{
	struct channel_message m;
	int fd, r;

	while ((r = channel_receive(l->fd, &m, &fd)) == 0) {
		if (m.type == CHANNEL_PING)
			r = answer_ping(l);
		else if (m.type == CHANNEL_UPGRADES)
			take_upgrades(l, &m);
		else if (m.type == CHANNEL_CGROUP || m.type == CHANNEL_BACKING)
			asker_answer(&l->asker, &m, steal_fd(&fd));
		else if (l->tree)
			treefront_message(l->tree, &m, steal_fd(&fd));
		closep(&fd);
		if (r < 0)
			return r;
	}
	return r == -EAGAIN ? 0 : r;
}
