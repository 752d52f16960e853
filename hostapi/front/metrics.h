#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters as OpenMetrics text
 *
 * Instances' accounts and the guest front's own counters, as Prometheus and
 * others read them. Label values are escaped; nothing of a record but its name
 * appears.
 */
#include "api/request.h"
#include "base/buf.h"

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Appends everything, "# EOF" included. Returns 0 or -ENOMEM. */
int metrics_text(const struct api *api, struct buf *b);

/* Appends @text as the inside of a label value. Returns 0 or -ENOMEM. */
int metrics_escape(struct buf *b, const char *text);
