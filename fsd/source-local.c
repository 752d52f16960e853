/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source that reads this host's own registry
 *
 * A view is a snapshot in which security.devlxd is on. Contents come from the functions that also answer on the
 * socket, callers from the same identity.
 */
#include "source-local.h"

#include "api/resources.h"
#include "core/identity.h"
#include "core/idmap.h"
#include "core/record.h"
#include "core/registry.h"
#include "core/snapshot.h"
#include "core/table.h"
#include "store/store.h"

static struct snapshot *snapshot_of(struct source_view *v)
{
	return (struct snapshot *)v;
}

static struct instance *find(void *ctx, const char *name)
{
	const struct source_local *l = ctx;
	_cleanup_(instance_unrefp) struct instance *i = registry_find(l->registry, name);
	_cleanup_(snapshot_unrefp) struct snapshot *s = i ? instance_snapshot(i) : NULL;

	return s ? steal_ptr(&i) : NULL;
}

static struct instance *remember(void *ctx, const char *name)
{
	const struct source_local *l = ctx;

	return registry_remember(l->registry, name);
}

static int each(void *ctx, source_each each_name, void *arg)
{
	const struct source_local *l = ctx;
	struct instance **list;
	size_t n;
	int r = registry_list(l->registry, &list, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++)
		r = each_name(arg, instance_name(list[i]), true);
	registry_list_free(list, n);
	return r;
}

struct source_view *source_local_view(struct snapshot *s)
{
	return snapshot_devlxd_is_on(s) ? (struct source_view *)snapshot_ref(s) : NULL;
}

static struct source_view *view(void *ctx, struct instance *i)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);

	return s ? source_local_view(s) : NULL;
}

static void view_unref(struct source_view *v)
{
	snapshot_unref(snapshot_of(v));
}

static int each_key(struct source_view *v, source_each each_name, void *arg)
{
	return config_each(snapshot_of(v), each_name, arg);
}

static int each_device(struct source_view *v, source_each each_name, void *arg)
{
	const struct table *config;
	const char *name = NULL;
	int r = 0;

	while (r == 0 && snapshot_device_next(snapshot_of(v), &name, &config))
		r = each_name(arg, name, true);
	return r;
}

/* The config of the device @name, NULL when it is empty or there is none. */
static const struct table *device_config(struct source_view *v, const char *name)
{
	const struct table *config = NULL;

	(void)snapshot_device(snapshot_of(v), name, &config);
	return config;
}

struct pair_names {
	source_each each;
	void *arg;
};

static int name_pair(void *ctx, const struct table_pair *pair)
{
	const struct pair_names *n = ctx;

	return pair->value_len > 0 ? n->each(n->arg, pair->key, true) : 0;
}

static int each_device_key(struct source_view *v, const char *device, source_each each_name,
			   void *arg)
{
	struct pair_names n = {each_name, arg};

	return devices_each_pair(snapshot_of(v), device, device_config(v, device), name_pair, &n);
}

static int key(struct source_view *v, const char *name, struct source_bytes *ret)
{
	enum outcome outcome;
	char *owned = NULL;
	const char *bytes;
	size_t len;
	int r = config_value(snapshot_of(v), name, &outcome, &bytes, &len, &owned);

	if (r < 0)
		return r;
	if (outcome != OUTCOME_OK)
		return SOURCE_E_ABSENT;
	*ret = (struct source_bytes){bytes, len, owned};
	return 0;
}

struct wanted_pair {
	const char *key;
	struct source_bytes *found;
};

static int take_pair(void *ctx, const struct table_pair *pair)
{
	const struct wanted_pair *w = ctx;

	if (!streq(pair->key, w->key))
		return 0;
	*w->found = (struct source_bytes){.at = pair->value, .len = pair->value_len};
	return 1;
}

static int device_key(struct source_view *v, const char *device, const char *name,
		      struct source_bytes *ret)
{
	struct wanted_pair w = {name, ret};
	int r = devices_each_pair(snapshot_of(v), device, device_config(v, device), take_pair, &w);

	return r > 0 ? 0 : SOURCE_E_ABSENT;
}

