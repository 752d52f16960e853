/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image.h. An image is one block, which its texts are at the end of. */
#include "core/image.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/text.h"

#define ALIASES_MAX 64

struct image *image_ref(struct image *i)
{
	atomic_fetch_add_explicit(&i->n_refs, 1, memory_order_relaxed);
	return i;
}

struct image *image_unref(struct image *i)
{
	if (i && atomic_fetch_sub_explicit(&i->n_refs, 1, memory_order_acq_rel) == 1)
		free(i);
	return NULL;
}

bool image_is_fingerprint(const char *text)
{
	return strlen(text) == IMAGE_FINGERPRINT_LEN &&
	       strspn(text, "0123456789abcdef") == IMAGE_FINGERPRINT_LEN;
}

/* What takes room behind the struct. */
struct layout {
	struct image *image;
	char *at;
};

static const char *put(struct layout *l, const char *text)
{
	size_t n = strlen(text) + 1;
	char *at = memcpy(l->at, text, n);

	l->at += n;
	return at;
}

static int complain(struct buf *error, const char *what)
{
	(void)buf_puts(error, what);
	return -EINVAL;
}

/* It becomes part of names and of headers. */
static bool is_suffix(const char *text)
{
	return !*text || (*text == '.' && text_is_name(text + 1));
}

static bool is_part(const json_t *part)
{
	const char *name = json_string_value(json_object_get(part, "name"));
	const char *suffix = json_string_value(json_object_get(part, "suffix"));

	return name && text_is_name(name) && suffix && is_suffix(suffix) &&
	       json_integer_value(json_object_get(part, "size")) > 0 &&
	       json_is_integer(json_object_get(part, "mtime_ns"));
}

static int check_parts(const json_t *parts, struct buf *error)
{
	size_t n = json_array_size(parts), i;
	json_t *part;

	if (n < 1 || n > IMAGE_PARTS_MAX)
		return complain(error, "parts: expected one or two");
	json_array_foreach (parts, i, part)
		if (!is_part(part))
			return complain(error, "parts: expected {name, suffix, size, mtime_ns}");
	return 0;
}

static int check_aliases(const json_t *aliases, struct buf *error)
{
	size_t i;
	json_t *alias;

	if (!json_is_array(aliases) || json_array_size(aliases) > ALIASES_MAX)
		return complain(error, "aliases: expected a list of names");
	json_array_foreach (aliases, i, alias) {
		const char *name = json_string_value(alias);

		if (!name || !text_is_name(name) || image_is_fingerprint(name))
			return complain(error, "aliases: expected a list of names");
	}
	return 0;
}

static int check(const json_t *json, struct buf *error)
{
	const char *fingerprint = json_string_value(json_object_get(json, "fingerprint"));
	const char *type = json_string_value(json_object_get(json, "type"));
	int r;

	if (!fingerprint || !image_is_fingerprint(fingerprint))
		return complain(error, "fingerprint: expected 64 hex digits");
	if (!type || (!streq(type, "container") && !streq(type, "virtual-machine")))
		return complain(error, "type: expected container or virtual-machine");
	if (!json_is_boolean(json_object_get(json, "public")) ||
	    !json_is_boolean(json_object_get(json, "cached")))
		return complain(error, "public and cached: expected true or false");
	if (!json_is_integer(json_object_get(json, "imported_ns")))
		return complain(error, "imported_ns: expected a number");
	r = check_parts(json_object_get(json, "parts"), error);
	return r < 0 ? r : check_aliases(json_object_get(json, "aliases"), error);
}

static size_t text_size(const json_t *json)
{
	const json_t *parts = json_object_get(json, "parts");
	const json_t *aliases = json_object_get(json, "aliases");
	size_t size = 0, i;
	json_t *one;

	json_array_foreach (parts, i, one) {
		size += json_string_length(json_object_get(one, "name")) + 1;
		size += json_string_length(json_object_get(one, "suffix")) + 1;
	}
	json_array_foreach (aliases, i, one)
		size += json_string_length(one) + 1;
	return size;
}

static void fill_part(struct layout *l, struct image_part *part, const json_t *json)
{
	part->name = put(l, json_string_value(json_object_get(json, "name")));
	part->suffix = put(l, json_string_value(json_object_get(json, "suffix")));
	part->size = (uint64_t)json_integer_value(json_object_get(json, "size"));
	part->mtime_ns = json_integer_value(json_object_get(json, "mtime_ns"));
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void fill(struct layout *l, const json_t *json, const char **aliases)
{
	struct image *i = l->image;
	size_t n;
	json_t *one;

	memcpy(i->fingerprint, json_string_value(json_object_get(json, "fingerprint")),
	       sizeof(i->fingerprint));
	i->is_public = json_is_true(json_object_get(json, "public"));
	i->is_cached = json_is_true(json_object_get(json, "cached"));
	i->is_vm = streq(json_string_value(json_object_get(json, "type")), "virtual-machine");
	i->imported_ns = json_integer_value(json_object_get(json, "imported_ns"));
	json_array_foreach (json_object_get(json, "parts"), n, one)
		fill_part(l, &i->parts[i->n_parts++], one);
	json_array_foreach (json_object_get(json, "aliases"), n, one)
		aliases[i->n_aliases++] = put(l, json_string_value(one));
	qsort(aliases, i->n_aliases, sizeof(*aliases), compare);
	i->aliases = aliases;
}

int image_parse(const char *text, size_t n, struct image **ret, struct buf *error)
{
	json_error_t where;
	json_auto_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
	size_t pointers;
	struct image *image;
	struct layout l;
	int r;

	if (!json) {
		(void)buf_printf(error, "line %d: %s", where.line, where.text);
		return -EINVAL;
	}
	r = check(json, error);
	if (r < 0)
		return r;
	pointers = (json_array_size(json_object_get(json, "aliases")) + 1) * sizeof(char *);
	image = calloc(1, sizeof(*image) + pointers + text_size(json));
	if (!image)
		return -ENOMEM;
	image->n_refs = 1;
	l = (struct layout){image, (char *)(image + 1) + pointers};
	fill(&l, json, (const char **)(image + 1));
	*ret = image;
	return 0;
}

static bool is_as_imported(int fd, const struct image_part *part)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == part->size &&
	       (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == part->mtime_ns;
}

/* The names have no slash and are no way up, and nothing is followed. Without openat2(2), which the worker may not call. */
int image_open(const struct image *i, int images_fd, size_t part)
{
	_cleanup_(closep) int dir_fd =
		openat(images_fd, i->fingerprint, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(closep) int fd = -1;

	if (dir_fd < 0)
		return -errno;
	fd = openat(dir_fd, i->parts[part].name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return is_as_imported(fd, &i->parts[part]) ? steal_fd(&fd) : -ESTALE;
}
