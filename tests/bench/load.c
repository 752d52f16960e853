/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load [-n] [-c CLIENTS] [-s SECONDS] SOCKET PATH: asks as fast as it can
 *
 * Each client is a thread with one request in flight, on one connection or (-n)
 * on a new one each time, as LXD's client does. Prints one JSON object: requests
 * per second, latency percentiles, and how many were not answered with 200.
 */
#include <getopt.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "base/text.h"
#include "clients.h"

struct load {
	const char *socket;
	char request[1024];
	bool is_new;
	struct clients clients;
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
	uint64_t start_ns;

	while (clients_begin(&load->clients, &start_ns)) {
		bool is_good;

		if (fd < 0)
			fd = sock_connect(load->socket);
		is_good = fd >= 0 && write(fd, load->request, strlen(load->request)) > 0 &&
			  read_reply(fd);
		if (load->is_new || !is_good) {
			closep(&fd);
			fd = -1;
		}
		clients_end(&load->clients, start_ns, is_good ? 0 : -EPROTO);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct load load = {.clients = {.n = 1, .seconds = 1}};
	int c, r = 0;

	while ((c = getopt(argc, argv, "nc:s:")) != -1) {
		if (c == 'n')
			load.is_new = true;
		else
			r |= clients_option(&load.clients, c, optarg);
	}
	if (r < 0 || argc - optind != 2) {
		fprintf(stderr, "usage: load [-n] [-c CLIENTS] [-s SECONDS] SOCKET PATH\n");
		return 2;
	}
	load.socket = argv[optind];
	snprintf(load.request, sizeof(load.request), "GET %s HTTP/1.1\r\nHost: lxd\r\n%s\r\n",
		 argv[optind + 1], load.is_new ? "Connection: close\r\n" : "");
	return clients_run(&load.clients, client, &load);
}