static int put_line(struct buf *b, const char *text)
{
	return buf_printf(b, "%s\n", text);
}

static int text(void *ctx, struct source_view *v, enum source_text which, struct source_bytes *ret)
{
	const struct source_local *l = ctx;
	const struct snapshot *s = snapshot_of(v);
	_cleanup_(buf_finish) struct buf b = {0};
	char *owned;
	size_t len;
	int r = -EINVAL;

	switch (which) {
	case SOURCE_META_DATA:
		r = metadata_text(s, &b);
		break;
	case SOURCE_DEVICES:
		r = devices_text(s, &b);
		break;
	case SOURCE_NAME:
		r = put_line(&b, snapshot_name(s));
		break;
	case SOURCE_TYPE:
		r = put_line(&b, instance_type_name(snapshot_record(s)->type));
		break;
	case SOURCE_LOCATION:
		r = put_line(&b, l->location);
		break;
	case _SOURCE_TEXT_N:
		break;
	}
	owned = r < 0 ? NULL : buf_steal(&b, &len);
	if (!owned)
		return r < 0 ? r : -ENOMEM;
	*ret = (struct source_bytes){owned, len, owned};
	return 0;
}

static struct timespec written(const struct source_view *v)
{
	return snapshot_written((const struct snapshot *)v);
}

static bool has_socket(const struct source_view *v, bool *ret_is_own)
{
	const struct snapshot *s = (const struct snapshot *)v;

	*ret_is_own = snapshot_record(s)->match_mount;
	return snapshot_socket_is_on(s);
}

static bool shows_images(const struct source_view *v, bool *ret_is_by_mount)
{
	const struct snapshot *s = (const struct snapshot *)v;

	*ret_is_by_mount = snapshot_record(s)->match_mount;
	return snapshot_images_are_on(s);
}

static struct source_images *all_images(void *ctx)
{
	struct source_local *l = ctx;

	return source_images_get(&l->images);
}

/* As the instance is shown now. Returns 0 or SOURCE_E_DENIED. */
static int may_have_images(struct instance *i)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);

	return s && snapshot_devlxd_is_on(s) && snapshot_images_are_on(s) ? 0 : SOURCE_E_DENIED;
}

static int check_file(void *ctx, const struct source_caller *caller, const struct source_file *file)
{
	const struct source_local *l = ctx;
	_cleanup_(instance_unrefp) struct instance *found = NULL;
	uint64_t run;
	int r = identity_thread(l->identity, caller->tid, caller->uid, &found, &run);

	if (r == IDENTITY_E_HOST)
		return source_images_has(l->images.images, file) ? SOURCE_E_HOST : SOURCE_E_ABSENT;
	if (r != 0)
		return r < 0 ? r : SOURCE_E_DENIED;
	r = may_have_images(found);
	if (r == 0 && !source_images_offers(l->images.images, file))
		r = SOURCE_E_ABSENT;
	if (r == 0)
		instance_account(found)->n_tree_requests++;
	return r;
}

static int open_file(void *ctx, const struct source_file *file)
{
	const struct source_local *l = ctx;

	return source_images_open(l->images.images, file);
}

/* Whoever holds the directory of such an instance is it. */
static bool is_by_mount(struct instance *i)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);

	return s && snapshot_record(s)->match_mount;
}

static bool is_host(void *ctx, const struct source_caller *caller)
{
	const struct source_local *l = ctx;
	_cleanup_(instance_unrefp) struct instance *found = NULL;
	uint64_t run;

	return identity_thread(l->identity, caller->tid, caller->uid, &found, &run) ==
	       IDENTITY_E_HOST;
}

static int check(void *ctx, struct instance *i, const struct source_caller *caller,
		 uint64_t *ret_run)
{
	const struct source_local *l = ctx;
	_cleanup_(instance_unrefp) struct instance *found = NULL;
	int r;

	*ret_run = 0;
	if (is_by_mount(i))
		return 0;
	r = identity_thread(l->identity, caller->tid, caller->uid, &found, ret_run);
	if (r < 0)
		return r;
	if (r == 0 && found == i)
		return 0;
	return r == IDENTITY_E_HOST ? SOURCE_E_HOST : SOURCE_E_DENIED;
}

