/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of an LXC container's configuration a record is made of
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attach/lxcconf.h"
#include "alloc.h"
#include "base/file.h"
#include "scratch.h"

/* The record of a text, in one line; the caller frees it. */
static char *record_of(const char *text)
{
	_cleanup_(lxcconf_finish) struct lxcconf c = {0};
	json_auto_t *record = NULL;

	assert_int_equal(lxcconf_parse(&c, text, strlen(text), NULL, NULL), 0);
	record = lxcconf_record(&c, "web1");
	return record ? json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
}

static void check(const char *text, const char *devices, const char *hostname)
{
	_cleanup_(freep) char *record = record_of(text);
	_cleanup_(buf_finish) struct buf expected = {0};

	assert_int_equal(buf_printf(&expected,
				    "{\"devices\":{%s},%s%s%s\"match\":{\"cgroup\":"
				    "\"/lxc.payload.web1\"},\"profiles\":[\"default\"],"
				    "\"type\":\"container\"}",
				    devices, hostname ? "\"hostname\":\"" : "",
				    hostname ? hostname : "", hostname ? "\"," : ""),
			 0);
	assert_non_null(record);
	assert_string_equal(record, expected.data);
}

static void test_empty(void **state)
{
	check("", "", NULL);
	check("# lxc.uts.name = no\n\n  \n=\nlxc.net.0\nlxc.uts.names = no\n", "", NULL);
}

static void test_hostname(void **state)
{
	check("lxc.uts.name = h1", "", "h1");
	check("\t lxc.uts.name=h1 \r\nlxc.uts.name = \"h2\"\n", "", "h2");
	check("lxc.uts.name = h1\nlxc.uts.name =\n", "", NULL);
}

static void test_kinds(void **state)
{
	check("lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\n"
	      "lxc.net.0.name = lan\nlxc.net.0.flags = up\nlxc.net.0.mtu = 1400",
	      "\"eth0\":{\"hwaddr\":\"00:16:3e:00:00:01\",\"mtu\":\"1400\",\"name\":\"lan\","
	      "\"nictype\":\"bridged\",\"parent\":\"br0\",\"type\":\"nic\"}",
	      NULL);
	check("lxc.net.0.type = veth", "\"eth0\":{\"nictype\":\"p2p\",\"type\":\"nic\"}", NULL);
	check("lxc.net.1.type = veth\nlxc.net.1.veth.mode = router\nlxc.net.1.link = e",
	      "\"eth1\":{\"nictype\":\"routed\",\"parent\":\"e\",\"type\":\"nic\"}", NULL);
	check("lxc.net.7.type = vlan\nlxc.net.7.vlan.id = 5\nlxc.net.7.link = e",
	      "\"eth7\":{\"nictype\":\"physical\",\"parent\":\"e\",\"type\":\"nic\",\"vlan\":\"5\"}",
	      NULL);
	check("lxc.net.0.type = phys\nlxc.net.2.type = macvlan\nlxc.net.1.type = ipvlan",
	      "\"eth0\":{\"nictype\":\"physical\",\"type\":\"nic\"},"
	      "\"eth1\":{\"nictype\":\"ipvlan\",\"type\":\"nic\"},"
	      "\"eth2\":{\"nictype\":\"macvlan\",\"type\":\"nic\"}",
	      NULL);
	check("lxc.net.0.type = empty\nlxc.net.1.type = none\nlxc.net.2.link = br0", "", NULL);
}

/* LXC makes up the rest of such an address at each start. */
static void test_random_address(void **state)
{
	check("lxc.net.0.type = veth\nlxc.net.0.hwaddr = 00:16:3e:xx:xx:xx",
	      "\"eth0\":{\"nictype\":\"p2p\",\"type\":\"nic\"}", NULL);
}

static void test_unset(void **state)
{
	check("lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.link =\n",
	      "\"eth0\":{\"nictype\":\"p2p\",\"type\":\"nic\"}", NULL);
	check("lxc.net.0.type = veth\nlxc.net =\nlxc.net.1.type = veth",
	      "\"eth1\":{\"nictype\":\"p2p\",\"type\":\"nic\"}", NULL);
	check("lxc.net.-1.type = veth\nlxc.net.x.type = veth\nlxc.net.99999999999.type = veth", "",
	      NULL);
}

