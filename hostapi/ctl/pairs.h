#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KEY=VALUE words of a command line, as lxc takes them
 */
#include <jansson.h>

#include "ctl/command.h"

/*
 * Reads @n words, each KEY=VALUE, or the two words KEY and VALUE, into a new object of texts. The value "-"
 * is what standard input holds, to the last byte. Returns 0 or an exit status, having said why.
 */
int pairs_parse(const struct call *c, const char *const *words, size_t n, json_t **ret);

/* One KEY=VALUE word into @table. Returns as above. */
int pairs_add(const struct call *c, const char *word, json_t *table);

/* Warns of keys in @table that no guest will see. */
void pairs_warn(const char *subject, const json_t *table);
