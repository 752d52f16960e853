#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocations that fail when a test wants them to
 *
 * For tests linked with alloc_dep (meson.build), which sends the allocations of our own objects
 * here; those inside shared libraries always succeed. Single-threaded use:
 *
 *	ALLOC_WALK (r == -ENOMEM)
 *		r = thing_new(&thing);
 *
 * repeats the statement, failing its first, second, ... allocation, until it no longer runs out of memory.
 */
#include <stdbool.h>
#include <stddef.h>

/*
 * How many allocations succeed before one fails; negative: all do. Volatile, because the compiler
 * thinks that malloc() does not read it.
 */
static volatile long alloc_left = -1;

static inline bool alloc_fails_now(void)
{
	return alloc_left >= 0 && alloc_left-- == 0;
}

/* Prepares try number @n; returns true so that it can stand in a condition. */
static inline bool alloc_arm(long n)
{
	alloc_left = n;
	return true;
}

#define ALLOC_WALK(again)                                                                          \
	for (long walk_n_ = 0, walk_on_ = 1; walk_on_ && alloc_arm(walk_n_);                       \
	     alloc_arm(-1), walk_on_ = (again), walk_n_++)

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return alloc_fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return alloc_fails_now() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
	return alloc_fails_now() ? NULL : __real_strdup(text);
}
