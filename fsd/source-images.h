#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The images of this host, as a source shows them (a part of source-local.c)
 */
#include <pthread.h>

#include "source.h"

struct images;

/* Embedded, zeroed; source_images_init(). */
struct source_image_sets {
	struct images *images; /* borrowed; NULL: there are none */
	pthread_mutex_t lock;
	struct source_images *current; /* a reference; NULL: nobody has asked */
	uint64_t generation;           /* that it is of */
};

/* Shows @images; NULL: none. */
void source_images_init(struct source_image_sets *s, struct images *images);

/* As in struct source_ops. */
struct source_images *source_images_get(struct source_image_sets *s);
void source_images_unref(struct source_images *i);
int source_images_each(struct source_images *i, source_each each, void *arg);
int source_images_each_file_name(struct source_images *i, const char *image, source_each each,
				 void *arg);
bool source_images_file(struct source_images *i, const char *image, const char *name,
			struct source_file *ret);
int source_images_each_file(struct source_images *i, source_each_file each, void *arg);

/* A descriptor, the caller's; -ESTALE: it is not what it was; or -errno. */
int source_images_open(struct images *images, const struct source_file *file);
/* Whether guests may have @file now. */
bool source_images_offers(struct images *images, const struct source_file *file);
/* Whether it is there at all. */
bool source_images_has(struct images *images, const struct source_file *file);
