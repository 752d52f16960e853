/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source whose instances show what the test says
 */
#include "fakes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/lock.h"

struct source_view {
	struct fake *fake;
	unsigned refs; /* under fake::lock */
	size_t n;
	struct fake_item items[];
};

struct source_images {
	struct fake *fake;
	unsigned refs; /* under fake::lock */
	size_t n;
	struct fake_file files[FAKE_FILES_MAX];
};

static char *copy_text(const char *text, size_t len)
{
	char *copy = text ? malloc(len + 1) : NULL;

	if (copy)
		*(char *)mempcpy(copy, text, len) = '\0';
	return copy;
}

static struct source_view *new_view(struct fake *f, const struct fake_item *items)
{
	struct source_view *v;
	size_t n = 0;

	while (items[n].kind != FAKE_END)
		n++;
	v = calloc(1, sizeof(*v) + n * sizeof(*items));
	if (!v)
		abort();
	v->fake = f;
	v->refs = 1;
	v->n = n;
	for (size_t i = 0; i < n; i++) {
		struct fake_item item = items[i];

		if (item.value && !item.len)
			item.len = strlen(item.value);
		item.key = copy_text(item.key, item.key ? strlen(item.key) : 0);
		item.device = copy_text(item.device, item.device ? strlen(item.device) : 0);
		item.value = copy_text(item.value, item.len);
		v->items[i] = item;
	}
	f->n_views++;
	return v;
}

/* With the lock held. */
static void drop_view(struct source_view *v)
{
	if (!v || --v->refs > 0)
		return;
	v->fake->n_views--;
	for (size_t i = 0; i < v->n; i++) {
		free((char *)v->items[i].key);
		free((char *)v->items[i].device);
		free((char *)v->items[i].value);
	}
	free(v);
}

static void view_unref(struct source_view *v)
{
	LOCK_HOLD(&v->fake->lock);

	drop_view(v);
}

static struct fake_instance *get(struct fake *f, const char *name)
{
	for (size_t i = 0; i < FAKES_MAX; i++) {
		struct fake_instance *at = &f->instances[i];

		if (!at->instance)
			at->instance = instance_new(name);
		if (streq(instance_name(at->instance), name))
			return at;
	}
	abort();
}

struct fake_instance *fake_get(struct fake *f, const char *name)
{
	LOCK_HOLD(&f->lock);

	return get(f, name);
}

static void set_view(struct fake *f, const char *name, struct source_view *v, bool is_there)
{
	struct fake_instance *at = get(f, name);

	drop_view(at->view);
	at->view = v;
	at->is_there = is_there;
}

void fake_show(struct fake *f, const char *name, const struct fake_item *items)
{
	LOCK_HOLD(&f->lock);

	set_view(f, name, new_view(f, items), true);
}

void fake_hide(struct fake *f, const char *name)
{
	LOCK_HOLD(&f->lock);

	set_view(f, name, NULL, true);
}

void fake_remove(struct fake *f, const char *name)
{
	LOCK_HOLD(&f->lock);

	set_view(f, name, NULL, false);
}

static struct instance *find(void *ctx, const char *name)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	for (size_t i = 0; i < FAKES_MAX && f->instances[i].instance; i++) {
		struct fake_instance *at = &f->instances[i];

		if (at->is_there && streq(instance_name(at->instance), name))
			return instance_ref(at->instance);
	}
	return NULL;
}

static struct instance *remember(void *ctx, const char *name)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	return instance_ref(get(f, name)->instance);
}

static int each(void *ctx, source_each each_name, void *arg)
{
	struct fake *f = ctx;
	int r = 0;

	for (size_t i = 0; i < FAKES_MAX && r == 0; i++)
		if (f->instances[i].instance && f->instances[i].is_there)
			r = each_name(arg, instance_name(f->instances[i].instance), true);
	return r;
}

/* With the lock held. */
static struct fake_instance *of(struct fake *f, const struct instance *i)
{
	for (size_t n = 0; n < FAKES_MAX; n++)
		if (f->instances[n].instance == i)
			return &f->instances[n];
	abort();
}

static struct source_view *view(void *ctx, struct instance *i)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);
	struct source_view *v = of(f, i)->view;

	if (v)
		v->refs++;
	return v;
}

static int each_key(struct source_view *v, source_each each_name, void *arg)
{
	int r = 0;

	for (size_t i = 0; i < v->n && r == 0; i++)
		if (v->items[i].kind == FAKE_KEY || v->items[i].kind == FAKE_UNLISTED)
			r = each_name(arg, v->items[i].key, v->items[i].kind == FAKE_KEY);
	return r;
}

