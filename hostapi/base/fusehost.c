/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See fusehost.h. */
#include "base/fusehost.h"

#include <fcntl.h>
#include <limits.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define CONF_MAX (64 * 1024)

static int read_timeout(int root_fd, const char *name)
{
	char text[32];
	uint64_t value;

	if (file_read_proc(root_fd, name, text, sizeof(text)) < 0)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return text_to_u64(text, 0, INT_MAX, &value) == 0 ? (int)value : -1;
}

/* Whether one of the lines, without comment and blanks, is @word. */
static bool has_line(char *text, const char *word)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		line[strcspn(line, "#")] = '\0';
		line += strspn(line, " \t");
		line[strcspn(line, " \t\r")] = '\0';
		if (streq(line, word))
			return true;
	}
	return false;
}

void fusehost_read(int root_fd, struct fusehost *ret)
{
	_cleanup_(freep) char *conf = NULL;
	size_t n;

	*ret = (struct fusehost){
		.default_timeout_s =
			read_timeout(root_fd, "proc/sys/fs/fuse/default_request_timeout"),
		.max_timeout_s = read_timeout(root_fd, "proc/sys/fs/fuse/max_request_timeout"),
	};
	if (file_read(root_fd, "etc/fuse.conf", CONF_MAX, &conf, &n) == 0)
		ret->user_allow_other = has_line(conf, "user_allow_other");
}

void fusehost_read_here(struct fusehost *ret)
{
	_cleanup_(closep) int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	fusehost_read(root_fd, ret);
}

unsigned fusehost_timeout_s(const struct fusehost *h)
{
	int least = h->default_timeout_s;

	if (h->max_timeout_s > 0 && (least <= 0 || h->max_timeout_s < least))
		least = h->max_timeout_s;
	return least > 0 ? (unsigned)least : 0;
}
