/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of an LXC container on any bytes: interfaces are in order, and the record has only known kinds. */
#include <stdint.h>

#include "attach/lxcconf.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int include(struct lxcconf *c, const char *path, void *arg)
{
	return *path ? 0 : -EINVAL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(lxcconf_finish) struct lxcconf c = {0};
	json_auto_t *record = NULL;
	json_t *device;
	const char *name;

	if (lxcconf_parse(&c, (const char *)data, size, include, NULL) < 0)
		abort();
	if (c.n_nics > LXCCONF_NICS_MAX)
		abort();
	for (size_t i = 1; i < c.n_nics; i++) {
		if (c.nics[i - 1].number >= c.nics[i].number)
			abort();
	}
	record = lxcconf_record(&c, "web1");
	json_object_foreach (json_object_get(record, "devices"), name, device) {
		if (!json_string_value(json_object_get(device, "nictype")))
			abort();
	}
	return 0;
}
