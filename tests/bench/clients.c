/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "clients.h"

#include <pthread.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text.h"

#define TICK_NS     100
#define FINE_BITS   10 /* so many bits of a latency's ticks are kept */
#define FINE_TICKS  (1U << FINE_BITS)
#define HALF_TICKS  (FINE_TICKS / 2)
#define NS_A_SECOND 1000000000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_A_SECOND + (uint64_t)t.tv_nsec;
}

/* A bucket a tick while there are few, then HALF_TICKS buckets for each doubling. */
static unsigned bucket_of(uint64_t ns)
{
	uint64_t ticks = ns / TICK_NS, bucket;
	unsigned shift = 0;

	while (ticks >> shift >= FINE_TICKS)
		shift++;
	bucket = shift * HALF_TICKS + (ticks >> shift);
	return bucket < CLIENTS_BUCKETS ? (unsigned)bucket : CLIENTS_BUCKETS - 1;
}

static double us_of(unsigned bucket)
{
	unsigned shift = bucket < FINE_TICKS ? 0 : bucket / HALF_TICKS - 1;

	return (double)((uint64_t)(bucket - shift * HALF_TICKS) << shift) * TICK_NS / 1000;
}

/* The latency that @permille of @n did not exceed, in microseconds. */
static double percentile(const struct clients *c, uint64_t n, unsigned permille)
{
	uint64_t left = n * permille / 1000;
	unsigned bucket = 0;

	while (bucket < CLIENTS_BUCKETS - 1 && left >= c->latencies[bucket])
		left -= c->latencies[bucket++];
	return us_of(bucket);
}

int clients_option(struct clients *c, int option, const char *value)
{
	if (option == 'c')
		return text_to_u64(value, 1, CLIENTS_MAX, &c->n);
	if (option == 's')
		return text_to_u64(value, 1, 3600, &c->seconds);
	return -EINVAL;
}

bool clients_begin(const struct clients *c, uint64_t *ret_start_ns)
{
	uint64_t start_ns = now_ns();

	if (start_ns >= c->end_ns)
		return false;
	*ret_start_ns = start_ns;
	return true;
}

void clients_end(struct clients *c, uint64_t start_ns, int error)
{
	int none = 0;

	if (error == 0) {
		atomic_fetch_add(&c->latencies[bucket_of(now_ns() - start_ns)], 1);
		return;
	}
	atomic_fetch_add(&c->n_failed, 1);
	atomic_compare_exchange_strong(&c->first_error, &none, -error);
}

int clients_run(struct clients *c, void *(*client)(void *), void *arg)
{
	pthread_t threads[CLIENTS_MAX];
	uint64_t start_ns = now_ns(), took_ns, n = 0;

	c->end_ns = start_ns + c->seconds * NS_A_SECOND;
	for (uint64_t i = 0; i < c->n; i++) {
		if (pthread_create(&threads[i], NULL, client, arg))
			return 1;
	}
	for (uint64_t i = 0; i < c->n; i++)
		pthread_join(threads[i], NULL);
	took_ns = now_ns() - start_ns;
	for (unsigned i = 0; i < CLIENTS_BUCKETS; i++)
		n += c->latencies[i];
	printf("{\"rate\": %.0f, \"failed\": %ju, \"errno\": %d, \"p50_us\": %.1f, "
	       "\"p99_us\": %.1f, \"p999_us\": %.1f}\n",
	       (double)n * NS_A_SECOND / (double)took_ns, (uintmax_t)c->n_failed, c->first_error,
	       percentile(c, n, 500), percentile(c, n, 990), percentile(c, n, 999));
	return 0;
}
