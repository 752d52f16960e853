/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See manager.h. */
#include "ctl/manager.h"

#include <ctype.h>

#include "base/text.h"

struct manager {
	const char *name;
	const char *before,
		*after; /* of the instance's name in the cgroup's path; NULL: there is none */
	bool is_escaped;
};

static const struct manager managers[] = {
	{.name = "lxc", .before = "/lxc.payload.", .after = ""},
	/*
	 * What stands after the @ becomes the machine's name as it is, so machinectl does not escape it. Beside payload/ is supervisor/,
	 * which is the host's: whose root owns the files is read from the first process.
	 */
	{.name = "nspawn", .before = "/machine.slice/systemd-nspawn@", .after = ".service/payload"},
	{.name = "machine",
	 .before = "/machine.slice/machine-",
	 .after = ".scope",
	 .is_escaped = true},
	{.name = "podman"},
	{.name = "docker"},
};

const struct manager *manager_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(managers); i++) {
		if (streq(managers[i].name, name))
			return &managers[i];
	}
	return NULL;
}

int manager_escape(const char *name, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; name[i] && r == 0; i++) {
		unsigned char c = (unsigned char)name[i];
		bool stays = isalnum(c) || c == ':' || c == '_' || (c == '.' && i > 0);

		if (c == '/')
			r = buf_putc(ret, '-');
		else
			r = stays ? buf_putc(ret, (char)c) : buf_printf(ret, "\\x%02x", c);
	}
	return r;
}

int manager_cgroup(const struct manager *m, const char *instance, struct buf *ret)
{
	int r;

	if (!m->before)
		return 0;
	r = buf_puts(ret, m->before);
	if (r == 0)
		r = m->is_escaped ? manager_escape(instance, ret) : buf_puts(ret, instance);
	return r == 0 ? buf_puts(ret, m->after) : r;
}

int manager_explain(const struct manager *m, const char *instance, const char *run_dir,
		    struct buf *ret)
{
	if (streq(m->name, "podman"))
		return buf_printf(ret,
				  "its hook recognises it; start it with: podman run --annotation "
				  "org.devlxdfs.instance=%s ...",
				  instance);
	if (streq(m->name, "docker"))
		return buf_printf(ret,
				  "its runtime recognises it; start it with: docker run --runtime "
				  "devlxdfs -v %s/tree/%s:/dev/lxd ...",
				  run_dir, instance);
	return 0;
}
