/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bare SOCKET BODY: libmicrohttpd alone
 *
 * What the HTTP library costs by itself: one thread in the library's own epoll
 * loop, one header, a constant body. What the daemon adds to it (who is
 * asking, what they may see) is the difference to this.
 */
#include <microhttpd.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/sock.h"

static enum MHD_Result answer(void *body, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	/* The first call of a request only announces it. */
	if (!*request) {
		*request = body;
		return MHD_YES;
	}
	response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type",
				"application/octet-stream; charset=utf-8");
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

int main(int argc, char **argv)
{
	int listen_fd = argc == 3 ? sock_bind(argv[1], 0666) : -1;
	struct MHD_Daemon *daemon = NULL;

	if (listen_fd >= 0 && sock_listen(listen_fd, SOMAXCONN) == 0)
		daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO, 0, NULL, NULL, answer,
					  argv[2], MHD_OPTION_LISTEN_SOCKET, listen_fd,
					  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
					  MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "usage: bare SOCKET BODY\n");
		return 2;
	}
	puts("ready");
	fflush(stdout);
	while (MHD_run_wait(daemon, -1) == MHD_YES)
		;
	return 1;
}
