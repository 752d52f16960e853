/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STATE/volatile/NAME.json: what the daemon keeps about an instance
 *
 * Knows the file's form and what an instance-id depends on; when to read and
 * write it is decided in publish.c and store.c.
 */
#include "store/volatile.h"

#include <fcntl.h>
#include <jansson.h>
#include <nettle/sha2.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/text.h"
#include "core/cgroup.h"
#include "core/table.h"

#define FILE_MAX (64 << 10)

void volatile_finish(struct volatile_state *v)
{
	free(v->binding_path);
	*v = (struct volatile_state){0};
}

/* "NAME.json". */
static int file_name(const char *name, char ret[80])
{
	return (size_t)snprintf(ret, 80, "%s.json", name) < 80 ? 0 : -EINVAL;
}

static int read_boot_id(char ret[64])
{
	ssize_t n = file_read_proc(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, 64);

	if (n < 0)
		return n;
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

static bool is_of_this_boot(const json_t *root)
{
	const char *then = json_string_value(json_object_get(root, "boot_id"));
	char now[64];

	return then && read_boot_id(now) == 0 && streq(then, now);
}

static void get_text(const json_t *root, const char *member, char *ret, size_t size)
{
	const json_t *value = json_object_get(root, member);

	if (json_is_string(value) && json_string_length(value) < size)
		memcpy(ret, json_string_value(value), json_string_length(value) + 1);
}

static uint64_t get_number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* Fills what only counts until the host boots again. Returns 0 or -ENOMEM. */
static int get_run(const json_t *root, struct volatile_state *v)
{
	const json_t *ready = json_object_get(root, "ready");
	const json_t *binding = json_object_get(root, "binding");
	const char *path = json_string_value(json_object_get(binding, "cgroup"));

	if ((!ready && !binding) || !is_of_this_boot(root))
		return 0;
	v->ready = json_is_object(ready);
	v->ready_boot = (struct boot){.cgroup_id = get_number(ready, "cgroup_id"),
				      .init_start = get_number(ready, "init_start"),
				      .init_pid = get_number(ready, "init_pid")};
	if (!path || *path != '/' || strlen(path) >= CGROUP_PATH_MAX)
		return 0;
	v->binding_path = strdup(path);
	v->binding_id = get_number(binding, "cgroup_id");
	return v->binding_path ? 0 : -ENOMEM;
}

int volatile_load(int dir_fd, const char *name, struct volatile_state *ret, struct buf *error)
{
	_cleanup_(volatile_finish) struct volatile_state v = {0};
	_cleanup_(freep) char *text = NULL;
	json_auto_t *root = NULL;
	json_error_t e;
	char file[80];
	size_t n;
	int r = file_name(name, file);

	if (r == 0)
		r = file_read(dir_fd, file, FILE_MAX, &text, &n);
	if (r == -EINVAL || r == -EFBIG)
		return buf_puts(error, "not a small regular file") ?: -EINVAL;
	if (r < 0)
		return r;
	root = json_loadb(text, n, 0, &e);
	if (!root && json_error_code(&e) == json_error_out_of_memory)
		return -ENOMEM;
	get_text(root, "instance_id", v.instance_id, sizeof(v.instance_id));
	get_text(root, "instance_id_inputs", v.inputs, sizeof(v.inputs));
	if (!*v.instance_id)
		return buf_puts(error, root ? "no instance_id" : "not JSON") ?: -EINVAL;
	r = get_run(root, &v);
	if (r < 0)
		return r;
	*ret = v;
	v.binding_path = NULL;
	return 0;
}

/* Returns 0, -ENOMEM, or -errno of the boot id. */
static int set_run(json_t *root, const struct volatile_state *v)
{
	char boot_id[64];
	int r = 0;

	if (!v->ready && !v->binding_path)
		return 0;
	r = read_boot_id(boot_id);
	if (r < 0)
		return r;
	r = json_object_set_new(root, "boot_id", json_string(boot_id));
	if (v->ready)
		r |= json_object_set_new(root, "ready",
					 json_pack("{s:I, s:I, s:I}", "cgroup_id",
						   (json_int_t)v->ready_boot.cgroup_id,
						   "init_start",
						   (json_int_t)v->ready_boot.init_start, "init_pid",
						   (json_int_t)v->ready_boot.init_pid));
	if (v->binding_path)
		r |= json_object_set_new(root, "binding",
					 json_pack("{s:s, s:I}", "cgroup", v->binding_path,
						   "cgroup_id", (json_int_t)v->binding_id));
	return r ? -ENOMEM : 0;
}

int volatile_save(int dir_fd, const char *name, const struct volatile_state *v)
{
	json_auto_t *root = json_pack("{s:s, s:s}", "instance_id", v->instance_id,
				      "instance_id_inputs", v->inputs);
	_cleanup_(freep) char *text = NULL;
	char file[80];
	int r = root ? set_run(root, v) : -ENOMEM;

	if (r == 0)
		r = file_name(name, file);
	if (r < 0)
		return r;
	text = json_dumps(root, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	return file_write(dir_fd, file, 0600, text, strlen(text), FILE_SYNC_NONE);
}

/* Lengths go in too, so that no two inputs can run into the same bytes. */
static void add(struct sha256_ctx *h, const char *bytes, size_t n)
{
	uint64_t length = n;

	sha256_update(h, sizeof(length), (const uint8_t *)&length);
	sha256_update(h, n, (const uint8_t *)bytes);
}

static void add_key(struct sha256_ctx *h, const char *key, const char *value, size_t n)
{
	if (n == 0) /* an empty value is none */
		return;
	add(h, key, strlen(key));
	add(h, value, n);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the NICs are called in the guest, whatever their devices are called here. */
static int add_nics(struct sha256_ctx *h, const struct snapshot *s)
{
	_cleanup_(freep) const char **names = NULL;
	const struct table *config;
	size_t n = 0, n_devices = 0;

	for (const char *device = NULL; snapshot_device_next(s, &device, &config);)
		n_devices++;
	names = calloc(n_devices + 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (const char *device = NULL; snapshot_device_next(s, &device, &config);) {
		const char *type = table_get(config, "type", NULL);
		const char *name = table_get(config, "name", NULL);

		if (type && streq(type, "nic"))
			names[n++] = name && *name ? name : device;
	}
	qsort(names, n, sizeof(*names), compare);
	for (size_t i = 0; i < n; i++)
		add(h, names[i], strlen(names[i]));
	return 0;
}

int volatile_inputs(const struct snapshot *s, char ret_hex[65])
{
	static const char *const keys[] = {
		"cloud-init.network-config", "cloud-init.user-data", "cloud-init.vendor-data",
		"user.network-config",       "user.user-data",       "user.vendor-data"};
	static const char ssh_keys[] = "cloud-init.ssh-keys.";
	uint8_t digest[SHA256_DIGEST_SIZE];
	const char *key = ssh_keys, *value;
	struct sha256_ctx h;
	size_t n;

	sha256_init(&h);
	add(&h, snapshot_name(s), strlen(snapshot_name(s)));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		value = snapshot_config(s, keys[i], &n);
		if (value)
			add_key(&h, keys[i], value, n);
	}
	while (snapshot_config_next(s, &key, &value, &n) && text_has_prefix(key, ssh_keys))
		add_key(&h, key, value, n);
	add(&h, "", 0); /* where the names begin */
	if (add_nics(&h, s) < 0)
		return -ENOMEM;
	sha256_digest(&h, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

int volatile_new_id(char ret[INSTANCE_ID_MAX + 1])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -errno;
	b[6] = (b[6] & 0x0f) | 0x40; /* version 4: random */
	b[8] = (b[8] & 0x3f) | 0x80; /* variant of RFC 9562 */
	snprintf(ret, INSTANCE_ID_MAX + 1,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return 0;
}