static void set_run(struct source_owner *o, const struct boot *boot)
{
	o->run[0] = boot->cgroup_id;
	o->run[1] = boot->init_start;
	o->run[2] = (uint64_t)boot->init_pid;
}

/* Whether *owner is of the run that goes on, or holds for every run. */
static bool is_of_run(const struct source_local *l, struct instance *i,
		      const struct source_owner *owner)
{
	struct source_owner now = {0}, every = {0};
	struct boot boot;

	if (memcmp(owner->run, every.run, sizeof(every.run)) == 0)
		return true;
	if (!identity_boot(l->identity, i, &boot))
		return false;
	set_run(&now, &boot);
	return memcmp(owner->run, now.run, sizeof(now.run)) == 0;
}

static void refresh_owner(void *ctx, struct instance *i, struct source_owner *owner, bool anew)
{
	const struct source_local *l = ctx;
	_cleanup_(guest_ids_finish) struct guest_ids ids = {0};
	struct source_owner now = {.is_known = true};

	if (!anew && owner->is_known && is_of_run(l, i, owner))
		return;

	if (identity_guest_ids(l->identity, i, &ids) != 0 ||
	    !idmap_to_host(&ids.map.uid, 0, &now.uid) || !idmap_to_host(&ids.map.gid, 0, &now.gid))
		return;
	set_run(&now, &ids.boot);
	*owner = now;
}

/* The ids are a struct guest_ids. */
static struct source_ids *new_ids(void *ctx, struct instance *i)
{
	const struct source_local *l = ctx;
	struct guest_ids *ids = calloc(1, sizeof(*ids));

	if (ids && identity_guest_ids(l->identity, i, ids) == 0)
		return (struct source_ids *)ids;
	free(ids);
	return NULL;
}

static void free_ids(struct source_ids *ids)
{
	if (ids)
		guest_ids_finish((struct guest_ids *)ids);
	free(ids);
}

static bool rule(const struct source_view *v, const struct source_ids *ids,
		 const struct source_owner *owner, const char *path, mode_t *ret_mode,
		 uid_t *ret_uid, gid_t *ret_gid)
{
	const struct snapshot *s = (const struct snapshot *)v;
	const struct file_rule *found = record_file_rule(snapshot_record(s), path);
	const struct guest_ids *guest = (const struct guest_ids *)ids;

	if (!found)
		return false;
	/* An id that the guest does not have is nobody there: the guest's root owns it then. */
	*ret_mode = found->mode;
	if (!guest || !idmap_to_host(&guest->map.uid, found->uid, ret_uid))
		*ret_uid = owner->uid;
	if (!guest || !idmap_to_host(&guest->map.gid, found->gid, ret_gid))
		*ret_gid = owner->gid;
	return true;
}

static bool is_ready(const struct source_local *l, struct instance *i, struct boot *ret_boot)
{
	return identity_boot(l->identity, i, ret_boot) && instance_is_ready(i, ret_boot);
}

static const char *state(void *ctx, struct instance *i)
{
	struct boot boot;

	return is_ready(ctx, i, &boot) ? "Ready" : "Started";
}

static int set_state(void *ctx, struct instance *i, bool ready)
{
	const struct source_local *l = ctx;
	struct boot boot = {0};
	int r;

	if (!identity_boot(l->identity, i, &boot))
		return -ESRCH;
	r = store_set_ready(l->store, i, &boot, ready);
	return r == STORE_E_NOT_FOUND ? -EACCES : r;
}

const struct source_ops *source_local_ops(void)
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
		.images = all_images,
		.images_unref = source_images_unref,
		.each_image = source_images_each,
		.each_image_file = source_images_each_file_name,
		.image_file = source_images_file,
		.each_file = source_images_each_file,
		.check_file = check_file,
		.open_file = open_file,
		.is_host = is_host,
		.check = check,
		.refresh_owner = refresh_owner,
		.ids = new_ids,
		.free_ids = free_ids,
		.rule = rule,
		.state = state,
		.set_state = set_state,
	};

	return &ops;
}
