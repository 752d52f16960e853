/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See attach.h. */
#include "attach/attach.h"

int attach_guest(const char *conf_dir, const char *run_dir, const struct attachment *a,
		 struct buf *error)
{
	(void)buf_printf(error, "not yet");
	return ATTACH_E_REFUSED;
}

int attach_undo(const char *run_dir, const char *instance, struct buf *error)
{
	(void)buf_printf(error, "not yet");
	return ATTACH_E_REFUSED;
}

void attach_all(const char *conf_dir, const char *run_dir)
{
}
