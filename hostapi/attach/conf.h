#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The settings of CONF as a command or a hook needs them
 */
#include "core/settings.h"

/* Reads @conf_dir/devlxdfsd.conf; what is missing or wrong, which the daemon says, leaves the defaults. *ret is the caller's to finish. */
void conf_read(const char *conf_dir, struct settings *ret);
