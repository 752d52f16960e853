#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's end of the channel to its keeper
 */
#include <pthread.h>

#include "api/request.h"
#include "asker.h"

struct hub;
struct treefront;

/* Embedded; keeperlink_init(). */
struct keeperlink {
	int fd;                 /* borrowed */
	struct treefront *tree; /* borrowed; NULL: there is none */
	struct hub *hub;        /* borrowed; hears of upgrades */
	struct api_keeper api;
	struct asker asker;
	pthread_mutex_t lock;
	struct channel_message upgrades; /* the last CHANNEL_UPGRADES */
};

/* Takes what the keeper gives a worker on its way. */
void keeperlink_init(struct keeperlink *l, int fd);

/* Says what needs no more words. Returns 0 or -errno. */
int keeperlink_tell(const struct keeperlink *l, enum channel_type type);

/* Deals with all that the keeper has said. Returns 0, -EPIPE: it is gone, or -errno. By one thread. */
int keeperlink_handle(struct keeperlink *l);
