/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image files: the nodes that all instances share, and their bytes
 *
 * Two tables under one lock: all files as they stand, by id, made again when the source has other images; and those that are in use. Reading
 * goes on without the lock.
 */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "imagefiles.h"

#include <pthread.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/log.h"
#include "core/lock.h"
#include "shared.h"
#include "tree.h"

#define DESCRIPTORS_MAX 64
/* As many as threads read at a time, at most. */
#define MEMORY_MAX 4

struct known {
	uint64_t id;
	struct source_file file;
};

/* A file in use: open somewhere, or its descriptor kept. */
struct used {
	uint64_t id;
	struct source_file file;
	int fd; /* -1: not kept */
	unsigned n_open;
	unsigned n_reading; /* the descriptor is being read from */
	struct used *prev, *next;
};

struct imagefiles {
	struct imagefiles_options options;
	pthread_mutex_t deciding; /* how a file is read; taken before the other, never after it */
	pthread_mutex_t lock;     /* of all below */
	struct source_images *images; /* that all are of; NULL: there are none */
	struct known *all;            /* sorted by id */
	size_t n, size;
	struct used *used; /* longest unused first */
	unsigned n_fds;
	void *memory[MEMORY_MAX];
	unsigned n_memory;
	struct log_limit log;
};

struct imagefiles *imagefiles_new(const struct imagefiles_options *options)
{
	struct imagefiles *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->options = *options;
	pthread_mutex_init(&f->deciding, NULL);
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

static void close_used(struct imagefiles *f, struct used *u)
{
	if (u->fd < 0)
		return;
	closep(&u->fd);
	u->fd = -1;
	f->n_fds--;
}

static void forget(struct imagefiles *f, struct used *u)
{
	DL_DELETE(f->used, u);
	close_used(f, u);
	free(u);
}

struct imagefiles *imagefiles_free(struct imagefiles *f)
{
	if (!f)
		return NULL;
	while (f->used)
		forget(f, f->used);
	while (f->n_memory > 0)
		free(f->memory[--f->n_memory]);
	f->options.source->ops->images_unref(f->images);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->deciding);
	free(f->all);
	free(f);
	return NULL;
}

uint64_t imagefiles_id(const struct source_file *file, const unsigned char *secret)
{
	struct {
		char fingerprint[SOURCE_FINGERPRINT_LEN];
		uint64_t part, size;
		int64_t mtime_ns;
	} all = {.part = file->part, .size = file->size, .mtime_ns = file->mtime_ns};

	memcpy(all.fingerprint, file->fingerprint, sizeof(all.fingerprint));
	return XXH3_64bits_withSecret(&all, sizeof(all), secret, SHARED_SECRET_SIZE) |
	       TREE_FILE_BIT;
}

static int add_known(void *arg, const struct source_file *file)
{
	struct imagefiles *f = arg;

	if (f->n == f->size) {
		size_t size = f->size ? f->size * 2 : 16;
		struct known *more = reallocarray(f->all, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		f->all = more;
		f->size = size;
	}
	f->all[f->n++] = (struct known){imagefiles_id(file, f->options.shared->secret), *file};
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct known *)a)->id, y = ((const struct known *)b)->id;

	return (x > y) - (x < y);
}

static const struct known *find_known(const struct imagefiles *f, uint64_t id)
{
	const struct known key = {.id = id};

	return f->n ? bsearch(&key, f->all, f->n, sizeof(key), compare) : NULL;
}

static struct used *find_used(const struct imagefiles *f, uint64_t id)
{
	struct used *u;

	DL_FOREACH (f->used, u)
		if (u->id == id)
			return u;
	return NULL;
}

static bool is_open(const struct imagefiles *f, uint64_t id)
{
	const struct used *u = find_used(f, id);

	return u && (u->n_open > 0 || u->n_reading > 0);
}

/* If it is gone and nobody is known to have it open, it need not be read in the same way again. */
static void let_go_of_backing(struct imagefiles *f, struct shared_backing *b)
{
	uint64_t id = b->node;

	if (id == 0 || find_known(f, id) || is_open(f, id))
		return;
	if (b->id > 0)
		f->options.close_backing(f->options.ctx, id);
	b->id = 0;
	b->node = 0;
}

