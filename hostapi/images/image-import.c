/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-import.h. The store's lock is held at the beginning and at the end; others work meanwhile. */
#include "images/image-import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "images/image-archive.h"
#include "images/image-copy.h"
#include "images/image-hash.h"
#include "images/image-metadata.h"
#include "images/image-staging.h"
#include "images/image-whole.h"
#include "store/ownership.h"

#define NOT_AN_IMAGE                                                                               \
	"it is no image: expected a tar archive, as it is or packed with gzip, bzip2, xz, lzma or zstd"

/* One file, as it is stored. */
struct part {
	int from_fd, fd;
	uint64_t size;
	const struct image_type *type;
	char name[32];
};

struct importing {
	struct image_store *store;
	const struct image_import *what;
	struct image_staging staging;
	struct part parts[IMAGE_PARTS_MAX];
	size_t n_parts, current; /* the one that is worked on; n_parts: all */
	bool has_disk;           /* a unified one's root file system is a disk's image */
	json_t *metadata;
	struct buf *error;
};

static void importing_finish(struct importing *i)
{
	for (size_t k = 0; k < IMAGE_PARTS_MAX; k++) {
		closep(&i->parts[k].from_fd);
		closep(&i->parts[k].fd);
	}
	json_decref(i->metadata);
	image_staging_finish(&i->staging);
}

static int refuse(struct importing *i, const char *why)
{
	return buf_puts(i->error, why) ?: IMAGE_IMPORT_E_REFUSED;
}

/* What the checks return, as an import does: they have said what is wrong. */
static int judged(int r)
{
	return r == -EINVAL ? IMAGE_IMPORT_E_REFUSED : r;
}

static int find_type(struct importing *i, struct part *p)
{
	unsigned char head[IMAGE_TYPE_BYTES];
	ssize_t n = pread(p->from_fd, head, sizeof(head), 0);
	bool is_rootfs = p == &i->parts[1];

	if (n < 0)
		return -errno;
	p->type = image_type_of(head, (size_t)n);
	if (!p->type && is_rootfs)
		return refuse(
			i, "it is no root file system: expected squashfs, qcow2 or a tar archive");
	if (!p->type)
		return refuse(i, NOT_AN_IMAGE);
	if (!is_rootfs && p->type->form != IMAGE_FORM_TAR)
		return refuse(
			i, "it is a root file system without metadata; name the tar archive with "
			   "metadata.yaml before it");
	snprintf(p->name, sizeof(p->name), "%s%s",
		 is_rootfs        ? "rootfs"
		 : i->n_parts > 1 ? "metadata"
				  : "image",
		 p->type->suffix);
	return 0;
}

