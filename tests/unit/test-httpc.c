/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP client against a server thread that says what the test tells it to,
 * whole, byte by byte, or not to the end
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/httpc.h"
#include "base/sock.h"
#include "scratch.h"

struct server {
	int listener_fd;
	const char *reply; /* what it says, and then closes */
	size_t n_reply;
	size_t step;          /* this many bytes per write */
	size_t request_until; /* the request is whole after this many bytes; 0: do not read it */
	struct buf request;
};

static void *serve(void *arg)
{
	struct server *server = arg;
	_cleanup_(closep) int fd = accept4(server->listener_fd, NULL, NULL, SOCK_CLOEXEC);
	char bytes[4096];

	while (server->request.len < server->request_until) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n <= 0 || buf_append(&server->request, bytes, (size_t)n) < 0)
			return NULL;
	}
	for (size_t i = 0; i < server->n_reply; i += server->step) {
		size_t left = server->n_reply - i;
		size_t part = left < server->step ? left : server->step;

		/* The client may have heard enough. */
		if (send(fd, server->reply + i, part, MSG_NOSIGNAL) < 0)
			return NULL;
	}
	return NULL;
}

/* Runs one request against @server, whose listener it makes. */
static int request(void **state, struct server *server, const char *method, const char *body,
		   size_t body_len, struct httpc_reply *ret)
{
	_cleanup_(freep) char *path = scratch_path(state, "sock");
	_cleanup_(closep) int listener_fd = sock_bind(path, 0600);
	pthread_t thread;
	int r;

	assert_true(listener_fd >= 0);
	assert_int_equal(sock_listen(listener_fd, 1), 0);
	server->listener_fd = listener_fd;
	assert_int_equal(pthread_create(&thread, NULL, serve, server), 0);
	r = httpc_request(path, method, "/1.0/x?y=%20", body, body_len, ret);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return r;
}

#define GET_REQUEST "GET /1.0/x?y=%20 HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n"

static int get(void **state, const char *reply, size_t n_reply, size_t step,
	       struct httpc_reply *ret)
{
	struct server server = {
		.reply = reply, .n_reply = n_reply, .step = step, .request_until = 1};
	int r = request(state, &server, "GET", NULL, 0, ret);

	assert_string_equal(server.request.data, GET_REQUEST);
	buf_finish(&server.request);
	return r;
}

static const struct {
	const char *text;
	unsigned status;
	const char *content_type;
	const char *body;
} replies[] = {
	{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello", 200,
	 "application/json", "hello"},
	{"HTTP/1.1 404 Not Found\r\ncontent-length:0 \r\nX: a:b\r\n\r\n", 404, NULL, ""},
	{"HTTP/1.0 500\r\nContent-Length: 2\r\n\r\n\n\r", 500, NULL, "\n\r"},
	{"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, NULL, "ok"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
	 "5\r\nhello\r\n1;x=y\r\n,\r\n00A\r\n0123456789\r\n0\r\n",
	 200, NULL, "hello,0123456789"},
	{"HTTP/1.1 100 Continue\r\nContent-Type: none\r\n\r\nHTTP/1.1 201 Created\r\n"
	 "Content-Length: 1\r\n\r\n1",
	 201, NULL, "1"},
	{"HTTP/1.1 204 No Content\r\n\r\n", 204, NULL, ""},
};

static void test_replies(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		for (size_t step = 1; step < 200; step = step < 4 ? step + 1 : step * 8) {
			struct httpc_reply reply = {0};
			size_t n = strlen(replies[i].text);

			assert_int_equal(get(state, replies[i].text, n, step, &reply), 0);
			assert_int_equal(reply.status, replies[i].status);
			assert_string_equal(reply.body, replies[i].body);
			assert_int_equal(reply.body_len, strlen(replies[i].body));
			if (replies[i].content_type)
				assert_string_equal(reply.content_type, replies[i].content_type);
			else
				assert_null(reply.content_type);
			httpc_reply_finish(&reply);
			httpc_reply_finish(&reply);
		}
	}
}

/* Each reply of the table is whole with its last byte and not one earlier. */
static void test_replies_cut_short(void **state)
{
	struct httpc_reply untouched = {.status = 7};

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		for (size_t n = 0; n < strlen(replies[i].text); n++)
			assert_int_equal(get(state, replies[i].text, n, 4096, &untouched),
					 -ECONNRESET);
	}
	assert_int_equal(untouched.status, 7);
}

static void test_reply_until_close(void **state)
{
	const char *text = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
	struct httpc_reply reply = {0};

	assert_int_equal(get(state, text, strlen(text), 3, &reply), 0);
	assert_string_equal(reply.body, "until the end");
	httpc_reply_finish(&reply);
}

