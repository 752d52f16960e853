/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refusals: the answers are whole, and a client is drained, closed in time, and bounded in number
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "base/text.h"
#include "front/refuse.h"

static void pair(int ret[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret), 0);
}

/* Reads until the end; the number of bytes, NUL-terminated. */
static size_t read_all(int fd, char *bytes, size_t size)
{
	size_t n = 0;
	ssize_t r;

	while (n < size - 1 && (r = read(fd, bytes + n, size - 1 - n)) > 0)
		n += (size_t)r;
	bytes[n] = '\0';
	return n;
}

static void list_init(struct refuse_list *l, size_t max)
{
	*l = (struct refuse_list){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .max = max};
	assert_true(l->epoll_fd >= 0);
}

static void answers_are_whole(void **state)
{
	static const char *const status[_REFUSE_N] = {
		[REFUSE_UNKNOWN] = "HTTP/1.1 500 Internal Server Error\r\n",
		[REFUSE_NOT_ROOT] = "HTTP/1.1 401 Unauthorized\r\n",
		[REFUSE_LIMIT] = "HTTP/1.1 429 Too Many Requests\r\n",
		[REFUSE_TROUBLE] = "HTTP/1.1 503 Service Unavailable\r\n",
	};

	for (enum refusal why = 0; why < _REFUSE_N; why++) {
		struct refuse_list l;
		char bytes[1024], *body, *length;
		uint64_t n;
		int fds[2];

		list_init(&l, 4);
		pair(fds);
		refuse_connection(&l, fds[0], why);
		read_all(fds[1], bytes, sizeof(bytes));
		assert_true(text_has_prefix(bytes, status[why]));
		assert_non_null(strstr(bytes, "\r\nConnection: close\r\n"));
		body = strstr(bytes, "\r\n\r\n");
		length = strstr(bytes, "Content-Length: ");
		assert_true(body && length && length < body);
		length += strlen("Content-Length: ");
		length[strcspn(length, "\r")] = '\0';
		assert_int_equal(text_to_u64(length, 1, 100, &n), 0);
		assert_int_equal(n, strlen(body + 4));
		if (why == REFUSE_LIMIT || why == REFUSE_TROUBLE)
			assert_non_null(strstr(bytes, "Retry-After: 1\r"));
		refuse_finish(&l);
		close(fds[1]);
		close(l.epoll_fd);
	}
}

static void a_whole_get_is_closed_at_once(void **state)
{
	struct refuse_list l;
	char bytes[1024];
	int fds[2];

	list_init(&l, 4);
	pair(fds);
	assert_true(write(fds[1], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27) == 27);
	refuse_connection(&l, fds[0], REFUSE_UNKNOWN);
	assert_int_equal(l.n, 0);
	assert_true(read_all(fds[1], bytes, sizeof(bytes)) > 0);
	close(fds[1]);
	close(l.epoll_fd);
}

static void the_rest_of_a_request_is_drained(void **state)
{
	static const char head[] = "PATCH /1.0 HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
	struct refuse_list l;
	struct epoll_event event;
	char bytes[1024];
	int fds[2];

	list_init(&l, 4);
	pair(fds);
	assert_true(write(fds[1], head, sizeof(head) - 1) > 0);
	refuse_connection(&l, fds[0], REFUSE_UNKNOWN);
	assert_int_equal(l.n, 1);
	/* A client that is cut off here would get EPIPE and never read the answer. */
	assert_true(send(fds[1], "body", 4, MSG_NOSIGNAL) == 4);
	assert_int_equal(epoll_wait(l.epoll_fd, &event, 1, 1000), 1);
	refuse_event(&l, event.data.ptr);
	assert_int_equal(l.n, 1);
	assert_true(read_all(fds[1], bytes, sizeof(bytes)) > 0);
	close(fds[1]);
	assert_int_equal(epoll_wait(l.epoll_fd, &event, 1, 1000), 1);
	refuse_event(&l, event.data.ptr);
	assert_int_equal(l.n, 0);
	close(l.epoll_fd);
}

static void silent_ones_are_bounded_in_number_and_time(void **state)
{
	struct refuse_list l;
	int first[2], second[2], third[2];
	uint64_t now = now_us(), next;
	char bytes[1024];

	list_init(&l, 2);
	pair(first);
	pair(second);
	pair(third);
	refuse_connection(&l, first[0], REFUSE_LIMIT);
	refuse_connection(&l, second[0], REFUSE_LIMIT);
	refuse_connection(&l, third[0], REFUSE_LIMIT);
	/* The oldest had to go, its answer is still there to be read. */
	assert_int_equal(l.n, 2);
	assert_true(send(first[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	assert_true(read_all(first[1], bytes, sizeof(bytes)) > 0);
	assert_true(send(second[1], "x", 1, MSG_NOSIGNAL) == 1);

	next = refuse_expire(&l, now);
	assert_true(next >= now + 1000000 && next <= now_us() + 1000000);
	assert_true(refuse_expire(&l, next + 1000000) == UINT64_MAX);
	assert_int_equal(l.n, 0);
	assert_true(send(third[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	close(first[1]);
	close(second[1]);
	close(third[1]);
	close(l.epoll_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_whole),
		cmocka_unit_test(a_whole_get_is_closed_at_once),
		cmocka_unit_test(the_rest_of_a_request_is_drained),
		cmocka_unit_test(silent_ones_are_bounded_in_number_and_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
