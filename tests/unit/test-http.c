/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP threads: what they do when the kernel has nothing left for them
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/route.h"
#include "base/cleanup.h"
#include "core/settings.h"
#include "front/http.h"

/* How many of the next calls fail. */
static _Atomic int accept_fails, listen_fails;

int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	if (accept_fails == 0)
		return __real_accept4(fd, address, size, flags);
	accept_fails--;
	errno = EMFILE;
	return -1;
}

int __wrap_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
	if (what != EPOLL_CTL_ADD || !(event->events & EPOLLEXCLUSIVE) || listen_fails == 0)
		return __real_epoll_ctl(epoll_fd, what, fd, event);
	listen_fails--;
	errno = ENOSPC;
	return -1;
}

static int get_root(const struct request *request, struct reply *reply)
{
	reply_constant(reply, REPLY_TEXT, "here\n");
	return 0;
}

static const struct route routes[] = {{METHOD_GET, "/", get_root, .help = "an answer"}};
static const struct route_table table = {routes, ARRAY_SIZE(routes)};

/* A socket bound to a name that the kernel chose. */
static int bound_socket(struct sockaddr_un *ret, socklen_t *ret_size)
{
	struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&unnamed, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, ret_size), 0);
	return fd;
}

/* Asks on a new connection and takes the start of the answer; it must come within 20 s. */
static void ask(const struct sockaddr_un *address, socklen_t size, char *ret, size_t ret_size)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	const struct timeval patience = {.tv_sec = 20};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	assert_int_equal(connect(fd, (const struct sockaddr *)address, size), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	n = read(fd, ret, ret_size - 1);
	assert_true(n >= 0);
	ret[n] = '\0';
}

static void test_listening_again_fails(void **state)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);
	_cleanup_(closep) int fd = bound_socket(&address, &size);
	struct settings settings;
	struct api api = {.settings = &settings};
	struct front_stats stats = {0};
	struct http_options options = {
		.name = "test",
		.listen_fd = fd,
		.trust = HTTP_ADMIN,
		.routes = &table,
		.api = &api,
		.n_threads = 1,
		.stats = &stats,
	};
	struct http_server *server = NULL;
	char answer[16];

	if (getuid() != 0)
		skip();
	settings_init(&settings);
	assert_int_equal(http_new(&options, &server), 0);
	accept_fails = 1;
	listen_fails = 2;
	ask(&address, size, answer, sizeof(answer));
	http_free(server);
	assert_int_equal(accept_fails + listen_fails, 0);
	assert_string_equal(answer, "HTTP/1.1 200 OK");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listening_again_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
