/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * give SOCKET FILE: the yardstick for images
 *
 * One thread, one client at a time, who is sent a header and then the file with sendfile(2) alone: no server on a unix socket gets a file
 * to its client with less. It parses nothing and knows nobody.
 */
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/sock.h"

static void give(int fd, int file_fd, off_t size)
{
	char request[4096];
	off_t at = 0;

	if (read(fd, request, sizeof(request)) <= 0)
		return;
	if (dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n", (long long)size) < 0)
		return;
	while (at < size && sendfile(fd, file_fd, &at, (size_t)(size - at)) > 0)
		;
}

int main(int argc, char **argv)
{
	int listen_fd = argc == 3 ? sock_bind(argv[1], 0666) : -1;
	int file_fd = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;

	if (listen_fd < 0 || sock_listen(listen_fd, SOMAXCONN) < 0 || fstat(file_fd, &st) < 0) {
		fprintf(stderr, "usage: give SOCKET FILE\n");
		return 2;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		_cleanup_(closep) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			give(fd, file_fd, st.st_size);
	}
}
