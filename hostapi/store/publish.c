/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting records into force
 *
 * An instance-id is as old as its inputs: while they stay the same in memory
 * no file is asked. Failing to keep an id is trouble for the next start of the
 * daemon only, so it is said and survived.
 */
#include "store/publish.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/log.h"
#include "core/cgroup.h"
#include "core/diff.h"
#include "core/lock.h"
#include "core/snapshot.h"
#include "core/table.h"
#include "store/volatile.h"

int publish_init(struct publisher *p, const struct store_options *options)
{
	*p = (struct publisher){
		.registry = options->registry,
		.identity = options->identity,
		.observer = options->observer,
		.observer_ctx = options->observer_ctx,
		.is_trial = options->is_trial,
		.state_dir = strdup(options->state_dir),
	};
	if (options->listener)
		p->listener = *options->listener;
	pthread_mutex_init(&p->lock, NULL);
	return p->state_dir ? 0 : -ENOMEM;
}

void publish_finish(struct publisher *p)
{
	pthread_mutex_destroy(&p->lock);
	free(p->state_dir);
}

/* Opens STATE/volatile, made if missing. Returns the descriptor or -errno. */
static int open_volatile(const struct publisher *p)
{
	_cleanup_(freep) char *path = NULL;
	int fd, r;

	if (asprintf(&path, "%s/volatile", p->state_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	r = file_mkdirs(p->state_dir, 0700);
	if (r == 0)
		r = file_mkdirs(path, 0700);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void say_trouble(struct publisher *p, int error)
{
	if (error == 0 || p->in_trouble) {
		p->in_trouble = error != 0;
		return;
	}
	p->in_trouble = true;
	log_full(LOG_LEVEL_ERROR, LOG_EVENT_STORE_TROUBLE, NULL,
		 "%s/volatile: cannot be used: %s; instance-ids are kept until the daemon ends",
		 p->state_dir, strerror(-error));
}

/* Reads what is kept of @name; nothing, when that cannot be used. Returns 0 or -errno. */
static int load_kept(int fd, const char *name, struct volatile_state *ret)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = volatile_load(fd, name, ret, &error);

	if (r != -EINVAL)
		return r == -ENOENT ? 0 : r;
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_STORE_TROUBLE, name,
		 "volatile/%s.json: %s; beginning it anew with a new instance-id", name,
		 error.data);
	return 0;
}

/*
 * What is kept of the snapshot's instance in the directory @fd (-1: nothing), with an instance-id that is good for
 * its inputs, a new one if need be. Returns 0 or -errno.
 */
static int kept_for(int fd, const struct snapshot *s, struct volatile_state *v, bool *ret_is_new)
{
	char inputs[sizeof(v->inputs)];
	int r = volatile_inputs(s, inputs);

	if (r == 0 && fd >= 0)
		r = load_kept(fd, snapshot_name(s), v);
	if (r < 0)
		return r;
	*ret_is_new = !*v->instance_id || !streq(v->inputs, inputs);
	memcpy(v->inputs, inputs, sizeof(inputs));
	return *ret_is_new ? volatile_new_id(v->instance_id) : 0;
}

static const char *pinned_id(const struct record *r)
{
	const char *id = table_get(r->config, "volatile.cloud-init.instance-id", NULL);

	return id && *id ? id : NULL;
}

/* The current instance-id, when it is still good for @draft. */
static const char *unchanged_id(const struct snapshot *current, const struct snapshot *draft)
{
	char a[65], b[65];

	if (!current || pinned_id(snapshot_record(current)) || volatile_inputs(current, a) < 0 ||
	    volatile_inputs(draft, b) < 0 || !streq(a, b))
		return NULL;
	return snapshot_instance_id(current);
}

/* Restores the binding, if its cgroup is still that one. Whether it had to be dropped. */
static bool restore_binding(struct publisher *p, const char *name, struct volatile_state *v)
{
	_cleanup_(closep) int root_fd = -1;
	uint64_t id;

	if (!v->binding_path)
		return false;
	root_fd = cgroup_open_root(NULL);
	if (root_fd >= 0 && cgroup_id(root_fd, v->binding_path, &id) == 0 && id == v->binding_id)
		return registry_bind(p->registry, name, v->binding_path, id) < 0;
	free(steal_ptr(&v->binding_path));
	return true;
}

static void restore(struct publisher *p, int fd, const char *name, struct volatile_state *v)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(p->registry, name);

	if (i && v->ready)
		instance_set_ready(i, &v->ready_boot, true);
	if (restore_binding(p, name, v) && fd >= 0)
		(void)volatile_save(fd, name, v); /* it would only be dropped again */
}

