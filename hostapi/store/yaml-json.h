#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML text -> JSON object
 *
 * One document whose root is a mapping. Anchors are accepted and copied; tags
 * and merge keys are refused; depth and the size after expanding aliases are
 * bounded. A plain scalar that YAML 1.1 reads as null is null; as a boolean or
 * a decimal number it is that only below top-level members that do not want
 * text, so that `1.10`, `0444` or `yes` stay what somebody wrote.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/parse-error.h"

#define YAML_DEPTH_MAX 32

/*
 * @wants_text says of a top-level member whether scalars below it stay text. Returns 0, -EINVAL with
 * *ret_error, or -ENOMEM.
 */
int yaml_json_read(const char *text, size_t n, bool (*wants_text)(const char *member), json_t **ret,
		   struct parse_error *ret_error);
