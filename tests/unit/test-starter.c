/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who started a guest, in words: titles as liblxc writes them, and what else may stand there
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "ctl/starter.h"

static void assert_said(const char *title, size_t n, const char *short_name, const char *expected)
{
	_cleanup_(buf_finish) struct buf said = {0};

	assert_int_equal(starter_describe_text(title, n, short_name, &said), 0);
	assert_string_equal(said.data ? said.data : "", expected);
}

#define SAID(title, short_name, expected) assert_said(title, sizeof(title), short_name, expected)

static void test_monitors(void **state)
{
	SAID("[lxc monitor] /var/lib/lxc web1", "lxc-start",
	     "the container web1 of LXC in /var/lib/lxc");
	SAID("[lxc monitor] /var/lib/lxd/containers web1", "lxd",
	     "the container web1 of LXD or Incus in /var/lib/lxd");
	SAID("[lxc monitor] /srv/my containers web1", "lxc-start",
	     "the container web1 of LXC in /srv/my containers");
}

static void test_others(void **state)
{
	SAID("/usr/bin/conmon\0--name\0web1", "conmon", "what conmon started");
	SAID("", "kthreadd", "what kthreadd started");
	SAID("conmon [lxc monitor] /var/lib/lxc web1", "conmon", "what conmon started");
}

/* It goes to a terminal. */
static void test_nonsense(void **state)
{
	SAID("[lxc monitor] ", "x", "");
	SAID("[lxc monitor] web1", "x", "");
	SAID("[lxc monitor] /a\033[2J web1", "x", "");
	SAID("x", "\n", "");
	SAID("x", "", "");
}

static void test_process(void **state)
{
	_cleanup_(buf_finish) struct buf said = {0};
	_cleanup_(freep) char *expected = NULL;
	char name[32];
	FILE *f = NULL;
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(starter_describe(child, &said), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	f = fopen("/proc/self/comm", "re");
	assert_non_null(f);
	assert_non_null(fgets(name, sizeof(name), f));
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	assert_true(asprintf(&expected, "what %s started", name) > 0);
	assert_string_equal(said.data, expected);
	/* It has gone. */
	buf_finish(&said);
	assert_int_equal(starter_describe(child, &said), 0);
	assert_int_equal(said.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monitors),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
