#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ownership of locals
 *
 * Every local that owns something carries one of these attributes at its
 * declaration, where it is also initialised; handing it on is written
 * steal_ptr(&p) or steal_fd(&fd), so that a reader sees who owns what.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f)        __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Defines func##p(), the cleanup function for a local of @type freed by @func(NULL-safe). */
#define DEFINE_CLEANUP(type, func)                                                                 \
	static inline void func##p(type *p)                                                        \
	{                                                                                          \
		if (*p)                                                                            \
			func(*p);                                                                  \
	}                                                                                          \
	struct cleanup_semicolon_##func

static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Closes *@fd unless negative; keeps errno. */
static inline void closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline int steal_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

static inline void *steal_ptr_(void *pp)
{
	void **p = pp;
	void *r = *p;

	*p = NULL;
	return r;
}
#define steal_ptr(pp) ((__typeof__(*(pp)))steal_ptr_(pp))

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
