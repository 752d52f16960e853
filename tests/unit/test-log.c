/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: form of a line, what is dropped, no control characters whatever
 * the text, journal fields against a stand-in for journald
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/log-journal.h"
#include "base/log.h"
#include "scratch.h"

/* Standard error, while a test looks at what was written there. */
struct capture {
	int saved_fd;
	int memory_fd;
};

static struct capture capture_begin(void)
{
	struct capture c = {fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), memfd_create("log", 0)};

	assert_true(c.saved_fd >= 0 && c.memory_fd >= 0);
	/* The kernel does not lock a memfd's position: threads would write over each other. */
	assert_int_equal(fcntl(c.memory_fd, F_SETFL, O_APPEND), 0);
	assert_true(dup2(c.memory_fd, STDERR_FILENO) >= 0);
	return c;
}

/* What was written; the caller frees it. */
static char *capture_end(struct capture *c)
{
	char *text = calloc(1, 65536);

	assert_non_null(text);
	assert_true(dup2(c->saved_fd, STDERR_FILENO) >= 0);
	assert_true(pread(c->memory_fd, text, 65535, 0) >= 0);
	close(c->saved_fd);
	close(c->memory_fd);
	return text;
}

static void test_lines(void **state)
{
	_cleanup_(freep) char *text = NULL;
	struct capture c = capture_begin();

	log_init("devlxdfsd", LOG_LEVEL_INFO);
	log_info("started %d", 1);
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_RECORD_REJECTED, "web1", "line %d: bad", 7);
	log_error("last");
	log_debug("not urgent enough");
	log_init("test", LOG_LEVEL_ERROR);
	log_warn("neither");
	text = capture_end(&c);
	assert_string_equal(text, "info devlxdfsd: started 1\n"
				  "warning web1: line 7: bad\n"
				  "error devlxdfsd: last\n");
}

static void test_errno(void **state)
{
	_cleanup_(freep) char *text = NULL;
	struct capture c = capture_begin();

	log_init("test", LOG_LEVEL_INFO);
	errno = ENOSPC;
	log_error("cannot write: %m");
	assert_int_equal(errno, ENOSPC);
	log_debug("%m");
	assert_int_equal(errno, ENOSPC);
	text = capture_end(&c);
	assert_string_equal(text, "error test: cannot write: No space left on device\n");
}

static void test_no_control_characters(void **state)
{
	static const char expected[] =
		"info evil\\x0aerror other: a\\x0ab\\x1b[31m\\x7f\\xff|\\xc2\\x9b5m|\xc3\xa4\xe2\x82\xac\n";
	_cleanup_(freep) char *text = NULL;
	struct capture c = capture_begin();
	char all[256];

	for (unsigned i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	log_init("test", LOG_LEVEL_INFO);
	log_full(LOG_LEVEL_INFO, LOG_EVENT_NONE, "evil\nerror other", "a\nb\x1b[31m\x7f\xff|%s|%s",
		 "\xc2\x9b"
		 "5m", /* CSI in one character of C1 */
		 "\xc3\xa4\xe2\x82\xac");
	log_info("%s", all);
	text = capture_end(&c);
	assert_memory_equal(text, expected, sizeof(expected) - 1);
	for (const char *p = text; *p; p++) {
		assert_true((unsigned char)*p >= 0x20 || (*p == '\n' && (!p[1] || p[1] == 'i')));
		assert_true(*p != 0x7f);
	}
}

static void test_long_entries_are_cut(void **state)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *huge = malloc(100001);
	struct capture c = capture_begin();

	log_init("test", LOG_LEVEL_INFO);
	for (size_t n = 0; n < 3; n++) {
		memset(huge, "x\n\xc3"[n], 100000);
		huge[100000] = '\0';
		log_info("%s", huge);
		log_full(LOG_LEVEL_INFO, LOG_EVENT_NONE, huge, "%s", "x");
	}
	text = capture_end(&c);
	assert_true(strlen(text) < 6 * 2048 + 1);
	assert_memory_equal(text, "info test: xxxxx", 16);
	for (unsigned i = 0; i < 6; i++) {
		char *end = strchr(text, '\n');

		assert_non_null(end);
		assert_true(end - text > 1024);
		memmove(text, end + 1, strlen(end + 1) + 1);
	}
	assert_string_equal(text, "");
}

static void test_levels(void **state)
{
	assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("warning"), LOG_LEVEL_WARNING);
	assert_int_equal(log_level_parse("info"), LOG_LEVEL_INFO);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("Debug"), -EINVAL);
	assert_int_equal(log_level_parse(""), -EINVAL);
}

static void test_limit(void **state)
{
	struct log_limit limit = {0};
	uint32_t n_dropped = 99;

	for (unsigned i = 0; i < 5; i++) {
		assert_true(log_limit_allows(&limit, &n_dropped));
		assert_int_equal(n_dropped, 0);
	}
	for (unsigned i = 0; i < 7; i++) {
		n_dropped = 99;
		assert_false(log_limit_allows(&limit, &n_dropped));
		assert_int_equal(n_dropped, 0);
	}
	limit.window_start_us = 0; /* the clock has gone past the window */
	assert_true(log_limit_allows(&limit, &n_dropped));
	assert_int_equal(n_dropped, 7);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(log_limit_allows(&limit, &n_dropped));
		assert_int_equal(n_dropped, 0);
	}
	assert_false(log_limit_allows(&limit, &n_dropped));
}

struct contender {
	struct log_limit *limit;
	unsigned n_allowed;
};

