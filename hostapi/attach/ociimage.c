/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See ociimage.h. The store is STORE/DRIVER-containers/containers.json, which names a container's image, and
 * STORE/DRIVER-images/IMAGE/, which has a file for each manifest by which it was got; a bundle is
 * STORE/DRIVER-containers/CONTAINER/userdata. The rule is to refuse what cannot be seen whole.
 */
#include "attach/ociimage.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

enum {
	LIST_BYTES_MAX = 64 << 20,
	MANIFEST_BYTES_MAX = 4 << 20, /* what registries and podman take */
};

/* How names of files begin that are "manifest-DIGEST": what is no plain name stands there in base64 behind "=". */
#define MANIFEST_PREFIX "=bWFuaWZlc3Qt"

/* Anywhere, since Go takes "Annotations" for "annotations". */
static bool has_key(json_t *json, const char *key)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach (json, name, value) {
		if (streq(name, key) || has_key(value, key))
			return true;
	}
	json_array_foreach (json, i, value) {
		if (has_key(value, key))
			return true;
	}
	return false;
}

bool ociimage_may_have(const char *text, size_t n, const char *key)
{
	json_auto_t *json =
		json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);

	return !json || has_key(json, key);
}

/* Where the bundle is in a store; texts are parts of the copy. */
struct place {
	char *copy;
	const char *containers, *container; /* STORE/DRIVER-containers, CONTAINER */
};

static void place_finish(struct place *p)
{
	free(p->copy);
}

/* Cuts the last component off @path in place; NULL: there is none. */
static char *cut(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

/* Returns 1 when it is in a store, 0, or -ENOMEM. */
static int find_place(const char *bundle, struct place *ret)
{
	static const char suffix[] = "-containers";
	const char *last;
	size_t n;

	ret->copy = strdup(bundle);
	if (!ret->copy)
		return -ENOMEM;
	last = cut(ret->copy);
	if (!last || !streq(last, "userdata"))
		return 0;
	ret->container = cut(ret->copy);
	ret->containers = ret->copy;
	n = strlen(ret->containers);
	return ret->container && n > strlen(suffix) &&
	       streq(ret->containers + n - strlen(suffix), suffix);
}

static bool is_id(const char *text)
{
	return text && *text && !text[strspn(text, "0123456789abcdef")];
}

/* The image of the container in the list @name; NULL: not there. Caller frees. */
static char *image_in(int dir_fd, const char *name, const char *container)
{
	_cleanup_(freep) char *text = NULL;
	json_auto_t *list = NULL;
	json_t *entry;
	size_t n, i;

	if (file_read(dir_fd, name, LIST_BYTES_MAX, &text, &n) < 0)
		return NULL;
	list = json_loadb(text, n, 0, NULL);
	json_array_foreach (list, i, entry) {
		const char *id = json_string_value(json_object_get(entry, "id"));
		const char *image = json_string_value(json_object_get(entry, "image"));

		if (id && streq(id, container))
			return is_id(image) ? strdup(image) : NULL;
	}
	return NULL;
}

/* STORE/DRIVER-images/IMAGE of the container. The caller's descriptor, -ENOENT, or -errno. */
static int open_image(const struct place *p)
{
	static const char *const lists[] = {"containers.json", "volatile-containers.json"};
	_cleanup_(closep) int fd = open(p->containers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n = (int)(strlen(p->containers) - strlen("containers"));
	_cleanup_(buf_finish) struct buf path = {0};
	_cleanup_(freep) char *image = NULL;
	int image_fd;

	for (size_t i = 0; fd >= 0 && !image && i < ARRAY_SIZE(lists); i++)
		image = image_in(fd, lists[i], p->container);
	if (!image)
		return -ENOENT;
	if (buf_printf(&path, "%.*simages/%s", n, p->containers, image) < 0)
		return -ENOMEM;
	image_fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return image_fd < 0 ? -errno : image_fd;
}

/* Looks at the manifests until one speaks. Returns how many were looked at, or -errno. */
static int look(int image_fd, const char *key, bool *ret_speaks)
{
	_cleanup_(file_closedirp) DIR *dir = file_opendir(image_fd);
	const struct dirent *e;
	int n_seen = 0;

	*ret_speaks = false;
	if (!dir)
		return -errno;
	while ((e = readdir(dir)) && !*ret_speaks) {
		_cleanup_(freep) char *text = NULL;
		size_t n;
		int r;

		if (!streq(e->d_name, "manifest") && !text_has_prefix(e->d_name, MANIFEST_PREFIX))
			continue;
		r = file_read(image_fd, e->d_name, MANIFEST_BYTES_MAX, &text, &n);
		if (r < 0)
			return r;
		*ret_speaks = ociimage_may_have(text, n, key);
		n_seen++;
	}
	return n_seen;
}

int ociimage_check(const char *bundle, const char *key, struct buf *why)
{
	_cleanup_(place_finish) struct place p = {0};
	_cleanup_(closep) int fd = -1;
	bool speaks = false;
	int r = find_place(bundle, &p);

	if (r <= 0)
		return r;
	fd = open_image(&p);
	r = fd < 0 ? fd : look(fd, key, &speaks);
	if (r == -ENOMEM)
		return r;
	if (speaks)
		return OCIIMAGE_E_SPEAKS;
	if (r > 0)
		return 0;
	(void)buf_printf(why, "the manifest of its image cannot be read in the store of %s",
			 p.containers);
	return OCIIMAGE_E_UNKNOWN;
}
