#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A record as a JSON tree: its config, devices and profiles
 *
 * Pure. Trees come from edit_load() or parse_document() and may hold numbers and booleans where
 * text is meant; texts are made of them as the daemon does.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* The object @name of @object, made if missing; borrowed. NULL: something else stands there, or no memory. */
json_t *member_object(json_t *object, const char *name);

/* The text of a value, a new reference to a JSON string; NULL = no memory or a list or object. */
json_t *member_text(const json_t *value);

/* The profiles of an instance in order, a new reference: [default] when the record has none. NULL = no memory. */
json_t *member_profiles(const json_t *record);

/* Whether the array holds the string @text; *ret_i (may be NULL) is where. */
bool member_contains(const json_t *array, const char *text, size_t *ret_i);

/*
 * Puts @table's members over those of @base, both objects ("config", "devices"); NULL tables are empty.
 * Returns 0 or -ENOMEM.
 */
int member_overlay(json_t *base, const json_t *table);

/*
 * The names of what differs between two records (either may be NULL), one line each: "config.KEY: added",
 * "match: changed", "devices.NAME: removed". Never a value. Returns 0 or -ENOMEM.
 */
int member_diff(const json_t *old, const json_t *new, struct buf *b);