static void *contend(void *arg)
{
	struct contender *c = arg;
	uint32_t n_dropped;

	for (unsigned i = 0; i < 1000; i++)
		c->n_allowed += log_limit_allows(c->limit, &n_dropped);
	log_info("a line of its own");
	return NULL;
}

static void test_threads(void **state)
{
	_cleanup_(freep) char *text = NULL;
	struct log_limit limit = {.window_start_us = UINT64_MAX / 2}; /* stays in one window */
	struct contender contenders[4] = {{&limit}, {&limit}, {&limit}, {&limit}};
	pthread_t threads[4];
	struct capture c = capture_begin();
	unsigned n_allowed = 0;

	log_init("test", LOG_LEVEL_INFO);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		n_allowed += contenders[i].n_allowed;
	}
	text = capture_end(&c);
	assert_int_equal(n_allowed, 5);
	assert_int_equal(limit.n_dropped, 4000 - 5);
	assert_string_equal(text, "info test: a line of its own\ninfo test: a line of its own\n"
				  "info test: a line of its own\ninfo test: a line of its own\n");
}

/* A socket where journald has its own; /run is ours alone. */
static int listen_as_journald(void)
{
	struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(mount("run", "/run", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_journal(void **state)
{
	_cleanup_(closep) int journald_fd = -1;
	_cleanup_(freep) char *text = NULL;
	char stream[64], entry[4096] = {0};
	struct capture c;
	struct stat st;

	if (log_journal_send(NULL, 0) == -ENOTSUP) {
		printf("skipped: built without libsystemd\n");
		skip();
	}
	if (!scratch_private_mounts())
		skip();
	journald_fd = listen_as_journald();
	c = capture_begin();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("test", LOG_LEVEL_INFO);
	log_info("somebody else's stream");
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("test", LOG_LEVEL_INFO);
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_RECORD_REJECTED, "web1", "two\nlines");
	text = capture_end(&c);
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_string_equal(text, "info test: somebody else's stream\n");
	assert_true(recv(journald_fd, entry, sizeof(entry) - 1, 0) > 0);
	assert_non_null(strstr(entry, "MESSAGE=two\\x0alines\n"));
	assert_non_null(strstr(entry, "PRIORITY=4\n"));
	assert_non_null(strstr(entry, "SYSLOG_IDENTIFIER=test\n"));
	assert_non_null(strstr(entry, "DEVLXDFS_INSTANCE=web1\n"));
	assert_non_null(strstr(entry, "MESSAGE_ID="));
}

/* Whosever standard error is. */
static void test_prefer_journal(void **state)
{
	_cleanup_(closep) int journald_fd = -1;
	_cleanup_(freep) char *text = NULL;
	char entry[4096] = {0};
	struct capture c;

	if (log_journal_send(NULL, 0) == -ENOTSUP) {
		printf("skipped: built without libsystemd\n");
		skip();
	}
	if (!scratch_private_mounts())
		skip();
	assert_int_equal(mount("none", "/run", "tmpfs", 0, NULL), 0);
	c = capture_begin();
	log_init("test", LOG_LEVEL_INFO);
	log_prefer_journal();
	log_info("there is none");
	journald_fd = listen_as_journald();
	log_prefer_journal();
	log_info("there is one");
	close(journald_fd);
	journald_fd = -1;
	log_info("it has gone");
	text = capture_end(&c);
	assert_string_equal(text, "info test: there is none\ninfo test: it has gone\n");
	journald_fd = listen_as_journald();
	log_info("there is another one");
	assert_true(recv(journald_fd, entry, sizeof(entry) - 1, 0) > 0);
	assert_non_null(strstr(entry, "MESSAGE=there is another one\n"));
}

static void test_tail(void **state)
{
	static struct log_tail tail;
	_cleanup_(freep) char *written = NULL;
	char text[LOG_TAIL_LINES * LOG_TAIL_BYTES + 64], longest[2 * LOG_TAIL_BYTES];
	struct capture c = capture_begin();

	log_init("devlxdfsd", LOG_LEVEL_INFO);
	log_keep_tail(&tail);
	log_tail_text(&tail, 3, text, sizeof(text));
	assert_string_equal(text, "");
	log_info("first\n");
	log_debug("not written, not kept");
	log_tail_text(&tail, 3, text, sizeof(text));
	assert_string_equal(text, "\"first\\x0a\"");
	for (int i = 2; i < 10; i++)
		log_info("line %d", i);
	log_tail_text(&tail, 3, text, sizeof(text));
	assert_string_equal(text, "\"line 7\", \"line 8\", \"line 9\"");
	log_tail_text(&tail, 100, text, sizeof(text));
	assert_string_equal(text, "\"line 6\", \"line 7\", \"line 8\", \"line 9\"");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	log_info("%s", longest);
	log_tail_text(&tail, 1, text, sizeof(text));
	assert_int_equal(strlen(text), LOG_TAIL_BYTES - 1 + 2);
	/* Whoever filled it may have meant harm. */
	memset(&tail, 0xff, sizeof(tail));
	log_tail_text(&tail, 100, text, sizeof(text));
	assert_int_equal(strspn(text, "\\xf\", "), strlen(text));
	memset(&tail, 'y', sizeof(tail));
	log_tail_text(&tail, 2, text, 10);
	assert_string_equal(text, "\"yyyyyyyy");
	log_keep_tail(NULL);
	written = capture_end(&c);
	assert_non_null(strstr(written, "line 9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_prefer_journal),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_no_control_characters),
		cmocka_unit_test(test_long_entries_are_cut),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
