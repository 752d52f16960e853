/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identity-cost: what it costs to know who a caller is, in microseconds a connection or a request
 * of the tree
 *
 * Under `deny 6.12 --`, `deny 6.5 --` and `deny 6.1 --` as well, for older kernels. Callers: one
 * of a guest, as most are; one that is nobody's; the host's root; one whose cgroup is new each
 * time (claims change in between), which is the worst that a guest can do. "calls" is what the
 * kernel alone takes for a thread by the newest way. Medians of 9 rounds. Needs root and a
 * cgroup2 hierarchy.
 */
#include <time.h>

#include "base/cleanup.h"
#include "core/identity.h"
#include "core/pidfd.h"
#include "core/registry.h"
#include "guests.h"

#define N_ROUNDS 9
#define N_CALLS  5000

struct subject {
	struct guests *g;
	int fd;    /* of a connection, */
	pid_t tid; /* or a thread */
	uid_t uid;
	int outcome;
	bool is_new;
	bool (*ask)(const struct subject *s);
};

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

static bool ask_peer(const struct subject *s)
{
	_cleanup_(caller_finish) struct caller c = {0};

	return identity_peer(s->g->identity, s->fd, &c) == s->outcome;
}

static bool ask_thread(const struct subject *s)
{
	_cleanup_(instance_unrefp) struct instance *i = NULL;
	uint64_t id;

	return identity_thread(s->g->identity, s->tid, s->uid, &i, &id) == s->outcome;
}

static bool ask_kernel(const struct subject *s)
{
	_cleanup_(closep) int fd = pidfd_of_thread(s->tid);
	uint64_t id;
	bool is_reaped;

	pidfd_cgroup(fd, &id, &is_reaped);
	return true;
}

/* The median cost of one call; a negative value when one ended otherwise than it should. */
static double measure(struct subject s)
{
	double rounds[N_ROUNDS] = {0};

	for (size_t round = 0; round < N_ROUNDS; round++) {
		double start = now();

		for (unsigned i = 0; i < N_CALLS; i++) {
			double before = s.is_new ? now() : 0;

			if (s.is_new) {
				guests_record(s.g, "other", i % 2 ? "x" : "y", -1);
				start += now() - before;
			}
			if (!s.ask(&s))
				return -1;
		}
		rounds[round] = now() - start;
	}
	qsort(rounds, N_ROUNDS, sizeof(rounds[0]), compare);
	return rounds[N_ROUNDS / 2] / N_CALLS;
}

static void measure_peers(struct guests *g)
{
	struct start guest = {.cgroup = "a/system.slice/x.service"}, nobody = {.cgroup = "nobody"};
	_cleanup_(closep) int fd = guests_caller(g, guest, NULL);
	_cleanup_(closep) int nobody_fd = guests_caller(g, nobody, NULL);
	struct subject s = {.g = g, .fd = fd, .ask = ask_peer}, other = s;

	other.fd = nobody_fd;
	other.outcome = IDENTITY_E_UNKNOWN;
	printf("peer: guest %.2f us, nobody %.2f us, ", measure(s), measure(other));
	s.is_new = true;
	printf("new each time %.2f us\n", measure(s));
}

static void measure_threads(struct guests *g)
{
	struct start guest = {.cgroup = "a/system.slice/x.service", .then = guests_two_threads};
	struct start nobody = {.cgroup = "nobody"};
	struct subject s = {.g = g, .ask = ask_thread}, other = s, host, kernel;

	s.tid = guests_second_thread(guests_start(g, &guest));
	other.tid = guests_start(g, &nobody);
	other.uid = 1;
	other.outcome = IDENTITY_E_UNKNOWN;
	host = other;
	host.uid = 0;
	host.outcome = IDENTITY_E_HOST;
	kernel = s;
	kernel.ask = ask_kernel;
	printf("thread: calls %.2f us, guest %.2f us, nobody %.2f us, host %.2f us, ",
	       measure(kernel), measure(s), measure(other), measure(host));
	s.is_new = true;
	printf("new each time %.2f us\n", measure(s));
}

int main(void)
{
	json_auto_t *features = NULL;
	struct guests g;
	const char *name;
	json_t *value;

	if (!guests_init(&g, 64))
		return 77;
	guests_make(&g, "a/system.slice/x.service");
	guests_make(&g, "nobody");
	guests_record(&g, "a", "a", -1);
	features = identity_features(g.identity);
	json_object_foreach (features, name, value)
		if (json_is_true(value))
			printf("%s ", name);
	putchar('\n');
	measure_peers(&g);
	measure_threads(&g);
	guests_finish(&g);
	return 0;
}