static void test_many(void **state)
{
	_cleanup_(lxcconf_finish) struct lxcconf c = {0};
	_cleanup_(buf_finish) struct buf text = {0};

	for (int i = 200; i > 0; i--)
		assert_int_equal(buf_printf(&text, "lxc.net.%d.type = veth\n", i), 0);
	assert_int_equal(lxcconf_parse(&c, text.data, text.len, NULL, NULL), 0);
	assert_int_equal(c.n_nics, LXCCONF_NICS_MAX);
	for (size_t i = 1; i < c.n_nics; i++)
		assert_true(c.nics[i - 1].number < c.nics[i].number);
}

static void test_lxd(void **state)
{
	static const char theirs[] =
		"lxc.hook.pre-start = /proc/42/exe callhook /var/lib/lxd \"default\" \"web1\" start\n";
	_cleanup_(lxcconf_finish) struct lxcconf c = {0};

	assert_int_equal(
		lxcconf_parse(&c, "lxc.hook.pre-start = /usr/bin/callhook x", 40, NULL, NULL), 0);
	assert_false(c.is_of_lxd);
	assert_int_equal(lxcconf_parse(&c, theirs, strlen(theirs), NULL, NULL), 0);
	assert_true(c.is_of_lxd);
}

static void test_not_utf8(void **state)
{
	assert_null(record_of("lxc.uts.name = \xff"));
	assert_null(record_of("lxc.net.0.type = veth\nlxc.net.0.link = \xff"));
}

static void write_file(void **state, const char *name, const char *text)
{
	_cleanup_(closep) int fd = scratch_open(state);

	assert_int_equal(file_write(fd, name, 0600, text, strlen(text), FILE_SYNC_NONE), 0);
}

/* An include stands for the text in its place. */
static void test_includes(void **state)
{
	_cleanup_(lxcconf_finish) struct lxcconf c = {0};
	_cleanup_(freep) char *path = scratch_path(state, "config"),
			      *dir = scratch_path(state, "d");
	char text[512];

	assert_int_equal(mkdir(dir, 0700), 0);
	write_file(state, "d/a.conf", "lxc.uts.name = a\nlxc.net.0.type = veth\n");
	write_file(state, "d/b.conf", "lxc.net.0.link = b\n");
	write_file(state, "d/c.other", "lxc.uts.name = c\n");
	snprintf(
		text, sizeof(text),
		"lxc.uts.name = first\nlxc.include = %s\nlxc.net.0.name = e\nlxc.include = /nothing\n",
		dir);
	write_file(state, "config", text);
	assert_int_equal(lxcconf_load(&c, path), 0);
	assert_string_equal(c.hostname, "a");
	assert_int_equal(c.n_nics, 1);
	assert_string_equal(c.nics[0].link, "b");
	assert_string_equal(c.nics[0].name, "e");
}

static void test_endless_includes(void **state)
{
	_cleanup_(lxcconf_finish) struct lxcconf c = {0};
	_cleanup_(freep) char *path = scratch_path(state, "config");
	char text[512];

	snprintf(text, sizeof(text), "lxc.include = %s\n", path);
	write_file(state, "config", text);
	assert_int_equal(lxcconf_load(&c, path), -ELOOP);
	assert_int_equal(lxcconf_load(&c, "/nothing"), -ENOENT);
}

static void test_no_memory(void **state)
{
	static const char text[] =
		"lxc.uts.name = a\nlxc.net.0.type = veth\nlxc.net.0.type = phys\n";
	int r = 0;

	ALLOC_WALK(r == -ENOMEM)
	{
		_cleanup_(lxcconf_finish) struct lxcconf c = {0};

		r = lxcconf_parse(&c, text, strlen(text), NULL, NULL);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hostname),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_random_address),
		cmocka_unit_test(test_unset),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_lxd),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test_setup_teardown(test_includes, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_endless_includes, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
