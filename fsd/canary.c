/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See canary.h. */
#include "canary.h"

#include <pthread.h>
#include <semaphore.h>

#include "base/cleanup.h"
#include "channel.h"
#include "keeperlink.h"
#include "shared.h"

struct canary {
	struct shared *shared;
	const struct keeperlink *keeper;
	sem_t is_there;
	int error;
};

/* What it is told is gone once it is there. */
static void *be_canary(void *arg)
{
	struct canary *c = arg;

	c->shared->canary_tid = gettid();
	c->error = keeperlink_tell(c->keeper, CHANNEL_STARTED);
	sem_post(&c->is_there);
	while (pause() < 0)
		continue;
	return NULL;
}

int canary_start(struct shared *shared, const struct keeperlink *keeper)
{
	struct canary c = {.shared = shared, .keeper = keeper};
	pthread_t thread;
	int r;

	if (!shared)
		return 0;
	sem_init(&c.is_there, 0, 0);
	r = -pthread_create(&thread, NULL, be_canary, &c);
	if (r < 0)
		return r;
	pthread_detach(thread);
	while (sem_wait(&c.is_there) < 0)
		continue;
	return c.error;
}