static void test_bytes_behind_the_reply_are_ignored(void **state)
{
	const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 no\r\n\r\n";
	struct httpc_reply reply = {0};

	assert_int_equal(get(state, text, strlen(text), 4096, &reply), 0);
	assert_string_equal(reply.body, "ok");
	httpc_reply_finish(&reply);
}

static void test_not_http(void **state)
{
	static const char *const bad[] = {
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 20\r\n\r\n",
		"HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1 600 x\r\n\r\n",
		"HTTP/1.1 +20 x\r\n\r\n",
		"\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
	};
	struct httpc_reply untouched = {.status = 7};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(get(state, bad[i], strlen(bad[i]), 4096, &untouched), -EPROTO);
	assert_int_equal(untouched.status, 7);
}

static void test_too_large(void **state)
{
	static const char *const large[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000001\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n4000000\r\nx",
	};
	struct httpc_reply untouched = {0};

	for (size_t i = 0; i < ARRAY_SIZE(large); i++)
		assert_int_equal(get(state, large[i], strlen(large[i]), 4096, &untouched), -EFBIG);
}

static void test_endless_head(void **state)
{
	_cleanup_(buf_finish) struct buf line = {0}, lines = {0};
	struct httpc_reply untouched = {0};

	assert_int_equal(buf_puts(&line, "HTTP/1.1 200 "), 0);
	assert_int_equal(buf_puts(&lines, "HTTP/1.1 200 OK\r\n"), 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(buf_putc(&line, 'x'), 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(buf_puts(&lines, "X: y\r\n"), 0);
	assert_int_equal(get(state, line.data, line.len, 4096, &untouched), -EPROTO);
	assert_int_equal(get(state, lines.data, lines.len, 4096, &untouched), -EPROTO);
}

static void test_sends_the_body(void **state)
{
	static const char expected[] = "PUT /1.0/x?y=%20 HTTP/1.1\r\nHost: lxd\r\n"
				       "Connection: close\r\nContent-Length: 3\r\n\r\na\0b";
	struct server server = {.reply = "HTTP/1.1 204 x\r\n\r\n",
				.n_reply = 18,
				.step = 18,
				.request_until = sizeof(expected) - 1};
	struct httpc_reply reply = {0};

	assert_int_equal(request(state, &server, "PUT", "a\0b", 3, &reply), 0);
	assert_int_equal(server.request.len, sizeof(expected) - 1);
	assert_memory_equal(server.request.data, expected, sizeof(expected) - 1);
	buf_finish(&server.request);
	httpc_reply_finish(&reply);
}

static void test_head_has_no_body(void **state)
{
	const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
	struct server server = {
		.reply = text, .n_reply = strlen(text), .step = 100, .request_until = 1};
	struct httpc_reply reply = {0};

	assert_int_equal(request(state, &server, "HEAD", NULL, 0, &reply), 0);
	assert_string_equal(reply.body, "");
	buf_finish(&server.request);
	httpc_reply_finish(&reply);
}

/* The server answers and closes while we are still sending: its answer counts. */
static void test_refused_while_sending(void **state)
{
	const char *text = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";
	_cleanup_(freep) char *body = calloc(1, 8 << 20);
	struct server server = {.reply = text, .n_reply = strlen(text), .step = 100};
	struct httpc_reply reply = {0};

	assert_int_equal(request(state, &server, "PUT", body, 8 << 20, &reply), 0);
	assert_int_equal(reply.status, 413);
	assert_string_equal(reply.body, "big");
	httpc_reply_finish(&reply);
}

static void test_nobody_there(void **state)
{
	_cleanup_(freep) char *path = scratch_path(state, "sock");
	_cleanup_(closep) int bound_fd = -1;
	struct httpc_reply untouched = {.status = 7};

	assert_int_equal(httpc_request(path, "GET", "/", NULL, 0, &untouched), -ENOENT);
	bound_fd = sock_bind(path, 0600);
	assert_int_equal(httpc_request(path, "GET", "/", NULL, 0, &untouched), -ECONNREFUSED);
	assert_int_equal(untouched.status, 7);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replies),           TEST(test_replies_cut_short),
		TEST(test_reply_until_close), TEST(test_bytes_behind_the_reply_are_ignored),
		TEST(test_not_http),          TEST(test_too_large),
		TEST(test_endless_head),      TEST(test_sends_the_body),
		TEST(test_head_has_no_body),  TEST(test_refused_while_sending),
		TEST(test_nobody_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
