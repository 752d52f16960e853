/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listeners of many files of events, in one process
 *
 * listen N FORMAT: opens FORMAT (with %u for 1..N; without, N times the same), reads what is kept, prints "ready". For each line
 * "MARK COUNT" on standard input it waits until every listener has read a line that contains MARK, after COUNT lines
 * since the mark before, and prints when (CLOCK_REALTIME, nanoseconds) the first and the last had; ends with 1 when lines are missing.
 *
 * listen wait FILE: reads the file as cat does, and prints each line behind the time at which it had it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "base/cleanup.h"

struct listener {
	int fd;
	unsigned n_lines;
	bool is_done;
};

static char bytes[1 << 20];

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Reads once, as who is told whenever there is more; counts lines up to the one with @mark. Whether that came. */
static bool read_on(struct listener *l, const char *mark)
{
	ssize_t n = read(l->fd, bytes, sizeof(bytes) - 1);

	bytes[n > 0 ? n : 0] = '\0';
	for (char *at = bytes, *end; (end = strchr(at, '\n')); at = end + 1) {
		*end = '\0';
		if (strstr(at, "\"lost\""))
			fprintf(stderr, "%s\n", at);
		l->n_lines++;
		if (mark && strstr(at, mark))
			l->is_done = true;
	}
	return l->is_done;
}

static void wait_for(int epoll_fd, struct listener *all, unsigned n, const char *mark,
		     unsigned n_lines)
{
	long long first = 0;
	unsigned n_done = 0, n_wrong = 0;

	for (unsigned i = 0; i < n; i++)
		all[i].is_done = false;
	while (n_done < n) {
		struct epoll_event events[256];
		int k = epoll_wait(epoll_fd, events, 256, 30000);

		if (k <= 0) {
			fprintf(stderr, "only %u of %u have heard of %s\n", n_done, n, mark);
			exit(1);
		}
		for (int i = 0; i < k; i++) {
			struct listener *l = &all[events[i].data.u32];

			if (!l->is_done && read_on(l, mark)) {
				first = first ?: now_ns();
				n_done++;
				n_wrong += l->n_lines != n_lines;
				l->n_lines = 0;
			}
		}
	}
	printf("%lld %lld %u\n", first, now_ns(), n_wrong);
	fflush(stdout);
}

/* In reads that wait. */
static int print_lines(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes) - 1)) > 0) {
		printf("%lld %.*s", now_ns(), (int)n, bytes);
		fflush(stdout);
	}
	return 1;
}

int main(int argc, char **argv)
{
	unsigned n = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0, n_lines;
	_cleanup_(freep) struct listener *all = calloc(n + 1, sizeof(*all));
	_cleanup_(closep) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct rlimit limit = {n + 100, n + 100};
	char mark[64], *percent = argc == 3 ? strstr(argv[2], "%u") : NULL;

	if (argc == 3 && streq(argv[1], "wait"))
		return print_lines(argv[2]);
	if (n == 0 || !all || epoll_fd < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 2;
	for (unsigned i = 0; i < n; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
		char path[4096];

		if (percent)
			snprintf(path, sizeof(path), "%.*s%u%s", (int)(percent - argv[2]), argv[2],
				 i + 1, percent + 2);
		all[i].fd = open(percent ? path : argv[2], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (all[i].fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &event) < 0) {
			perror(percent ? path : argv[2]);
			return 1;
		}
		read_on(&all[i], NULL);
		all[i].n_lines = 0;
	}
	/* Until it is quiet: all have been asked and told. */
	while (epoll_wait(epoll_fd, &(struct epoll_event){0}, 1, 100) > 0)
		continue;
	puts("ready");
	fflush(stdout);
	while (scanf("%63s %u", mark, &n_lines) == 2)
		wait_for(epoll_fd, all, n, mark, n_lines);
	return 0;
}
