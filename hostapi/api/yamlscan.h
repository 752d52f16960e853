#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a YAML text may be loaded as a libyaml document: at most one
 * document, bounded, and nothing in it that such a document forgets
 */
#include <stddef.h>
#include <yaml.h>

/* Bounds the emitter's recursion and its indentation. */
#define YAMLSCAN_DEPTH_MAX 32

/*
 * Returns 0, -EINVAL (not YAML, more than one document, a %TAG directive, too many nodes, nested
 * too deeply, `!!str` on an unquoted scalar) or -ENOMEM.
 */
int yamlscan_check(const char *text, size_t n);

/* Sets @parser (zeroed) up to read @n bytes of UTF-8, borrowed. Returns 0 or -ENOMEM. */
int yamlscan_start(yaml_parser_t *parser, const char *text, size_t n);

/* What a failed call on @parser means: -EINVAL or -ENOMEM. */
int yamlscan_error(const yaml_parser_t *parser);
