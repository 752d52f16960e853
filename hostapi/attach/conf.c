/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See conf.h. */
#include "attach/conf.h"

#include <fcntl.h>

#include "base/file.h"

#define BYTES_MAX (1 << 20)

void conf_read(const char *conf_dir, struct settings *ret)
{
	_cleanup_(buf_finish) struct buf path = {0}, error = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n;

	settings_init(ret);
	if (buf_printf(&path, "%s/devlxdfsd.conf", conf_dir) == 0 &&
	    file_read(AT_FDCWD, path.data, BYTES_MAX, &text, &n) == 0)
		(void)settings_parse(ret, text, n, &error);
}
