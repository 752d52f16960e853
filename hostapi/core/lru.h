#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded memory of values by 64-bit id: the longest unused goes first
 *
 * Values are of one size and are copied in and out. Thread-safe; nothing is called under the lock
 * but the two callbacks.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct lru;

/*
 * At most @max values (at least one) of @value_size bytes. @take is called for each copy that is made
 * of a value, @drop for each that is forgotten; both may be NULL. NULL = no memory.
 */
struct lru *lru_new(size_t max, size_t value_size, void (*take)(void *value),
		    void (*drop)(void *value));
struct lru *lru_free(struct lru *l); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct lru *, lru_free);

/* Whether @id is known; then *ret_value is a copy. */
bool lru_get(struct lru *l, uint64_t id, void *ret_value);

/* Remembers a copy of *value for @id in place of an earlier one; without memory it does not. */
void lru_put(struct lru *l, uint64_t id, const void *value);
