/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A state and a configuration of an OCI container, each on any bytes: what is accepted is as promised, and hooks that
 * were put into a configuration leave it one, of the same instance.
 */
#include <stdint.h>

#include "attach/hook-oci.h"
#include "attach/oci.h"
#include "attach/ociimage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_state(const char *text, size_t n)
{
	_cleanup_(oci_state_finish) struct oci_state s = {0};
	_cleanup_(buf_finish) struct buf error = {0};
	int r = oci_state_parse(text, n, &s, &error);

	require((r == 0) == (error.len == 0));
	if (r == 0)
		require(s.bundle[0] == '/' && (s.is_stopped ? s.pid == 0 : s.pid > 0));
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? streq(a, b) : a == b;
}

static void check_config(const char *text, size_t n)
{
	static const char *const args[] = {"/bin/devlxdfs", "hook", "oci", NULL};
	const struct hook h = {"/conf", "/state", "/nowhere"};
	_cleanup_(oci_config_finish) struct oci_config c = {0}, again = {0};
	_cleanup_(buf_finish) struct buf error = {0}, refused = {0}, made = {0};
	const char *instance = NULL;
	int r = oci_config_parse(text, n, &c, &error);

	require((r == 0) == (error.len == 0));
	if (r != 0)
		return;
	if (hook_oci_instance(&h, &c, &instance, &refused) == 0)
		require(instance && *instance && !strchr(instance, '/'));
	if (oci_config_add_hooks(text, n, args, &made, &error) < 0)
		return;
	require(oci_config_parse(made.data, made.len, &again, &error) == 0);
	require(is_same(c.root, again.root) && is_same(c.annotation, again.annotation) &&
		is_same(c.source, again.source));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_state(text, size);
	check_config(text, size);
	(void)ociimage_may_have(text, size, OCI_ANNOTATION);
	return 0;
}
