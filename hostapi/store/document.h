#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON text -> JSON object, as records need it
 *
 * Duplicate members are refused with their place; numbers and booleans in
 * `config` and `devices` become strings in the spelling of the text. Decides
 * nothing else about members.
 */
#include <jansson.h>
#include <stddef.h>

#include "store/parse-error.h"

/* Returns 0, -EINVAL with *ret_error, or -ENOMEM. */
int document_from_json(const char *text, size_t n, json_t **ret, struct parse_error *ret_error);
