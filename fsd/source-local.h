#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source that reads this host's own registry
 */
#include "source-images.h"
#include "source.h"

struct identity;
struct registry;
struct snapshot;
struct store;

/* All borrowed; source_images_init() before it is used. */
struct source_local {
	struct registry *registry;
	struct identity *identity;
	struct store *store;
	const char *location;
	struct source_image_sets images;
};

/* For struct source, with a struct source_local as ctx. Constant. */
const struct source_ops *source_local_ops(void);

/* The view that is @s, a reference; NULL: it shows nothing. */
struct source_view *source_local_view(struct snapshot *s);
