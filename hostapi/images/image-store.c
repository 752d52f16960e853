/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-store.h. */
#include "images/image-store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "core/image.h"
#include "store/ownership.h"

#define DESCRIPTION           "image.json"
#define DESCRIPTION_BYTES_MAX (1 << 20) /* the daemon's bound, too */

struct image_store {
	int fd; /* STATE/images; -1: there is none */
};

/* The directories pass on the group that the daemon's keeper gives them. */
static int make_directory(const char *state_dir)
{
	_cleanup_(closep) int fd = -1;
	int r = file_mkdirs(state_dir, 0750);

	if (r < 0)
		return r;
	fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	_cleanup_(ownership_return) struct ownership o = ownership_take(fd);

	return mkdirat(fd, "images", 0750) < 0 && errno != EEXIST ? -errno : 0;
}

int image_store_open(const char *state_dir, bool to_write, struct image_store **ret)
{
	_cleanup_(image_store_closep) struct image_store *s = calloc(1, sizeof(*s));
	_cleanup_(buf_finish) struct buf path = {0};
	int r = to_write ? make_directory(state_dir) : 0;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	if (r == 0)
		r = buf_printf(&path, "%s/images", state_dir);
	if (r != 0)
		return r;
	s->fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 && (to_write || errno != ENOENT))
		return -errno;
	*ret = steal_ptr(&s);
	return 0;
}

struct image_store *image_store_close(struct image_store *s)
{
	if (!s)
		return NULL;
	closep(&s->fd);
	free(s);
	return NULL;
}

int image_store_lock(struct image_store *s)
{
	_cleanup_(ownership_return) struct ownership o = ownership_take(s->fd);

	return file_lock(s->fd, ".lock", true);
}

int image_store_fd(const struct image_store *s)
{
	return s->fd;
}

/* As the daemon judges it. Returns 0, -EINVAL with *error, or -ENOMEM. */
static int check(const char *text, size_t n, const char *fingerprint, struct buf *error)
{
	_cleanup_(image_unrefp) struct image *image = NULL;
	int r = image_parse(text, n, &image, error);

	if (r == 0 && fingerprint && !streq(image->fingerprint, fingerprint))
		r = buf_puts(error, "it is another image's") ?: -EINVAL;
	return r;
}

/* The image in the directory @name, a new reference; NULL = no memory. */
static json_t *load(struct image_store *s, const char *name)
{
	_cleanup_(buf_finish) struct buf path = {0}, error = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n = 0;
	int r = buf_printf(&path, "%s/" DESCRIPTION, name);

	if (r == 0)
		r = file_read(s->fd, path.data, DESCRIPTION_BYTES_MAX, &text, &n);
	if (r == 0)
		r = check(text, n, name, &error);
	if (r == 0)
		return json_loadb(text, n, 0, NULL);
	return json_pack("{s:s, s:s+}", "fingerprint", name, "error", DESCRIPTION ": ",
			 error.len ? error.data : strerror(-r));
}

static const char *fingerprint_of(const json_t *image)
{
	return json_string_value(json_object_get(image, "fingerprint"));
}

/* Adds to @images, which is sorted. */
static int add(struct image_store *s, json_t *images, const char *name)
{
	size_t at = 0;

	while (at < json_array_size(images) &&
	       strcmp(fingerprint_of(json_array_get(images, at)), name) < 0)
		at++;
	return json_array_insert_new(images, at, load(s, name)) < 0 ? -ENOMEM : 0;
}

int image_store_list(struct image_store *s, json_t **ret)
{
	_cleanup_(closep) int fd =
		s->fd < 0 ? -1 : openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(file_closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	json_auto_t *images = json_array();
	const struct dirent *e;
	int r = images ? 0 : -ENOMEM;

	if (s->fd >= 0 && !dir)
		return -errno;
	fd = -1; /* dir's */
	while (r == 0 && dir && (e = readdir(dir)))
		if (image_is_fingerprint(e->d_name))
			r = add(s, images, e->d_name);
	if (r == 0)
		*ret = steal_ptr(&images);
	return r;
}

static bool has_alias(const json_t *image, const char *alias)
{
	const json_t *aliases = json_object_get(image, "aliases");
	size_t i;
	json_t *one;

	json_array_foreach (aliases, i, one)
		if (json_is_string(one) && streq(json_string_value(one), alias))
			return true;
	return false;
}

const char *image_store_alias_holder(const json_t *images, const char *alias)
{
	size_t i;
	json_t *image;

	json_array_foreach (images, i, image)
		if (has_alias(image, alias))
			return fingerprint_of(image);
	return NULL;
}

int image_store_find(struct image_store *s, const char *word, json_t **ret)
{
	json_auto_t *images = NULL;
	json_t *image, *found = NULL;
	const char *holder;
	size_t n = strlen(word), n_found = 0, i;
	int r = image_store_list(s, &images);

	if (r < 0)
		return r;
	holder = image_store_alias_holder(images, word);
	json_array_foreach (images, i, image) {
		bool is_meant = holder ? streq(fingerprint_of(image), holder)
				       : n && n <= IMAGE_FINGERPRINT_LEN &&
						 memcmp(fingerprint_of(image), word, n) == 0;

		if (is_meant) {
			found = image;
			n_found++;
		}
	}
	if (n_found != 1)
		return n_found ? IMAGE_STORE_E_AMBIGUOUS : IMAGE_STORE_E_NOT_FOUND;
	*ret = json_incref(found);
	return 0;
}

int image_store_write(struct image_store *s, const char *name, const json_t *image,
		      struct buf *error)
{
	_cleanup_(freep) char *text = json_dumps(image, JSON_SORT_KEYS | JSON_INDENT(2));
	_cleanup_(ownership_return) struct ownership o = ownership_take(s->fd);
	_cleanup_(buf_finish) struct buf path = {0}, bytes = {0};
	int r = text ? buf_printf(&bytes, "%s\n", text) : -ENOMEM;

	if (r == 0)
		r = check(bytes.data, bytes.len, NULL, error);
	if (r == -EINVAL)
		return IMAGE_STORE_E_INVALID;
	if (r == 0)
		r = bytes.len <= DESCRIPTION_BYTES_MAX ? 0 : -EFBIG;
	if (r == 0)
		r = buf_printf(&path, "%s/" DESCRIPTION, name);
	if (r == 0)
		r = file_write(s->fd, path.data, 0640, bytes.data, bytes.len, FILE_SYNC_FULL);
	return r;
}