/* Those that cannot be found any more, and that nobody is known to have open. */
static void drop_gone(struct imagefiles *f)
{
	struct used *u, *next;

	for (size_t i = 0; i < SHARED_BACKINGS_MAX; i++)
		let_go_of_backing(f, &f->options.shared->backings[i]);
	DL_FOREACH_SAFE (f->used, u, next)
		if (u->n_open == 0 && u->n_reading == 0 && !find_known(f, u->id))
			forget(f, u);
}

/* With the lock held: has all files known as they stand. Returns 0 or -ENOMEM. */
static int refresh(struct imagefiles *f)
{
	const struct source_ops *ops = f->options.source->ops;
	struct source_images *images = ops->images(f->options.source->ctx);
	int r = 0;

	if (images == f->images) {
		ops->images_unref(images);
		return 0;
	}
	ops->images_unref(f->images);
	f->images = NULL;
	f->n = 0;
	if (images)
		r = ops->each_file(images, add_known, f);
	if (r < 0) {
		ops->images_unref(images);
		return r;
	}
	if (f->n > 0)
		qsort(f->all, f->n, sizeof(*f->all), compare);
	f->images = images;
	drop_gone(f);
	return 0;
}

void imagefiles_settle(struct imagefiles *f)
{
	LOCK_HOLD(&f->lock);

	/* Without memory the next request does it. */
	(void)refresh(f);
}

int imagefiles_find(struct imagefiles *f, uint64_t id, struct source_file *ret)
{
	LOCK_HOLD(&f->lock);
	int r = refresh(f);
	const struct known *known = r == 0 ? find_known(f, id) : NULL;
	const struct used *used = r == 0 && !known ? find_used(f, id) : NULL;

	if (r < 0)
		return r;
	if (!known && !used)
		return -ESTALE;
	*ret = known ? known->file : used->file;
	return 0;
}

static void complain(struct imagefiles *f, const struct source_file *file)
{
	log_limited(&f->log, LOG_EVENT_NONE, NULL,
		    "image %.12s: a file of it is not what was imported, so guests cannot read it; "
		    "delete the image and import it again",
		    file->fingerprint);
}

/* Closes the descriptor that was unused for longest. */
static void make_room(struct imagefiles *f)
{
	struct used *u;

	DL_FOREACH (f->used, u)
		if (u->fd >= 0 && u->n_reading == 0)
			break;
	if (!u)
		return;
	if (u->n_open > 0)
		close_used(f, u);
	else
		forget(f, u);
}

/* The entry of @file with a descriptor, as the one used last; made if missing. Returns 0 or -errno. */
static int use(struct imagefiles *f, const struct source_file *file, struct used **ret)
{
	uint64_t id = imagefiles_id(file, f->options.shared->secret);
	struct used *u = find_used(f, id);
	int fd;

	if (!u || u->fd < 0) {
		fd = f->options.source->ops->open_file(f->options.source->ctx, file);
		if (fd < 0)
			return fd;
		if (f->n_fds >= DESCRIPTORS_MAX)
			make_room(f);
		/* Not the one above: making room may forget entries, but none without a descriptor. */
		if (!u) {
			u = calloc(1, sizeof(*u));
			if (!u) {
				closep(&fd);
				return -ENOMEM;
			}
			u->id = id;
			u->file = *file;
			DL_APPEND(f->used, u);
		}
		u->fd = fd;
		f->n_fds++;
	}
	DL_DELETE(f->used, u);
	DL_APPEND(f->used, u);
	*ret = u;
	return 0;
}

static bool is_as_imported(int fd, const struct source_file *file)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_size == file->size &&
	       (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == file->mtime_ns;
}

/* What the source says of a file that cannot be opened, in terms of who reads. */
static int error_of(struct imagefiles *f, const struct source_file *file, int r)
{
	if (r != -ESTALE && r != -ENOENT)
		return r;
	complain(f, file);
	return -EIO;
}

static struct shared_backing *find_backing(const struct imagefiles *f, uint64_t id)
{
	for (size_t i = 0; i < SHARED_BACKINGS_MAX; i++)
		if (f->options.shared->backings[i].node == id)
			return &f->options.shared->backings[i];
	return NULL;
}

