/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identity-cost: what it costs to know who a caller is, in microseconds a connection
 *
 * Under `deny 6.5 --` and `deny 6.1 --` as well, for older kernels. Three callers: one of a guest, as most
 * are; one that is nobody's; one whose cgroup is new each time (claims change in between), which is the worst
 * that a guest can do. Medians of 9 rounds. Needs root and a cgroup2 hierarchy.
 */
#include <time.h>

#include "base/cleanup.h"
#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"

#define N_ROUNDS 9
#define N_CALLS  5000

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The median cost of one call; a negative value when one ended otherwise than @outcome. */
static double measure(struct guests *g, int fd, int outcome, bool is_new)
{
	double rounds[N_ROUNDS] = {0};

	for (size_t round = 0; round < N_ROUNDS; round++) {
		for (unsigned i = 0; i < N_CALLS; i++) {
			_cleanup_(caller_finish) struct caller c = {0};

			if (is_new)
				guests_record(g, "other", i % 2 ? "x" : "y", -1);
			rounds[round] -= now();
			if (identity_peer(g->identity, fd, &c) != outcome)
				return -1;
			rounds[round] += now();
		}
	}
	qsort(rounds, N_ROUNDS, sizeof(rounds[0]), compare);
	return rounds[N_ROUNDS / 2] / N_CALLS;
}

int main(void)
{
	json_auto_t *features = NULL;
	struct guests g;
	int fd, nobody;

	if (!guests_init(&g, 64))
		return 77;
	guests_make(&g, "a/system.slice/x.service");
	guests_make(&g, "nobody");
	guests_record(&g, "a", "a", -1);
	fd = guests_caller(&g, (struct start){.cgroup = "a/system.slice/x.service"}, NULL);
	nobody = guests_caller(&g, (struct start){.cgroup = "nobody"}, NULL);
	features = identity_features(g.identity);
	printf("%s: guest %.2f us, nobody %.2f us, new each time %.2f us\n",
	       json_is_true(json_object_get(features, "PIDFD_GET_INFO")) ? "PIDFD_GET_INFO"
	       : json_is_true(json_object_get(features, "SO_PEERPIDFD")) ? "SO_PEERPIDFD"
									 : "pidfd_open",
	       measure(&g, fd, 0, false), measure(&g, nobody, IDENTITY_E_UNKNOWN, false),
	       measure(&g, fd, 0, true));
	close(fd);
	close(nobody);
	guests_finish(&g);
	return 0;
}