static const char *change_kind_name(enum change_kind kind)
{
	return kind == CHANGE_CONFIG ? "config" : "device";
}

static const char *change_action_name(enum change_action action)
{
	switch (action) {
	case CHANGE_ADDED:
		return "added";
	case CHANGE_UPDATED:
		return "updated";
	default:
		return "removed";
	}
}

/* Tells of the difference and frees it. */
static size_t tell(struct publisher *p, const char *name, struct diff *d)
{
	size_t n = d->n_changes;

	for (size_t i = 0; p->changes && i < n; i++) {
		const struct change *c = &d->changes[i];

		json_array_append_new(p->changes,
				      json_pack("{s:s, s:s, s:s, s:s}", "instance", name, "kind",
						change_kind_name(c->kind), "action",
						change_action_name(c->action), "name", c->name));
	}
	if (p->observer)
		p->observer(p->observer_ctx, d);
	diff_free(d);
	return n;
}

/* Publishes @record with the id @id. */
static int publish(struct publisher *p, struct record *record, struct record *const *profiles,
		   size_t n_profiles, const char *id, struct diff **ret)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		snapshot_new(record, profiles, n_profiles, id);

	return s ? registry_publish(p->registry, s, ret) : -ENOMEM;
}

/* An instance that appears, or whose inputs changed: volatile/ has a say. */
static int publish_with_kept(struct publisher *p, struct record *record,
			     struct record *const *profiles, size_t n_profiles,
			     const struct snapshot *draft, bool appears, struct diff **ret)
{
	LOCK_HOLD(&p->lock);
	_cleanup_(volatile_finish) struct volatile_state v = {0};
	_cleanup_(closep) int fd = open_volatile(p);
	const char *pinned = pinned_id(record);
	bool is_new = false;
	int r = kept_for(fd, draft, &v, &is_new), error = fd < 0 ? fd : 0;

	if (r < 0)
		return r;
	r = publish(p, record, profiles, n_profiles, pinned ?: v.instance_id, ret);
	if (r < 0)
		return r;
	/* A pinned id leaves the kept one alone, for when it is pinned no more. */
	if (is_new && !pinned && fd >= 0 && !p->is_trial)
		error = volatile_save(fd, record->name, &v);
	say_trouble(p, error);
	if (appears && !p->is_trial)
		restore(p, fd, record->name, &v);
	return 0;
}

int publish_record(struct publisher *p, struct record *record, struct record *const *profiles,
		   size_t n_profiles, size_t *ret_n_changes)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(p->registry, record->name);
	_cleanup_(snapshot_unrefp) struct snapshot *current = i ? instance_snapshot(i) : NULL;
	_cleanup_(snapshot_unrefp) struct snapshot *draft =
		snapshot_new(record, profiles, n_profiles, "");
	struct diff *d = NULL;
	const char *id;
	int r;

	if (!draft)
		return -ENOMEM;
	id = current && pinned_id(record) ? pinned_id(record) : unchanged_id(current, draft);
	if (id)
		r = publish(p, record, profiles, n_profiles, id, &d);
	else
		r = publish_with_kept(p, record, profiles, n_profiles, draft, !current, &d);
	if (r == 0)
		*ret_n_changes = tell(p, record->name, d);
	return r;
}

/* Changes what is kept of @i: @edit does it and returns whether there is something to save. */
static int update_kept(struct publisher *p, struct instance *i,
		       bool (*edit)(struct volatile_state *v, void *arg), void *arg)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);
	_cleanup_(volatile_finish) struct volatile_state v = {0};
	_cleanup_(closep) int fd = open_volatile(p);
	bool is_new;
	int r = fd < 0 ? fd : 0;

	if (!s)
		return STORE_E_NOT_FOUND;
	if (r == 0)
		r = kept_for(fd, s, &v, &is_new);
	if (r < 0 || !edit(&v, arg))
		return r;
	/* Lost since it was published, or never kept: the guest knows the published one. */
	if (is_new && !pinned_id(snapshot_record(s)))
		snprintf(v.instance_id, sizeof(v.instance_id), "%s", snapshot_instance_id(s));
	return volatile_save(fd, snapshot_name(s), &v);
}

static bool edit_ready(struct volatile_state *v, void *arg)
{
	v->ready = true;
	v->ready_boot = *(const struct boot *)arg;
	return true;
}

