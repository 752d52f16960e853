/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The images of this host, as a source shows them
 */
#include "source-images.h"

#include "core/images.h"
#include "core/lock.h"

_Static_assert(SOURCE_FINGERPRINT_LEN == IMAGE_FINGERPRINT_LEN, "one length");

struct source_images {
	_Atomic unsigned refs;
	struct image **list;
	size_t n;
};

void source_images_init(struct source_image_sets *s, struct images *images)
{
	*s = (struct source_image_sets){.images = images};
	pthread_mutex_init(&s->lock, NULL);
}

void source_images_unref(struct source_images *i)
{
	if (!i || --i->refs > 0)
		return;
	images_list_free(i->list, i->n);
	free(i);
}

/* As they stand, or NULL without memory. */
static struct source_images *new_set(struct images *images)
{
	struct source_images *i = calloc(1, sizeof(*i));

	if (i && images_list(images, &i->list, &i->n) < 0) {
		free(i);
		return NULL;
	}
	if (i)
		i->refs = 1;
	return i;
}

struct source_images *source_images_get(struct source_image_sets *s)
{
	struct source_images *made;
	uint64_t generation;
	LOCK_HOLD(&s->lock);

	if (!s->images)
		return NULL;
	/* Before the list is: one that is newer is made once more. */
	generation = images_generation(s->images);
	if (!s->current || s->generation != generation) {
		made = new_set(s->images);
		if (made) {
			source_images_unref(s->current);
			s->current = made;
			s->generation = generation;
		}
	}
	if (s->current)
		s->current->refs++;
	return s->current;
}

static bool has_alias(const struct image *image, const char *name)
{
	for (size_t k = 0; k < image->n_aliases; k++)
		if (streq(image->aliases[k], name))
			return true;
	return false;
}

/* The image that guests know by @name; an alias that several have is the first one's. */
static const struct image *find(const struct source_images *i, const char *name)
{
	for (size_t k = 0; k < i->n; k++)
		if (image_is_offered(i->list[k]) &&
		    (streq(i->list[k]->fingerprint, name) || has_alias(i->list[k], name)))
			return i->list[k];
	return NULL;
}

int source_images_each(struct source_images *i, source_each each, void *arg)
{
	int r = 0;

	for (size_t k = 0; k < i->n && r == 0; k++) {
		const struct image *image = i->list[k];

		if (!image_is_offered(image))
			continue;
		r = each(arg, image->fingerprint, true);
		for (size_t a = 0; a < image->n_aliases && r == 0; a++)
			if (find(i, image->aliases[a]) == image &&
			    (a == 0 || !streq(image->aliases[a], image->aliases[a - 1])))
				r = each(arg, image->aliases[a], true);
	}
	return r;
}

int source_images_each_file_name(struct source_images *i, const char *name, source_each each,
				 void *arg)
{
	const struct image *image = find(i, name);
	int r = 0;

	for (size_t k = 0; image && k < image->n_parts && r == 0; k++)
		if (k == 0 || !streq(image->parts[k].name, image->parts[0].name))
			r = each(arg, image->parts[k].name, true);
	return r;
}

static struct source_file file_of(const struct image *image, size_t part)
{
	struct source_file file = {
		.part = (uint32_t)part,
		.size = image->parts[part].size,
		.mtime_ns = image->parts[part].mtime_ns,
	};

	memcpy(file.fingerprint, image->fingerprint, sizeof(file.fingerprint));
	return file;
}

bool source_images_file(struct source_images *i, const char *name, const char *part,
			struct source_file *ret)
{
	const struct image *image = find(i, name);

	for (size_t k = 0; image && k < image->n_parts; k++) {
		if (!streq(image->parts[k].name, part))
			continue;
		*ret = file_of(image, k);
		return true;
	}
	return false;
}

int source_images_each_file(struct source_images *i, source_each_file each, void *arg)
{
	int r = 0;

	for (size_t k = 0; k < i->n; k++)
		for (size_t part = 0; part < i->list[k]->n_parts && r == 0; part++) {
			const struct source_file file = file_of(i->list[k], part);

			r = each(arg, &file);
		}
	return r;
}

/* Whether @image, found by the fingerprint of @file, has that very file. */
static bool is_of(const struct image *image, const struct source_file *file)
{
	return image && file->part < image->n_parts &&
	       image->parts[file->part].size == file->size &&
	       image->parts[file->part].mtime_ns == file->mtime_ns;
}

bool source_images_offers(struct images *images, const struct source_file *file)
{
	_cleanup_(image_unrefp) struct image *image =
		images ? images_find(images, file->fingerprint) : NULL;

	return is_of(image, file) && image_is_offered(image);
}

bool source_images_has(struct images *images, const struct source_file *file)
{
	_cleanup_(image_unrefp) struct image *image =
		images ? images_find(images, file->fingerprint) : NULL;

	return is_of(image, file);
}

int source_images_open(struct images *images, const struct source_file *file)
{
	_cleanup_(image_unrefp) struct image *image =
		images ? images_find(images, file->fingerprint) : NULL;

	return is_of(image, file) ? images_open(images, image, file->part) : -ESTALE;
}
