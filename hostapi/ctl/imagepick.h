#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image that a command line names, looked at or changed
 */
#include "ctl/command.h"
#include "ctl/say.h"
#include "images/image-store.h"

struct imagepick {
	const struct context *context;
	struct image_store *store;
	int lock_fd; /* -1: not locked */
};

/* Opens the store, with @to_write locked. Finish with imagepick_finish() whatever it returned. Returns 0 or SAY_REFUSED, having said why. */
int imagepick_begin(struct imagepick *p, const struct context *context, bool to_write);
void imagepick_finish(struct imagepick *p); /* unlocks */
void imagepick_unlock(struct imagepick *p); /* before what takes long; again is fine */

/* The image that @word means, a new reference. Returns 0 or SAY_REFUSED, having said why. */
int imagepick_find(struct imagepick *p, const char *word, json_t **ret);

/* The same, of images that can be used. */
int imagepick_find_good(struct imagepick *p, const char *word, json_t **ret);

/* Writes the image (borrowed), unlocks, and has the daemon load it. @word is for messages. Returns an exit status, having said why. */
int imagepick_commit(struct imagepick *p, const char *word, const json_t *image);

/* The fingerprint, borrowed. */
const char *imagepick_fingerprint(const json_t *image);

/* Whether @alias can be one. Returns 0 or SAY_REFUSED, having said why. */
int imagepick_check_alias(const char *alias);