static int open_source(struct importing *i, struct part *p, const char *path)
{
	struct stat st;

	/* O_NONBLOCK: a FIFO without a writer would be waited for. */
	p->from_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (p->from_fd < 0)
		return errno == ENXIO ? refuse(i, "it is no file") : -errno;
	if (fstat(p->from_fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return refuse(i, "it is a directory; make an archive of it with tar");
	if (!S_ISREG(st.st_mode))
		return refuse(i, "it is no file");
	if (st.st_size == 0)
		return refuse(i, "it is empty");
	p->size = (uint64_t)st.st_size;
	return find_type(i, p);
}

static int open_sources(struct importing *i)
{
	int r = 0;

	for (i->current = 0; i->current < i->n_parts && r == 0; i->current++)
		r = open_source(i, &i->parts[i->current], i->what->paths[i->current]);
	i->current -= r != 0;
	return r;
}

/* Refuses aliases that another image has; the store's lock is held. */
static int check_aliases(struct importing *i)
{
	json_auto_t *images = NULL;
	size_t k;
	json_t *alias;
	int r = image_store_list(i->store, &images);

	if (r < 0)
		return r;
	json_array_foreach (i->what->aliases, k, alias) {
		const char *holder = image_store_alias_holder(images, json_string_value(alias));

		if (holder)
			return buf_printf(
				       i->error,
				       "the image %.12s has the alias \"%s\"; see devlxdfs image alias delete",
				       holder, json_string_value(alias))
				       ?: IMAGE_IMPORT_E_REFUSED;
	}
	return 0;
}

static int begin(struct importing *i)
{
	_cleanup_(closep) int lock_fd = image_store_lock(i->store);
	int r = lock_fd < 0 ? lock_fd : check_aliases(i);

	return r == 0 ? image_staging_new(i->store, &i->staging) : r;
}

static int store_part(struct importing *i, struct part *p)
{
	_cleanup_(ownership_return) struct ownership o = ownership_take(i->staging.fd);
	int r;

	p->fd = openat(i->staging.fd, p->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (p->fd < 0 || fchmod(p->fd, 0640) < 0)
		return -errno;
	r = image_copy(p->from_fd, p->fd, p->size, i->what->watch);
	if (r == -ESTALE)
		return refuse(i, "it was changed while it was read");
	if (r == 0 && fsync(p->fd) < 0)
		r = -errno;
	return r;
}

static int read_metadata(struct importing *i, const struct part *p)
{
	_cleanup_(image_archive_finish) struct image_archive a = {0};
	bool is_unified = i->n_parts == 1;
	int r = image_archive_read(p->fd, p->type, p->size, is_unified, i->what->watch, &a,
				   i->error);

	if (r < 0)
		return judged(r);
	if (!a.has_metadata)
		return refuse(i, "it is no image: there is no metadata.yaml in it");
	if (is_unified && !a.has_rootfs && !a.has_disk)
		return refuse(i, "there is no root file system in it; name that after it");
	i->has_disk = a.has_disk;
	return judged(
		image_metadata_parse(a.metadata.data, a.metadata.len, &i->metadata, i->error));
}

static int take_parts(struct importing *i)
{
	for (i->current = 0; i->current < i->n_parts; i->current++) {
		struct part *p = &i->parts[i->current];
		int r = store_part(i, p);

		if (r == 0 && i->current == 0)
			r = read_metadata(i, p);
		if (r == 0)
			r = judged(image_whole_check(p->fd, p->type, p->size, i->what->watch,
						     i->error));
		if (r != 0)
			return r;
	}
	return 0;
}

static int64_t nanoseconds(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* NULL = no memory. */
static json_t *describe_parts(const struct importing *i)
{
	json_auto_t *parts = json_array();

	for (size_t k = 0; k < i->n_parts; k++) {
		const struct part *p = &i->parts[k];
		struct stat st;

		if (fstat(p->fd, &st) < 0 ||
		    json_array_append_new(
			    parts, json_pack("{s:s, s:s, s:I, s:I}", "name", p->name, "suffix",
					     p->type->suffix, "size", (json_int_t)p->size,
					     "mtime_ns", (json_int_t)nanoseconds(st.st_mtim))) < 0)
			return NULL;
	}
	return steal_ptr(&parts);
}

static json_t *describe(const struct importing *i, const char *fingerprint)
{
	const struct part *last = &i->parts[i->n_parts - 1];
	bool is_vm = i->what->is_vm || i->has_disk || last->type->form == IMAGE_FORM_QCOW2;
	json_auto_t *image = NULL;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	image = json_pack("{s:s, s:s, s:b, s:b, s:O, s:o, s:I}", "fingerprint", fingerprint, "type",
			  is_vm ? "virtual-machine" : "container", "public", i->what->is_public,
			  "cached", i->what->is_cached, "aliases", i->what->aliases, "parts",
			  describe_parts(i), "imported_ns", (json_int_t)nanoseconds(now));
	return image && json_object_update(image, i->metadata) == 0 ? steal_ptr(&image) : NULL;
}

static int hash(const struct importing *i, char ret[IMAGE_FINGERPRINT_LEN + 1])
{
	int fds[IMAGE_PARTS_MAX];
	uint64_t total = 0;

	for (size_t k = 0; k < i->n_parts; k++) {
		fds[k] = i->parts[k].fd;
		total += i->parts[k].size;
	}
	return image_hash(fds, i->n_parts, total, i->what->watch, ret);
}

static int commit(struct importing *i, const char *fingerprint, json_t *image)
{
	_cleanup_(closep) int lock_fd = image_store_lock(i->store);
	int r = lock_fd < 0 ? lock_fd : check_aliases(i);

	if (r == 0)
		r = image_store_write(i->store, i->staging.name, image, i->error);
	if (r == IMAGE_STORE_E_INVALID)
		return IMAGE_IMPORT_E_REFUSED;
	if (r == 0)
		r = image_staging_commit(&i->staging, fingerprint);
	if (r == -EEXIST)
		return buf_printf(i->error, "it is there already: %.12s", fingerprint)
			       ?: IMAGE_IMPORT_E_REFUSED;
	return r;
}

static int run(struct importing *i, json_t **ret)
{
	char fingerprint[IMAGE_FINGERPRINT_LEN + 1];
	json_auto_t *image = NULL;
	int r = open_sources(i);

	if (r == 0)
		r = begin(i);
	if (r == 0)
		r = take_parts(i);
	if (r == 0)
		r = hash(i, fingerprint);
	if (r == 0)
		r = (image = describe(i, fingerprint)) ? 0 : -ENOMEM;
	if (r == 0)
		r = commit(i, fingerprint, image);
	if (r == 0)
		*ret = steal_ptr(&image);
	return r;
}

int image_import(struct image_store *s, const struct image_import *what, json_t **ret,
		 size_t *ret_part, struct buf *error)
{
	_cleanup_(importing_finish) struct importing i = {
		.store = s,
		.what = what,
		.staging.fd = -1,
		.parts = {{.from_fd = -1, .fd = -1}, {.from_fd = -1, .fd = -1}},
		.n_parts = what->n_paths,
		.error = error,
	};
	int r = run(&i, ret);

	*ret_part = i.current < i.n_parts ? i.current : IMAGE_PARTS_MAX;
	return r;
}
