/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot: one instance as it stands, immutable and reference-counted
 *
 * Layers, strongest first: the instance's record, then its profiles from the
 * last to the first. Nothing is merged in memory: a lookup asks the layers in
 * turn, a walk merges their sorted tables as it goes. An empty value of a
 * stronger layer hides a weaker one's, as in LXD.
 */
#include "core/snapshot.h"

#include <assert.h>

#include "base/text.h"
#include "core/table.h"

struct snapshot {
	_Atomic unsigned refs;
	unsigned n_layers;
	const char *instance_id; /* behind the layers, in the same block */
	struct record *layers[];
};

struct snapshot *snapshot_new(struct record *record, struct record *const *profiles,
			      size_t n_profiles, const char *instance_id)
{
	size_t id_len = strnlen(instance_id, INSTANCE_ID_MAX);
	struct snapshot *s;
	size_t size;
	char *id;

	if (n_profiles >= UINT32_MAX ||
	    __builtin_mul_overflow(n_profiles + 1, sizeof(s->layers[0]), &size) ||
	    __builtin_add_overflow(size, sizeof(*s) + id_len + 1, &size))
		return NULL;
	s = malloc(size);
	if (!s)
		return NULL;
	s->refs = 1;
	s->n_layers = n_profiles + 1;
	s->layers[0] = record_ref(record);
	for (size_t i = 0; i < n_profiles; i++)
		s->layers[n_profiles - i] = record_ref(profiles[i]);
	id = (char *)&s->layers[s->n_layers];
	memcpy(id, instance_id, id_len);
	id[id_len] = '\0';
	s->instance_id = id;
	return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	if (s)
		s->refs++;
	return s;
}

struct snapshot *snapshot_unref(struct snapshot *s)
{
	if (!s)
		return NULL;
	assert(s->refs > 0);
	if (--s->refs > 0)
		return NULL;
	for (size_t i = 0; i < s->n_layers; i++)
		record_unref(s->layers[i]);
	free(s);
	return NULL;
}

const struct record *snapshot_record(const struct snapshot *s)
{
	return s->layers[0];
}

size_t snapshot_n_profiles(const struct snapshot *s)
{
	return s->n_layers - 1;
}

struct record *snapshot_profile(const struct snapshot *s, size_t i)
{
	assert(i < snapshot_n_profiles(s));
	return s->layers[s->n_layers - 1 - i];
}

const char *snapshot_name(const struct snapshot *s)
{
	return s->layers[0]->name;
}

const char *snapshot_hostname(const struct snapshot *s)
{
	return s->layers[0]->hostname ?: s->layers[0]->name;
}

const char *snapshot_instance_id(const struct snapshot *s)
{
	return s->instance_id;
}

const char *snapshot_config(const struct snapshot *s, const char *key, size_t *ret_len)
{
	const char *value = NULL;

	for (size_t i = 0; !value && i < s->n_layers; i++)
		value = table_get(s->layers[i]->config, key, ret_len);
	return value;
}

int snapshot_config_bool(const struct snapshot *s, const char *key)
{
	size_t len;
	const char *value = snapshot_config(s, key, &len);

	/* "true\0..." is no word: a value may hold NUL. */
	return value && strlen(value) == len ? text_to_bool(value) : -1;
}

bool snapshot_devlxd_is_on(const struct snapshot *s)
{
	return snapshot_config_bool(s, "security.devlxd") != 0;
}

bool snapshot_socket_is_on(const struct snapshot *s)
{
	return snapshot_config_bool(s, "security.devlxd.socket") != 0;
}

bool snapshot_images_are_on(const struct snapshot *s)
{
	const char *value = snapshot_config(s, "security.devlxd.images", NULL);

	return value && *value && snapshot_config_bool(s, "security.devlxd.images") != 0;
}

bool snapshot_config_next(const struct snapshot *s, const char **key, const char **ret_value,
			  size_t *ret_len)
{
	struct table_pair next = {0};

	for (size_t i = 0; i < s->n_layers; i++) {
		const struct table *t = s->layers[i]->config;
		size_t at = table_after(t, *key);

		if (at == table_size(t))
			continue;
		if (!next.key || strcmp(table_at(t, at).key, next.key) < 0)
			next = table_at(t, at);
	}
	if (!next.key)
		return false;
	*key = next.key;
	*ret_value = next.value;
	*ret_len = next.value_len;
	return true;
}

/* The position of the first device of the record that is @name or above it. */
static size_t device_at(const struct record *r, const char *name)
{
	size_t low = 0, high = r->n_devices;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(r->devices[middle].name, name) >= 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* The device of the record called @name, or NULL. */
static const struct device *device_called(const struct record *r, const char *name)
{
	size_t at = device_at(r, name);

	return at < r->n_devices && streq(r->devices[at].name, name) ? &r->devices[at] : NULL;
}

/* The first device of the record above @name (NULL: the first one), or NULL. */
static const struct device *device_after(const struct record *r, const char *name)
{
	size_t at = name ? device_at(r, name) : 0;

	if (name && at < r->n_devices && streq(r->devices[at].name, name))
		at++;
	return at < r->n_devices ? &r->devices[at] : NULL;
}

bool snapshot_device(const struct snapshot *s, const char *name, const struct table **ret_config)
{
	const struct device *d = NULL;

	for (size_t i = 0; !d && i < s->n_layers; i++)
		d = device_called(s->layers[i], name);
	if (d)
		*ret_config = d->config;
	return d != NULL;
}

bool snapshot_device_next(const struct snapshot *s, const char **name,
			  const struct table **ret_config)
{
	const struct device *next = NULL;

	for (size_t i = 0; i < s->n_layers; i++) {
		const struct device *d = device_after(s->layers[i], *name);

		if (d && (!next || strcmp(d->name, next->name) < 0))
			next = d;
	}
	if (!next)
		return false;
	*name = next->name;
	*ret_config = next->config;
	return true;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

struct timespec snapshot_written(const struct snapshot *s)
{
	struct timespec latest = {0};

	for (size_t i = 0; i < s->n_layers; i++)
		if (is_later(&s->layers[i]->written, &latest))
			latest = s->layers[i]->written;
	return latest;
}

const char *snapshot_device_hwaddr(const struct snapshot *s, const char *device)
{
	char key[128]; /* LXD's device names have at most 64 bytes */
	const char *value;

	if ((size_t)snprintf(key, sizeof(key), "volatile.%s.hwaddr", device) >= sizeof(key))
		return NULL;
	value = table_get(s->layers[0]->config, key, NULL);
	return value && *value ? value : NULL;
}
