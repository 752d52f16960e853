#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instance as the host's commands see it: the JSON object of admin.h
 */
#include <jansson.h>

#include "api/request.h"

/*
 * @cgroup_root_fd as from cgroup_open_root(), or negative where there is none.
 * NULL: no memory, or the instance has no record any more. A new reference.
 */
json_t *summary_of(const struct api *api, struct instance *i, int cgroup_root_fd);