/* How the node @id is read from now on: by the kernel itself if it can. Returns its number, or 0. */
static int32_t decide(struct imagefiles *f, uint64_t id, int fd)
{
	struct shared *shared = f->options.shared;
	struct shared_backing *b;
	LOCK_HOLD(&f->deciding);
	int r = -EOPNOTSUPP;

	b = find_backing(f, id);
	if (b)
		return b->id > 0 ? b->id : 0;
	b = shared->is_backing_over ? NULL : find_backing(f, 0);
	if (!b) {
		/* For good: a file that was opened without having a place must not get one while it is open. */
		shared->is_backing_over = true;
		return 0;
	}
	if (!shared->is_passthrough_off)
		r = f->options.open_backing(f->options.ctx, id, fd);
	if (r < 0)
		log_debug("images are read by the worker: %s", strerror(-r));
	/* Before anybody has it open; the keeper gives the same number to who asks again. */
	b->id = r > 0 ? r : -1;
	b->node = id;
	return r > 0 ? r : 0;
}

/* Has it counted as open and its descriptor held. Returns 0 or -errno. */
static int begin_opening(struct imagefiles *f, const struct source_file *file, struct used **ret)
{
	LOCK_HOLD(&f->lock);
	struct used *u;
	int r = use(f, file, &u);

	if (r < 0)
		return error_of(f, file, r);
	if (!is_as_imported(u->fd, file)) {
		complain(f, file);
		return -EIO;
	}
	u->n_open++;
	u->n_reading++;
	*ret = u;
	return 0;
}

static void end_reading(struct imagefiles *f, struct used *u)
{
	LOCK_HOLD(&f->lock);

	u->n_reading--;
	if (u->n_reading == 0 && u->n_open == 0 && !find_known(f, u->id))
		forget(f, u);
}

int imagefiles_open(struct imagefiles *f, const struct source_file *file, int32_t *ret_backing)
{
	struct used *u;
	int r = begin_opening(f, file, &u);

	if (r < 0)
		return r;
	if (ret_backing)
		*ret_backing = f->options.has_passthrough ? decide(f, u->id, u->fd) : 0;
	end_reading(f, u);
	return 0;
}

void imagefiles_close(struct imagefiles *f, uint64_t id)
{
	LOCK_HOLD(&f->lock);
	struct used *u = find_used(f, id);
	struct shared_backing *b;

	if (!u || u->n_open == 0 || --u->n_open > 0)
		return;
	if (u->n_reading == 0)
		forget(f, u);
	b = find_backing(f, id);
	if (b && refresh(f) == 0)
		let_go_of_backing(f, b);
}

unsigned imagefiles_count_backed(const struct imagefiles *f)
{
	unsigned n = 0;

	for (size_t i = 0; i < SHARED_BACKINGS_MAX; i++)
		n += f->options.shared->backings[i].id > 0;
	return n;
}

static int begin_reading(struct imagefiles *f, const struct source_file *file, struct used **ret)
{
	LOCK_HOLD(&f->lock);
	int r = use(f, file, ret);

	if (r == 0)
		(*ret)->n_reading++;
	return r < 0 ? error_of(f, file, r) : 0;
}

static ssize_t read_all(int fd, char *bytes, size_t n, off_t offset)
{
	size_t done = 0;
	ssize_t r = 1;

	while (done < n && r > 0) {
		r = pread(fd, bytes + done, n - done, offset + (off_t)done);
		if (r > 0)
			done += (size_t)r;
	}
	return r < 0 ? -errno : (ssize_t)done;
}

ssize_t imagefiles_read(struct imagefiles *f, const struct source_file *file, void *bytes, size_t n,
			off_t offset)
{
	struct used *u;
	ssize_t r = begin_reading(f, file, &u);

	if (r < 0)
		return r;
	r = read_all(u->fd, bytes, n, offset);
	/* After reading: who changes a file changes its time before its bytes. */
	if (r >= 0 && !is_as_imported(u->fd, file)) {
		complain(f, file);
		r = -EIO;
	}
	end_reading(f, u);
	return r;
}

void *imagefiles_take_memory(struct imagefiles *f)
{
	{
		LOCK_HOLD(&f->lock);

		if (f->n_memory > 0)
			return f->memory[--f->n_memory];
	}
	return malloc(IMAGEFILES_READ_MAX);
}

void imagefiles_give_memory(struct imagefiles *f, void *bytes)
{
	{
		LOCK_HOLD(&f->lock);

		if (f->n_memory < MEMORY_MAX) {
			f->memory[f->n_memory++] = bytes;
			return;
		}
	}
	free(bytes);
}
