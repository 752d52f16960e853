/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listing: one reply to READDIR or READDIRPLUS
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "listing.h"

#define OFFSET_SELF   1
#define OFFSET_PARENT 2
/* What readdir(3) shows where no inode number is known; the kernel's FUSE_UNKNOWN_INO. */
#define UNKNOWN_INO 0xffffffff
/* No reply need be larger: the kernel asks again for the rest. */
#define REPLY_MAX (1 << 20)

int listing_begin(struct listing *l, size_t size)
{
	l->size = size < REPLY_MAX ? size : REPLY_MAX;
	l->bytes = malloc(l->size);
	return l->bytes ? 0 : -ENOMEM;
}

void listing_finish(struct listing *l)
{
	free(l->bytes);
}

/* Adds an entry. False: there is no room. */
static bool add(struct listing *l, const char *name, const struct fuse_entry_param *e,
		uint64_t offset)
{
	char *at = l->bytes + l->used;
	size_t room = l->size - l->used, n;

	if (l->is_plus)
		n = fuse_add_direntry_plus(l->req, at, room, name, e, (off_t)offset);
	else
		n = fuse_add_direntry(l->req, at, room, name, &e->attr, (off_t)offset);
	if (n > room)
		return false;
	l->used += n;
	return true;
}

/* A directory without attributes: "." and "..", and in the root, where nothing is made for who is only listed. */
static bool add_name(struct listing *l, const char *name, uint64_t ino, uint64_t offset)
{
	const struct fuse_entry_param e = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};

	return add(l, name, &e, offset);
}

static bool add_dots(struct listing *l, uint64_t id, uint64_t offset)
{
	return (offset >= OFFSET_SELF || add_name(l, ".", id, OFFSET_SELF)) &&
	       (offset >= OFFSET_PARENT || add_name(l, "..", UNKNOWN_INO, OFFSET_PARENT));
}

struct name {
	uint64_t cookie;
	char *text;
};

struct names {
	struct name *list;
	size_t n, size;
};

static void names_finish(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i].text);
	free(names->list);
}

static int add_instance(void *arg, const char *text, bool is_listed)
{
	struct names *names = arg;
	struct name name = {.text = strdup(text)};

	if (!name.text)
		return -ENOMEM;
	if (names->n == names->size) {
		size_t size = names->size ? names->size * 2 : 64;
		struct name *more = reallocarray(names->list, size, sizeof(*more));

		if (!more) {
			free(name.text);
			return -ENOMEM;
		}
		names->list = more;
		names->size = size;
	}
	name.cookie = (XXH3_64bits(text, strlen(text)) >> 2) + INDEX_COOKIE_MIN;
	names->list[names->n++] = name;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	return strcmp(x->text, y->text);
}

int listing_root(struct listing *l, const struct source *source, uint64_t offset)
{
	_cleanup_(names_finish) struct names names = {0};
	int r = source->ops->each(source->ctx, add_instance, &names);

	if (r < 0)
		return r;
	if (!add_dots(l, TREE_ROOT_ID, offset))
		return 0;
	if (names.n > 0)
		qsort(names.list, names.n, sizeof(*names.list), compare_names);
	for (size_t i = 0; i < names.n; i++) {
		const struct name *name = &names.list[i];

		if (name->cookie > offset && !add_name(l, name->text, UNKNOWN_INO, name->cookie))
			break;
	}
	return 0;
}

int listing_directory(struct listing *l, const struct node *dir, uint64_t offset)
{
	const struct index_node *at;

	if (!dir->at || tree_row(dir->row)->kind != TREE_DIRECTORY)
		return -ENOTDIR;
	if (!add_dots(l, dir->id, offset))
		return 0;
	for (at = index_next(dir->index, dir->at, offset); at;
	     at = index_next(dir->index, dir->at, at->cookie)) {
		struct fuse_entry_param e;
		struct node child;
		int r;

		node_of(dir, at, &child);
		r = node_entry(&child, &e);
		if (r < 0)
			return r;
		if (!add(l, at->name, &e, at->cookie))
			break;
	}
	return 0;
}
