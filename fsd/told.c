/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN/published/NAME.json: what the kernel was told of an instance's directory
 *
 * RUN is a tmpfs and the files are as old as the mount: they are atomic, never synced.
 */
#include "told.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define SUFFIX        ".json"
#define SIZE_MAX_TOLD (64 << 20)
#define NAME_SIZE     (64 + sizeof(SUFFIX))

int told_open(const char *run_dir)
{
	_cleanup_(buf_finish) struct buf path = {0};
	int fd, r = buf_printf(&path, "%s/published", run_dir);

	if (r == 0)
		r = file_mkdirs(path.data, 0700);
	if (r < 0)
		return r;
	fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool file_of(const char *name, char ret[NAME_SIZE])
{
	return text_is_name(name) &&
	       (size_t)snprintf(ret, NAME_SIZE, "%s" SUFFIX, name) < NAME_SIZE;
}

static json_t *nodes_of(const struct index *x)
{
	json_auto_t *nodes = json_object();

	for (uint32_t i = 0; x && i < x->n_nodes; i++) {
		_cleanup_(buf_finish) struct buf path = {0};
		const struct index_node *n = &x->nodes[i];

		/* Hidden directories are told as gone. */
		if (x->is_hidden && i > 0)
			break;
		if (buf_puts(&path, "") < 0 || index_path(x, n, &path) < 0 ||
		    json_object_set_new(nodes, path.data,
					json_pack("[I, I]", (json_int_t)n->hash,
						  (json_int_t)n->changed_ns)) < 0)
			return NULL;
	}
	return steal_ptr(&nodes);
}

int told_save(int dir_fd, const char *mount_id, const char *name, uint32_t serial,
	      const struct index *x)
{
	json_auto_t *root = json_pack("{s:s, s:I, s:o}", "mount", mount_id, "serial",
				      (json_int_t)serial, "nodes", nodes_of(x));
	_cleanup_(freep) char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	char file[NAME_SIZE];

	if (!text)
		return -ENOMEM;
	if (!file_of(name, file))
		return -EINVAL;
	return file_write(dir_fd, file, 0600, text, strlen(text), FILE_SYNC_NONE);
}

void told_remove(int dir_fd, const char *name)
{
	char file[NAME_SIZE];

	if (file_of(name, file) && unlinkat(dir_fd, file, 0) < 0 && errno != ENOENT)
		log_warn("cannot remove published/%s, ignoring: %m", file);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct index_kept *)a)->path, ((const struct index_kept *)b)->path);
}

/* Returns 0, or -EINVAL when it is none that told_save() writes. */
static int read_node(const char *path, json_t *value, struct index_kept *ret)
{
	json_t *hash = json_array_get(value, 0), *changed = json_array_get(value, 1);
	json_int_t changed_ns = json_integer_value(changed);

	/* There has to be room above it: times of directories rise. */
	if (!json_is_integer(hash) || !json_is_integer(changed) || changed_ns < 0 ||
	    changed_ns > INT64_MAX / 2)
		return -EINVAL;
	*ret = (struct index_kept){path, (uint64_t)json_integer_value(hash), changed_ns};
	return 0;
}

/* *ret stays NULL when there are no nodes. */
static int restore(json_t *nodes, uint32_t serial, struct index **ret)
{
	size_t n = 0;
	_cleanup_(freep) struct index_kept *kept =
		calloc(json_object_size(nodes) + 1, sizeof(*kept));
	const char *path;
	json_t *value;

	if (!kept)
		return -ENOMEM;
	json_object_foreach (nodes, path, value)
		if (read_node(path, value, &kept[n++]) < 0)
			return -EINVAL;
	if (n == 0)
		return 0;
	qsort(kept, n, sizeof(*kept), compare_paths);
	return index_restore(kept, n, serial, ret);
}

int told_parse(const char *text, size_t n, const char *mount_id, uint32_t *ret_serial,
	       struct index **ret_index)
{
	json_auto_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	const char *mount = json_string_value(json_object_get(root, "mount"));
	json_int_t serial = json_integer_value(json_object_get(root, "serial"));
	struct index *x = NULL;
	int r;

	if (!mount || serial < 1 || serial > TREE_SERIAL_MAX)
		return -EINVAL;
	if (!streq(mount, mount_id))
		return 0;
	r = restore(json_object_get(root, "nodes"), (uint32_t)serial, &x);
	if (r < 0)
		return r;
	*ret_serial = (uint32_t)serial;
	*ret_index = x;
	return 1;
}

/* As told_parse(), of a file. */
static int load(int dir_fd, const char *file, const char *mount_id, uint32_t *ret_serial,
		struct index **ret_index)
{
	_cleanup_(freep) char *text = NULL;
	size_t n;
	int r = file_read(dir_fd, file, SIZE_MAX_TOLD, &text, &n);

	return r < 0 ? r : told_parse(text, n, mount_id, ret_serial, ret_index);
}

static int load_file(int dir_fd, const char *file, const char *mount_id,
		     int (*each)(void *arg, const char *name, uint32_t serial,
				 struct index **index),
		     void *arg)
{
	_cleanup_(index_unrefp) struct index *x = NULL;
	size_t n = strlen(file), n_suffix = strlen(SUFFIX);
	char name[NAME_SIZE];
	uint32_t serial;
	int r;

	if (n <= n_suffix || n >= sizeof(name) || !streq(file + n - n_suffix, SUFFIX))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(n - n_suffix), file);
	if (!text_is_name(name))
		return 0;
	r = load(dir_fd, file, mount_id, &serial, &x);
	if (r == 0)
		told_remove(dir_fd, name);
	if (r < 0)
		log_warn("published/%s: %s, ignoring it", file, strerror(-r));
	return r > 0 ? each(arg, name, serial, &x) : 0;
}

int told_load(int dir_fd, const char *mount_id,
	      int (*each)(void *arg, const char *name, uint32_t serial, struct index **index),
	      void *arg)
{
	_cleanup_(file_closedirp) DIR *dir = file_opendir(dir_fd);
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (e = readdir(dir)))
		r = load_file(dir_fd, e->d_name, mount_id, each, arg);
	return r;
}