/* Items of one device stand together. */
static int each_device(struct source_view *v, source_each each_name, void *arg)
{
	const char *last = "";
	int r = 0;

	for (size_t i = 0; i < v->n && r == 0; i++) {
		if (v->items[i].kind != FAKE_DEVICE || streq(v->items[i].device, last))
			continue;
		last = v->items[i].device;
		r = each_name(arg, last, true);
	}
	return r;
}

static int each_device_key(struct source_view *v, const char *device, source_each each_name,
			   void *arg)
{
	int r = 0;

	for (size_t i = 0; i < v->n && r == 0; i++)
		if (v->items[i].kind == FAKE_DEVICE && v->items[i].key &&
		    streq(v->items[i].device, device))
			r = each_name(arg, v->items[i].key, true);
	return r;
}

static int give(const struct fake_item *item, struct source_bytes *ret)
{
	*ret = (struct source_bytes){.at = item->value, .len = item->len};
	return 0;
}

static int key(struct source_view *v, const char *name, struct source_bytes *ret)
{
	for (size_t i = 0; i < v->n; i++)
		if ((v->items[i].kind == FAKE_KEY || v->items[i].kind == FAKE_UNLISTED) &&
		    streq(v->items[i].key, name))
			return give(&v->items[i], ret);
	return SOURCE_E_ABSENT;
}

static int device_key(struct source_view *v, const char *device, const char *name,
		      struct source_bytes *ret)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].kind == FAKE_DEVICE && v->items[i].key &&
		    streq(v->items[i].device, device) && streq(v->items[i].key, name))
			return give(&v->items[i], ret);
	return SOURCE_E_ABSENT;
}

static int text(void *ctx, struct source_view *v, enum source_text which, struct source_bytes *ret)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].kind == FAKE_TEXT && v->items[i].which == which)
			return give(&v->items[i], ret);
	return SOURCE_E_ABSENT;
}

static struct timespec written(const struct source_view *v)
{
	return (struct timespec){1000, 5};
}

static bool has_socket(const struct source_view *v, bool *ret_is_own)
{
	for (size_t i = 0; i < v->n; i++) {
		*ret_is_own = v->items[i].kind == FAKE_OWN_SOCKET;
		if (*ret_is_own || v->items[i].kind == FAKE_SOCKET)
			return true;
	}
	return false;
}

static bool shows_images(const struct source_view *v, bool *ret_is_by_mount)
{
	for (size_t i = 0; i < v->n; i++) {
		*ret_is_by_mount = v->items[i].kind == FAKE_OWN_IMAGES;
		if (*ret_is_by_mount || v->items[i].kind == FAKE_IMAGES)
			return true;
	}
	return false;
}

static struct source_images *images(void *ctx)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	if (f->images) {
		f->images->refs++;
		f->n_images++;
	}
	return f->images;
}

/* With the lock held. */
static void drop_images(struct source_images *i)
{
	if (i && --i->refs == 0)
		free(i);
}

static void images_unref(struct source_images *i)
{
	struct fake *f = i ? i->fake : NULL;

	if (!f)
		return;
	LOCK_HOLD(&f->lock);
	f->n_images--;
	drop_images(i);
}

void fake_set_images(struct fake *f, const struct fake_file *files)
{
	LOCK_HOLD(&f->lock);

	drop_images(f->images);
	f->images = calloc(1, sizeof(*f->images));
	if (!f->images)
		abort();
	f->images->fake = f;
	f->images->refs = 1;
	for (size_t n = 0; files[n].fingerprint; n++)
		f->images->files[f->images->n++] = files[n];
}

static int each_image(struct source_images *i, source_each each_name, void *arg)
{
	int r = 0;

	for (size_t n = 0; n < i->n && r == 0; n++) {
		if (i->files[n].is_hidden)
			continue;
		r = each_name(arg, i->files[n].fingerprint, true);
		if (r == 0 && i->files[n].alias)
			r = each_name(arg, i->files[n].alias, true);
	}
	return r;
}

static const struct fake_file *find_file(const struct source_images *i, const char *image)
{
	for (size_t n = 0; n < i->n; n++)
		if (streq(i->files[n].fingerprint, image) ||
		    (i->files[n].alias && streq(i->files[n].alias, image)))
			return &i->files[n];
	return NULL;
}

static int each_image_file(struct source_images *i, const char *image, source_each each_name,
			   void *arg)
{
	const struct fake_file *file = find_file(i, image);

	return file ? each_name(arg, file->name, true) : 0;
}

static struct source_file describe(const struct fake_file *file)
{
	struct source_file ret = {.size = file->bytes ? strlen(file->bytes) : 1,
				  .mtime_ns = file->mtime_ns};

	snprintf(ret.fingerprint, sizeof(ret.fingerprint), "%s", file->fingerprint);
	return ret;
}

