/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load [-n] [-c CLIENTS] [-s SECONDS] SOCKET PATH: asks as fast as it can
 *
 * Each client is a thread with one request in flight, on one connection or (-n)
 * on a new one each time, as LXD's client does. Prints one JSON object: requests
 * per second, latency percentiles, and how many were not answered with 200.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "base/text.h"

#define MAX_LATENCY_US 100000 /* slower ones count as this */
#define MAX_CLIENTS    1024

struct load {
	const char *socket;
	char request[1024];
	bool is_new;
	uint64_t n_clients, seconds, end_us;
	_Atomic uint64_t n_answered, n_failed;
	_Atomic uint32_t
		latencies[MAX_LATENCY_US + 1]; /* requests that took so many microseconds */
};

/* Reads one reply with a Content-Length from @fd. Whether it was a whole 200. */
static bool read_reply(int fd)
{
	char bytes[64 << 10];
	size_t n = 0, whole = 0;

	while (!whole || n < whole) {
		ssize_t r = read(fd, bytes + n, sizeof(bytes) - 1 - n);
		const char *end, *length;

		if (r <= 0)
			return false;
		n += r;
		bytes[n] = '\0';
		end = whole ? NULL : strstr(bytes, "\r\n\r\n");
		if (end) {
			char digits[12] = "";
			uint64_t body = 0;

			length = strcasestr(bytes, "\r\nContent-Length: ");
			if (!length || length > end)
				return false;
			length += strlen("\r\nContent-Length: ");
			memcpy(digits, length, strnlen(length, 11));
			digits[strcspn(digits, "\r")] = '\0';
			if (text_to_u64(digits, 0, sizeof(bytes) / 2, &body) < 0)
				return false;
			whole = end + 4 - bytes + body;
		}
	}
	return n == whole && memcmp(bytes, "HTTP/1.1 200 ", 13) == 0;
}

static void *client(void *arg)
{
	struct load *load = arg;
	_cleanup_(closep) int fd = -1;

	for (;;) {
		uint64_t start_us = now_us(), took_us;
		bool is_good;

		if (start_us >= load->end_us)
			return NULL;
		if (fd < 0)
			fd = sock_connect(load->socket);
		is_good = fd >= 0 && write(fd, load->request, strlen(load->request)) > 0 &&
			  read_reply(fd);
		if (load->is_new || !is_good) {
			closep(&fd);
			fd = -1;
		}
		took_us = now_us() - start_us;
		atomic_fetch_add(is_good ? &load->n_answered : &load->n_failed, 1);
		atomic_fetch_add(
			&load->latencies[took_us < MAX_LATENCY_US ? took_us : MAX_LATENCY_US], 1);
	}
}

/* The latency that @permille of the requests did not exceed, in microseconds. */
static unsigned percentile(const struct load *load, unsigned permille)
{
	uint64_t left = (load->n_answered + load->n_failed) * permille / 1000;
	unsigned us = 0;

	while (us < MAX_LATENCY_US && left >= load->latencies[us])
		left -= load->latencies[us++];
	return us;
}

static int run(struct load *load)
{
	pthread_t threads[MAX_CLIENTS];
	uint64_t start_us = now_us(), took_us;

	load->end_us = start_us + load->seconds * 1000000;
	for (uint64_t i = 0; i < load->n_clients; i++) {
		if (pthread_create(&threads[i], NULL, client, load))
			return 1;
	}
	for (uint64_t i = 0; i < load->n_clients; i++)
		pthread_join(threads[i], NULL);
	took_us = now_us() - start_us;
	printf("{\"rate\": %.0f, \"failed\": %ju, \"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u}\n",
	       load->n_answered * 1e6 / took_us, (uintmax_t)load->n_failed, percentile(load, 500),
	       percentile(load, 990), percentile(load, 999));
	return 0;
}

int main(int argc, char **argv)
{
	static struct load load = {.n_clients = 1, .seconds = 1};
	int c, r = 0;

	while ((c = getopt(argc, argv, "nc:s:")) != -1) {
		if (c == 'n')
			load.is_new = true;
		else if (c == 'c')
			r |= text_to_u64(optarg, 1, MAX_CLIENTS, &load.n_clients);
		else if (c == 's')
			r |= text_to_u64(optarg, 1, 3600, &load.seconds);
		else
			r = -EINVAL;
	}
	if (r < 0 || argc - optind != 2) {
		fprintf(stderr, "usage: load [-n] [-c CLIENTS] [-s SECONDS] SOCKET PATH\n");
		return 2;
	}
	load.socket = argv[optind];
	snprintf(load.request, sizeof(load.request), "GET %s HTTP/1.1\r\nHost: lxd\r\n%s\r\n",
		 argv[optind + 1], load.is_new ? "Connection: close\r\n" : "");
	return run(&load);
}
