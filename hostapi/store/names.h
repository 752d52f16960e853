#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names in the record directories
 *
 * CONF holds NAME.yaml, NAME.yml or NAME.json, STATE holds NAME.json. What
 * editors, package managers and version control leave lying around is nobody's
 * mistake; any other name is somebody's.
 */
#include <stdbool.h>
#include <stddef.h>

#include "store/parse.h"

#define NAMES_RECORD_MAX 63
/* Suffixes a record may have, and how many of them count in STATE. */
#define NAMES_N_SUFFIXES       3
#define NAMES_N_SUFFIXES_STATE 1

/* The @i-th suffix, ".json" first. */
const char *names_suffix(size_t i);
/* The format that goes with it. */
enum record_format names_format(size_t i);
/* "instances" or "profiles". */
const char *names_directory(enum record_kind kind);

enum {
	_NAMES_E_SUCCESS,
	NAMES_E_LEFTOVER, /* a dot file, an editor's backup: to be ignored in silence */
	NAMES_E_ODD,      /* neither a record's name nor a leftover */
};

/*
 * Takes the name of a directory entry apart. Returns 0 with the record's name and the number
 * of its suffix, or a NAMES_E_* code.
 */
int names_split(const char *entry, bool in_state, char ret_name[NAMES_RECORD_MAX + 1],
		size_t *ret_suffix);
