/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest has taken and what it may take
 *
 * The request bucket is a token bucket that holds one second's worth of
 * requests. Its time and its tokens are one number: the moment, in nanoseconds,
 * at which it would be full again if nobody asked. A request moves that moment
 * by 1/rate of a second and is refused if it would be more than one second
 * ahead. One compare-and-swap charges it; a zeroed account is a full bucket.
 */
#include "core/limits.h"

#include <assert.h>
#include <stdatomic.h>

#include "core/settings.h"

#define NS_PER_S UINT64_C(1000000000)

/* One more, unless there are @max already. */
static bool count_up(_Atomic uint32_t *count, uint32_t max)
{
	uint32_t n = *count;

	do {
		if (n >= max)
			return false;
	} while (!atomic_compare_exchange_weak(count, &n, n + 1));
	return true;
}

bool account_connect(struct account *a, const struct settings *s)
{
	bool has_room = count_up(&a->n_connections, s->max_connections);

	if (has_room)
		a->n_accepted++;
	else
		a->n_refused_connections++;
	return has_room;
}

void account_disconnect(struct account *a)
{
	assert(a->n_connections > 0);
	a->n_connections--;
}

bool account_listen(struct account *a, const struct settings *s)
{
	bool has_room = count_up(&a->n_event_listeners, s->max_event_listeners);

	if (!has_room)
		a->n_refused_requests++;
	return has_room;
}

void account_unlisten(struct account *a)
{
	assert(a->n_event_listeners > 0);
	a->n_event_listeners--;
}

/* Returns 0, or the nanoseconds until there will be room. */
static uint64_t bucket_take(_Atomic uint64_t *bucket, uint32_t per_s, uint64_t now_ns)
{
	uint64_t full_at = *bucket, next;

	do {
		next = (full_at > now_ns ? full_at : now_ns) + NS_PER_S / per_s;
		if (next > now_ns + NS_PER_S)
			return next - (now_ns + NS_PER_S);
	} while (!atomic_compare_exchange_weak(bucket, &full_at, next));
	return 0;
}

uint32_t account_request(struct account *a, const struct settings *s, uint64_t now_us)
{
	uint64_t wait_ns = 0;

	if (s->max_requests_per_s > 0)
		wait_ns = bucket_take(&a->tokens, s->max_requests_per_s, now_us * 1000);
	if (wait_ns > 0) {
		a->n_refused_requests++;
		return (wait_ns + NS_PER_S - 1) / NS_PER_S;
	}
	a->n_requests++;
	return 0;
}
