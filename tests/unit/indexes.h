#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Indexes of what a fake source shows, for serial 7 and a secret that is always the same
 */
#include "fakes.h"
#include "index.h"
#include "shared.h"

/* A cmocka setup: *state is a struct fake. */
static inline int indexes_setup(void **state)
{
	static struct fake f;

	fake_init(&f);
	*state = &f;
	return 0;
}

static inline int indexes_teardown(void **state)
{
	return fake_finish(*state);
}

static inline struct index_input index_input(struct fake *f)
{
	static const struct source_owner nobody;
	static unsigned char secret[SHARED_SECRET_SIZE];

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (unsigned char)i;
	return (struct index_input){.source = &f->source,
				    .owner = &nobody,
				    .secret = secret,
				    .serial = 7,
				    .is_socket_bound = true};
}

/* The index of what "web1" shows now. */
static inline struct index *index_of(struct fake *f, struct index_input input)
{
	struct index *x;

	input.instance = fake_get(f, "web1")->instance;
	input.view = f->source.ops->view(f, input.instance);
	if (input.view && f->source.ops->shows_images(input.view, &input.is_by_mount))
		input.images = f->source.ops->images(f);
	if (index_new(&input, &x) < 0)
		abort();
	return x;
}

/* Has "web1" show this, and makes the index of it. */
#define INDEX(F, ...)                                                                              \
	({                                                                                         \
		SHOW(F, "web1", __VA_ARGS__);                                                      \
		index_of(F, index_input(F));                                                       \
	})

/* The node at @path, or NULL. */
static inline const struct index_node *index_at(const struct index *x, const char *path)
{
	const struct index_node *n = x->nodes;
	char copy[1024], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while (n && *rest && (name = strsep(&rest, "/"))) {
		n = index_child(x, n, name);
		if (!rest)
			break;
	}
	return n;
}
