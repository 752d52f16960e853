#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small pure functions on text: the one number parser, truth values, names,
 * UTF-8 and likely typos. No input or output, no allocation unless said.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Parses the whole of @text as a decimal number in [@min, @max] (no sign, no
 * space, no leading '+'). *ret is untouched on failure. Returns 0, -EINVAL
 * (not a number) or -ERANGE.
 */
int text_to_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/*
 * The next of several numbers in a line: steps over blanks, then as above, up to @max. *rest moves on
 * behind the number. Both are untouched on failure. Returns 0, -EINVAL or -ERANGE.
 */
int text_next_u64(const char **rest, uint64_t max, uint64_t *ret);

/*
 * LXD's truth: 1 for {1,true,yes,on}, 0 for {0,false,no,off}, case-insensitive,
 * -1 for anything else (also NULL and ""). Source: devlxd-api.md, head.
 */
int text_to_bool(const char *text);

/*
 * Instance, profile and image-alias names: 1 to 63 of letters, digits, '-',
 * '_', '.', not starting with '-' or '.'.
 */
bool text_is_name(const char *text);

/*
 * Length in bytes (1 to 4) of the UTF-8 character at the start of @bytes; 0
 * when there is none: @n is 0, or a surrogate, an overlong or a cut form.
 */
size_t text_utf8_length(const char *bytes, size_t n);

/* Whether the @n bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool text_is_utf8(const char *bytes, size_t n);

/* Whether @text starts with @prefix; for names of keys, never for file or cgroup paths. */
bool text_has_prefix(const char *text, const char *prefix);

/*
 * The nearest of the @n_words to @word by edit distance, for "did you mean";
 * NULL when none is within a third of the length (at least 1).
 */
const char *text_nearest(const char *word, const char *const *words, size_t n_words);
