/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See images.h. The list is sorted by fingerprint; readers take the lock for as long as finding and counting takes.
 */
#include "core/images.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/file.h"
#include "core/lock.h"

#define DESCRIPTION           "image.json"
#define DESCRIPTION_BYTES_MAX (1 << 20)

struct images {
	char *path; /* STATE/images */
	pthread_rwlock_t lock;
	struct image **list;
	size_t n;
	int fd; /* of the directory when it was read; -1: there was none */
	uint64_t generation;
	pthread_mutex_t loading;
};

struct loaded {
	struct image **list;
	size_t n;
};

static void loaded_finish(struct loaded *l)
{
	images_list_free(l->list, l->n);
}

struct images *images_new(const char *state_dir)
{
	struct images *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	if (asprintf(&i->path, "%s/images", state_dir) < 0) {
		free(i);
		return NULL;
	}
	i->fd = -1;
	pthread_rwlock_init(&i->lock, NULL);
	pthread_mutex_init(&i->loading, NULL);
	return i;
}

struct images *images_free(struct images *i)
{
	if (!i)
		return NULL;
	images_list_free(i->list, i->n);
	closep(&i->fd);
	pthread_rwlock_destroy(&i->lock);
	pthread_mutex_destroy(&i->loading);
	free(i->path);
	free(i);
	return NULL;
}

void images_list_free(struct image **list, size_t n)
{
	for (size_t k = 0; k < n; k++)
		image_unref(list[k]);
	free(list);
}

/* One directory; what is wrong with it is said. NULL: it is left out. */
static struct image *read_one(int dir_fd, const char *name, struct buf *complaints)
{
	_cleanup_(buf_finish) struct buf path = {0}, error = {0};
	_cleanup_(image_unrefp) struct image *image = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t n = 0;
	int r = buf_printf(&path, "%s/" DESCRIPTION, name);

	if (r == 0)
		r = file_read(dir_fd, path.data, DESCRIPTION_BYTES_MAX, &text, &n);
	if (r == 0)
		r = image_parse(text, n, &image, &error);
	if (r == 0 && !streq(image->fingerprint, name)) {
		r = -EINVAL;
		(void)buf_puts(&error, "it is another image's");
	}
	if (r < 0) {
		(void)buf_printf(complaints, "the image %s is left out: " DESCRIPTION ": %s\n",
				 name, error.len ? error.data : strerror(-r));
		return NULL;
	}
	return steal_ptr(&image);
}

static int add(struct loaded *l, struct image *image)
{
	struct image **list = reallocarray(l->list, l->n + 1, sizeof(struct image *));

	if (!list) {
		image_unref(image);
		return -ENOMEM;
	}
	l->list = list;
	l->list[l->n++] = image;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp((*(struct image *const *)a)->fingerprint,
		      (*(struct image *const *)b)->fingerprint);
}

static int read_all(int dir_fd, struct loaded *l, struct buf *complaints)
{
	_cleanup_(file_closedirp) DIR *dir = file_opendir(dir_fd);
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (e = readdir(dir))) {
		struct image *image = image_is_fingerprint(e->d_name)
					      ? read_one(dir_fd, e->d_name, complaints)
					      : NULL;

		if (image)
			r = add(l, image);
	}
	if (r == 0 && l->n > 0)
		qsort(l->list, l->n, sizeof(struct image *), compare);
	return r;
}

static bool is_same(const struct image *a, const struct image *b)
{
	bool same = streq(a->fingerprint, b->fingerprint) && a->is_public == b->is_public &&
		    a->is_cached == b->is_cached && a->is_vm == b->is_vm &&
		    a->n_parts == b->n_parts && a->n_aliases == b->n_aliases;

	for (size_t k = 0; same && k < a->n_parts; k++)
		same = streq(a->parts[k].name, b->parts[k].name) &&
		       a->parts[k].size == b->parts[k].size &&
		       a->parts[k].mtime_ns == b->parts[k].mtime_ns;
	for (size_t k = 0; same && k < a->n_aliases; k++)
		same = streq(a->aliases[k], b->aliases[k]);
	return same;
}

static bool is_same_list(const struct images *i, const struct loaded *l)
{
	bool same = i->n == l->n;

	for (size_t k = 0; same && k < l->n; k++)
		same = is_same(i->list[k], l->list[k]);
	return same;
}

/* What was there goes to @l and *fd. */
static void swap(struct images *i, struct loaded *l, int *fd, bool is_changed)
{
	LOCK_HOLD_ALONE(&i->lock);
	const struct loaded old = {i->list, i->n};
	int old_fd = i->fd;

	i->list = l->list;
	i->n = l->n;
	i->fd = *fd;
	i->generation += is_changed;
	*l = old;
	*fd = old_fd;
}

int images_load(struct images *i, bool *ret_changed, struct buf *complaints)
{
	LOCK_HOLD(&i->loading);
	_cleanup_(loaded_finish) struct loaded l = {0};
	_cleanup_(closep) int fd = open(i->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool is_changed;
	int r = 0;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (fd >= 0)
		r = read_all(fd, &l, complaints);
	if (r < 0)
		return r;
	is_changed = !is_same_list(i, &l);
	swap(i, &l, &fd, is_changed);
	if (ret_changed)
		*ret_changed = is_changed;
	return 0;
}

struct image *images_find(struct images *i, const char *fingerprint)
{
	LOCK_HOLD_SHARED(&i->lock);
	size_t low = 0, high = i->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(fingerprint, i->list[middle]->fingerprint);

		if (order == 0)
			return image_ref(i->list[middle]);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int images_list(struct images *i, struct image ***ret, size_t *ret_n)
{
	LOCK_HOLD_SHARED(&i->lock);
	struct image **list = calloc(i->n + 1, sizeof(struct image *));

	if (!list)
		return -ENOMEM;
	for (size_t k = 0; k < i->n; k++)
		list[k] = image_ref(i->list[k]);
	*ret = list;
	*ret_n = i->n;
	return 0;
}

int images_open(struct images *i, const struct image *image, size_t part)
{
	LOCK_HOLD_SHARED(&i->lock);

	return i->fd < 0 ? -ENOENT : image_open(image, i->fd, part);
}

uint64_t images_generation(struct images *i)
{
	LOCK_HOLD_SHARED(&i->lock);

	return i->generation;
}