static bool edit_unready(struct volatile_state *v, void *arg)
{
	bool was_ready = v->ready && boot_equal(&v->ready_boot, arg);

	if (was_ready)
		v->ready = false;
	return was_ready;
}

/* Publishes and keeps whether the run is ready, the listener not being told. */
static int set_ready(struct publisher *p, struct instance *i, const struct boot *boot, bool ready)
{
	struct boot run = *boot;
	LOCK_HOLD(&p->lock);
	int r;

	if (instance_is_ready(i, boot) == ready || !boot_equal(boot, boot))
		return 0; /* a run that is not known is nobody's */
	r = update_kept(p, i, ready ? edit_ready : edit_unready, &run);
	if (r == 0)
		instance_set_ready(i, boot, ready);
	return r;
}

int publish_ready(struct publisher *p, struct instance *i, const struct boot *boot, bool ready)
{
	int r = set_ready(p, i, boot, ready);

	if (r == 0 && ready && p->listener.ready && instance_is_ready(i, boot))
		p->listener.ready(p->observer_ctx, instance_name(i));
	return r;
}

void publish_rejection(const struct publisher *p, const char *name, const char *reason)
{
	if (p->listener.rejected)
		p->listener.rejected(p->observer_ctx, name, reason);
}

/* A run that nobody sees end is over with the record: one that comes back is not Ready. */
static void end_run_by_mount(struct publisher *p, const char *name)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(p->registry, name);
	const struct boot boot = boot_by_mount();
	int r = i ? set_ready(p, i, &boot, false) : 0;

	if (r < 0) {
		LOCK_HOLD(&p->lock);

		instance_set_ready(i, &boot, false);
		say_trouble(p, r);
	}
}

int publish_withdraw(struct publisher *p, const char *name)
{
	struct diff *d = NULL;
	int r;

	end_run_by_mount(p, name);
	r = registry_withdraw(p->registry, name, &d);
	if (r == 0)
		tell(p, name, d);
	return r == -ENOENT ? 0 : r;
}

struct binding {
	char *path; /* NULL: none */
	uint64_t id;
};

static bool edit_binding(struct volatile_state *v, void *arg)
{
	struct binding *b = arg;

	free(v->binding_path);
	v->binding_path = steal_ptr(&b->path);
	v->binding_id = b->id;
	return true;
}

/* Keeps and sets the binding. */
static int bind_to(struct publisher *p, struct instance *i, const char *path, uint64_t id)
{
	_cleanup_(freep) char *copy = strdup(path);
	struct binding b = {copy, id};
	LOCK_HOLD(&p->lock);
	int r;

	if (!copy)
		return -ENOMEM;
	r = update_kept(p, i, edit_binding, &b);
	copy = b.path; /* NULL when it was taken */
	if (r == 0)
		r = registry_bind(p->registry, instance_name(i), path, id);
	return r == -ENOENT ? STORE_E_NOT_FOUND : r;
}

static void tell_bound(const struct publisher *p, const char *name)
{
	if (p->listener.bound)
		p->listener.bound(p->observer_ctx, name);
}

/* From the cgroup of a process, at @path, to @top. Returns 0, -EXDEV, or -errno. */
static int go_up(char path[CGROUP_PATH_MAX], const char *top, uint64_t *ret_id)
{
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);

	while (!streq(path, top))
		if (!cgroup_parent(path) || streq(path, "/"))
			return -EXDEV;
	return root_fd < 0 ? root_fd : cgroup_id(root_fd, path, ret_id);
}

int publish_bind(struct publisher *p, const char *name, pid_t pid, const char *top)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(p->registry, name);
	_cleanup_(freep) char *path = malloc(CGROUP_PATH_MAX);
	uint64_t id;
	int r;

	if (!i)
		return STORE_E_NOT_FOUND;
	if (!path)
		return -ENOMEM;
	r = identity_cgroup_of(p->identity, pid, path, &id);
	if (r == 0 && top)
		r = go_up(path, top, &id);
	if (r == 0)
		r = bind_to(p, i, path, id);
	if (r == 0)
		tell_bound(p, name);
	return r;
}

static int unbind(struct publisher *p, const char *name)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(p->registry, name);
	struct binding none = {0};
	LOCK_HOLD(&p->lock);
	int r;

	if (!i)
		return STORE_E_NOT_FOUND;
	r = update_kept(p, i, edit_binding, &none);
	return r == 0 ? registry_unbind(p->registry, name) : r;
}

int publish_unbind(struct publisher *p, const char *name)
{
	int r = unbind(p, name);

	if (r == 0)
		tell_bound(p, name);
	return r;
}