static bool image_file(struct source_images *i, const char *image, const char *name,
		       struct source_file *ret)
{
	const struct fake_file *file = find_file(i, image);

	if (!file || !streq(file->name, name))
		return false;
	*ret = describe(file);
	return true;
}

static int each_file(struct source_images *i, source_each_file each_one, void *arg)
{
	int r = 0;

	for (size_t n = 0; n < i->n && r == 0; n++) {
		const struct source_file file = describe(&i->files[n]);

		r = each_one(arg, &file);
	}
	return r;
}

static int check_file(void *ctx, const struct source_caller *caller, const struct source_file *file)
{
	const struct fake *f = ctx;
	const struct fake_file *found = find_file(f->images, file->fingerprint);

	if (caller->tid == FAKE_STRANGER)
		return SOURCE_E_DENIED;
	if (!found || (found->is_hidden && caller->tid != FAKE_HOST))
		return SOURCE_E_ABSENT;
	return caller->tid == FAKE_HOST ? SOURCE_E_HOST : 0;
}

/* A file of its own each time, with the bytes of now and the time that was known. */
static int open_file(void *ctx, const struct source_file *file)
{
	const struct fake *f = ctx;
	const struct fake_file *found = find_file(f->images, file->fingerprint);
	const struct timespec times[] = {
		{0, UTIME_OMIT}, {file->mtime_ns / 1000000000, file->mtime_ns % 1000000000}};
	int fd;

	if (!found || !found->bytes)
		return -ESTALE;
	fd = memfd_create("image", MFD_CLOEXEC);
	if (fd < 0 || write(fd, found->bytes, strlen(found->bytes)) < 0 || futimens(fd, times) < 0)
		abort();
	return fd;
}

static int check(void *ctx, struct instance *i, const struct source_caller *caller,
		 uint64_t *ret_run)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	*ret_run = of(f, i)->run;
	if (caller->tid == FAKE_STRANGER)
		return SOURCE_E_DENIED;
	return caller->tid == FAKE_HOST ? SOURCE_E_HOST : 0;
}

static bool is_host(void *ctx, const struct source_caller *caller)
{
	return caller->tid == FAKE_HOST;
}

static void refresh_owner(void *ctx, struct instance *i, struct source_owner *owner, bool anew)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	if (of(f, i)->owner.is_known)
		*owner = of(f, i)->owner;
}

static struct source_ids *ids(void *ctx, struct instance *i)
{
	return NULL;
}

static void free_ids(struct source_ids *i)
{
}

static bool rule(const struct source_view *v, const struct source_ids *i,
		 const struct source_owner *owner, const char *path, mode_t *ret_mode,
		 uid_t *ret_uid, gid_t *ret_gid)
{
	for (size_t n = 0; n < v->n; n++) {
		const struct fake_item *item = &v->items[n];

		if (item->kind != FAKE_RULE || !streq(item->key, path))
			continue;
		*ret_mode = item->mode;
		*ret_uid = *ret_gid = item->id;
		return true;
	}
	return false;
}

static const char *state(void *ctx, struct instance *i)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	return of(f, i)->is_ready ? "Ready" : "Started";
}

static int set_state(void *ctx, struct instance *i, bool ready)
{
	struct fake *f = ctx;
	LOCK_HOLD(&f->lock);

	of(f, i)->is_ready = ready;
	return 0;
}

void fake_init(struct fake *f)
{
	static const struct source_ops ops = {
		.find = find,
		.remember = remember,
		.each = each,
		.view = view,
		.view_unref = view_unref,
		.each_key = each_key,
		.each_device = each_device,
		.each_device_key = each_device_key,
		.key = key,
		.device_key = device_key,
		.text = text,
		.written = written,
		.has_socket = has_socket,
		.shows_images = shows_images,
		.images = images,
		.images_unref = images_unref,
		.each_image = each_image,
		.each_image_file = each_image_file,
		.image_file = image_file,
		.each_file = each_file,
		.check_file = check_file,
		.open_file = open_file,
		.check = check,
		.is_host = is_host,
		.refresh_owner = refresh_owner,
		.ids = ids,
		.free_ids = free_ids,
		.rule = rule,
		.state = state,
		.set_state = set_state,
	};

	*f = (struct fake){.source = {&ops, f}, .lock = PTHREAD_MUTEX_INITIALIZER};
}

int fake_finish(struct fake *f)
{
	for (size_t i = 0; i < FAKES_MAX; i++) {
		drop_view(f->instances[i].view);
		instance_unref(f->instances[i].instance);
	}
	drop_images(f->images);
	pthread_mutex_destroy(&f->lock);
	return f->n_views == 0 && f->n_images == 0 ? 0 : -1;
}
