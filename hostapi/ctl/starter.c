/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See starter.h. liblxc gives its monitors the title "[lxc monitor] LXCPATH NAME", whoever uses it; only the path tells LXC's own
 * containers from those of LXD and Incus, which keep theirs in a directory called "containers".
 */
#include "ctl/starter.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"
#include "core/process.h"

#define MONITOR_TITLE "[lxc monitor] "

static bool is_printable(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	return *text;
}

/* "LXCPATH NAME"; a name has no space in it. Cuts @text. */
static int describe_container(char *text, struct buf *ret)
{
	char *name = strrchr(text, ' '), *last;

	if (!name || !is_printable(text))
		return 0;
	*name++ = '\0';
	last = strrchr(text, '/');
	if (last && streq(last, "/containers"))
		return buf_printf(ret, "the container %s of LXD or Incus in %.*s", name,
				  (int)(last - text), text);
	return buf_printf(ret, "the container %s of LXC in %s", name, text);
}

int starter_describe_text(const char *command_line, size_t n, const char *short_name,
			  struct buf *ret)
{
	_cleanup_(freep) char *title = strndup(command_line, n);

	if (!title)
		return -ENOMEM;
	if (text_has_prefix(title, MONITOR_TITLE))
		return describe_container(title + strlen(MONITOR_TITLE), ret);
	return is_printable(short_name) ? buf_printf(ret, "what %s started", short_name) : 0;
}

int starter_describe(pid_t pid, struct buf *ret)
{
	char path[64], title[4096], name[32];
	ssize_t n_title, n_name;
	pid_t parent;

	if (process_parent(pid, &parent) < 0 || parent == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", parent);
	n_title = file_read_proc(AT_FDCWD, path, title, sizeof(title));
	snprintf(path, sizeof(path), "/proc/%d/comm", parent);
	n_name = file_read_proc(AT_FDCWD, path, name, sizeof(name));
	if (n_title < 0 || n_name <= 0)
		return 0;
	name[strcspn(name, "\n")] = '\0';
	return starter_describe_text(title, (size_t)n_title, name, ret);
}
