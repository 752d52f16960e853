#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files into the store, as an image
 *
 * What is checked and hashed is what was stored, not what was read. Until the last step, a rename, nobody sees anything of it; whatever goes wrong
 * before leaves nothing.
 */
#include "core/image.h"
#include "images/image-store.h"
#include "images/image-watch.h"

enum {
	_IMAGE_IMPORT_E_SUCCESS,
	IMAGE_IMPORT_E_REFUSED, /* *error says why, and *ret_part of which file; IMAGE_PARTS_MAX: of none in particular */
};

struct image_import {
	const char *paths[IMAGE_PARTS_MAX]; /* one: unified; two: metadata, then root file system */
	size_t n_paths;
	const json_t *aliases; /* an array of texts */
	bool is_public, is_cached;
	bool is_vm; /* whatever the files look like */
	const struct image_watch *watch;
};

/*
 * Imports it. *ret is what image.json says of it, a new reference. Returns 0, IMAGE_IMPORT_E_REFUSED, what the watch returns, or -errno
 * (*ret_part then as above).
 */
int image_import(struct image_store *s, const struct image_import *what, json_t **ret,
		 size_t *ret_part, struct buf *error);
