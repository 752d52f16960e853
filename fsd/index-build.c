/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building an index
 *
 * Breadth first: the children of a directory are appended and sorted before any of them is looked into, so that
 * they stand side by side and positions stay. Every value is read once, for its hash.
 */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "index.h"

#include "base/sock.h"
#include "core/filename.h"
#include "imagefiles.h"
#include "shared.h"

/* Low parts of ids below are given to fixed nodes. */
#define LOW_RESERVED 16
/* The socket for all is no node of the instance. */
#define SHARED_SOCKET_HASH 0

/* An index under construction. */
struct draft {
	const struct index_input *input; /* NULL: restoring */
	struct index *index;
	size_t size, n_owned, owned_size;
	uint32_t dir;      /* the directory that children are added to */
	struct buf prefix; /* its path with '/' */
	int64_t written_ns;
};

static struct index_node *draft_append(struct draft *d)
{
	struct index *x = d->index;

	if (x->n_nodes == d->size) {
		size_t size = d->size ? d->size * 2 : 32, bytes;

		if (size > UINT32_MAX ||
		    __builtin_mul_overflow(size, sizeof(x->nodes[0]), &bytes) ||
		    __builtin_add_overflow(bytes, sizeof(*x), &bytes))
			return NULL;
		x = realloc(d->index, bytes);
		if (!x)
			return NULL;
		d->index = x;
		d->size = size;
	}
	x->nodes[x->n_nodes] = (struct index_node){.parent = d->dir};
	return &x->nodes[x->n_nodes++];
}

/* Keeps a name that only the index has. Takes it. NULL = no memory. */
static const char *draft_own(struct draft *d, char *name_consumed)
{
	_cleanup_(freep) char *name = name_consumed;
	char **owned = d->index->owned;

	if (!name)
		return NULL;
	if (d->n_owned + 1 >= d->owned_size) {
		size_t size = d->owned_size ? d->owned_size * 2 : 8;

		owned = reallocarray(owned, size, sizeof(*owned));
		if (!owned)
			return NULL;
		d->index->owned = owned;
		d->owned_size = size;
	}
	owned[d->n_owned++] = name;
	owned[d->n_owned] = NULL;
	return steal_ptr(&name);
}

static uint64_t hash_bytes(const struct draft *d, const void *bytes, size_t n)
{
	return XXH3_64bits_withSecret(bytes, n, d->input->secret, SHARED_SECRET_SIZE);
}

/* Reads the value of a content for its size, and makes its hash that of all it is. Returns 0, SOURCE_E_ABSENT or -ENOMEM. */
static int fill_content(struct draft *d, struct index_node *n)
{
	_cleanup_(source_bytes_finish) struct source_bytes value = {0};
	struct {
		uint64_t path, value;
		uint32_t mode, uid, gid, row;
	} all = {.path = n->hash, .row = n->row};
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int r = index_read(d->index, n, &value);

	if (r == 0)
		r = index_access(d->index, n, &mode, &uid, &gid);
	if (r != 0)
		return r;
	if (value.len == 0 || value.len > UINT32_MAX)
		return SOURCE_E_ABSENT;
	all.value = hash_bytes(d, value.at, value.len);
	all.mode = mode;
	all.uid = uid;
	all.gid = gid;
	n->hash = hash_bytes(d, &all, sizeof(all));
	n->size = (uint32_t)value.len;
	return 0;
}

struct image_hash {
	const struct draft *draft;
	struct index_node *dir;
};

static int add_to_hash(void *arg, const char *name, bool is_listed)
{
	const struct image_hash *h = arg;
	const struct index_input *input = h->draft->input;
	struct source_file file;
	uint64_t both[2] = {h->dir->hash};

	if (!input->source->ops->image_file(input->images, h->dir->key, name, &file))
		return 0;
	both[1] = imagefiles_id(&file, input->secret);
	h->dir->hash = hash_bytes(h->draft, both, sizeof(both));
	return 0;
}

/*
 * A directory with other files in it is another node, so that what the kernel knows of names in one that is gone is never believed of
 * another that has its name.
 */
static int fill_image(const struct draft *d, struct index_node *dir)
{
	const struct index_input *input = d->input;
	struct image_hash h = {d, dir};

	return input->source->ops->each_image_file(input->images, dir->key, add_to_hash, &h);
}

/* Of the parent's and its own name. Returns 0 or SOURCE_E_ABSENT. */
static int fill_file(struct draft *d, struct index_node *n)
{
	struct source_file file;

	if (!index_file(d->index, n, &file))
		return SOURCE_E_ABSENT;
	n->size = file.size;
	n->changed_ns = file.mtime_ns;
	n->is_shared = !d->input->is_by_mount;
	if (n->is_shared) {
		n->hash = imagefiles_id(&file, d->input->secret);
		return 0;
	}
	n->hash ^= imagefiles_id(&file, d->input->secret);
	n->hash &= ~TREE_FILE_BIT; /* which tells when it is restored */
	return 0;
}

/* The file name of @key, which may be @key; NULL = no memory. */
static const char *file_name(struct draft *d, const char *key)
{
	_cleanup_(buf_finish) struct buf b = {0};

	if (filename_is_plain(key))
		return key;
	return filename_encode(key, &b) < 0 ? NULL : draft_own(d, buf_steal(&b, NULL));
}

/* Adds a child of the current directory; one without a value is left out. Returns 0 or -ENOMEM. */
static int add_child(struct draft *d, enum tree_row row, const char *name, const char *key,
		     bool is_listed)
{
	size_t prefix_len = d->prefix.len;
	struct index_node *n;
	int r = 0;

	/* unnamed.h counts these. */
	if (strlen(name) > FILENAME_MAX_BYTES)
		return 0;
	n = draft_append(d);
	if (!n || buf_puts(&d->prefix, name) < 0)
		return -ENOMEM;
	n->row = row;
	n->name = name;
	n->key = key;
	n->is_listed = is_listed;
	n->changed_ns = d->written_ns;
	n->hash = hash_bytes(d, d->prefix.data, d->prefix.len);
	n->cookie = (uint32_t)(n->hash >> 34) + INDEX_COOKIE_MIN;
	d->prefix.len = prefix_len;
	d->prefix.data[prefix_len] = '\0';
	if (tree_row(row)->kind == TREE_CONTENT)
		r = fill_content(d, n);
	if (row == TREE_IMAGE)
		r = fill_image(d, n);
	if (tree_row(row)->kind == TREE_FILE)
		r = fill_file(d, n);
	if (r == SOURCE_E_ABSENT)
		d->index->n_nodes--;
	if (r != 0 || n->is_shared)
		return r == SOURCE_E_ABSENT ? 0 : r;
	if ((n->hash & TREE_LOW_MASK) >= TREE_LOG_FIRST)
		n->hash ^= UINT64_C(1) << (TREE_LOW_BITS - 1);
	if ((n->hash & TREE_LOW_MASK) < LOW_RESERVED)
		n->hash += LOW_RESERVED;
	if (tree_row(row)->kind == TREE_LOG)
		n->hash = TREE_LOG_LOW;
	return 0;
}

struct listing {
	struct draft *draft;
	enum tree_row row;
};

static int add_listed(void *arg, const char *name, bool is_listed)
{
	const struct listing *l = arg;
	const char *file = file_name(l->draft, name);

	return file ? add_child(l->draft, l->row, file, name, is_listed) : -ENOMEM;
}

/* The socket is there once it is bound: a name that refuses connections is the worst a client can meet. */
static int add_socket(struct draft *d)
{
	bool is_own;
	uint32_t before = d->index->n_nodes;
	int r;

	if (!d->input->source->ops->has_socket(d->input->view, &is_own) ||
	    !(is_own ? d->input->is_own_socket_bound : d->input->is_socket_bound))
		return 0;
	r = add_child(d, TREE_SOCK, tree_row_name(tree_row(TREE_SOCK)), NULL, true);
	if (r == 0 && d->index->n_nodes > before) {
		d->index->nodes[before].is_shared = !is_own;
		d->index->nodes[before].hash = is_own ? TREE_OWN_SOCKET_LOW : SHARED_SOCKET_HASH;
	}
	return r;
}

static int add_row(struct draft *d, enum tree_row row, const char *const *params)
{
	const struct tree_node *n = tree_row(row);
	const struct tree_shown shown = {d->input->source, d->input->view, d->input->images};
	struct listing listing = {d, row};

	if (d->index->is_hidden && (n->kind != TREE_DIRECTORY || tree_row_is_parameter(n)))
		return 0;
	if (n->is_of_images && !shown.images)
		return 0;
	if (n->kind == TREE_SOCKET)
		return add_socket(d);
	if (!tree_row_is_parameter(n))
		return add_child(d, row, tree_row_name(n), NULL, true);
	return tree_row(n->parent)->list(&shown, params, add_listed, &listing);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct index_node *)a)->name, ((const struct index_node *)b)->name);
}

/* Sorts what was added to the directory since @first. */
static void close_directory(struct draft *d, uint32_t first)
{
	struct index_node *dir = &d->index->nodes[d->dir];

	dir->first = first;
	dir->n_children = d->index->n_nodes - first;
	qsort(&d->index->nodes[first], dir->n_children, sizeof(*dir), compare_names);
}

static int expand(struct draft *d, uint32_t dir)
{
	const struct index_node *n = &d->index->nodes[dir];
	const char *params[TREE_PARAMS_MAX] = {n->key};
	uint32_t first = d->index->n_nodes;
	enum tree_row row = n->row;
	int r = 0;

	d->dir = dir;
	buf_finish(&d->prefix);
	r = index_path(d->index, n, &d->prefix);
	if (r == 0 && dir != 0)
		r = buf_putc(&d->prefix, '/');
	for (enum tree_row child = TREE_TOP + 1; child < _TREE_N_ROWS && r == 0; child++)
		if (tree_row(child)->parent == row)
			r = add_row(d, child, params);
	if (r == 0)
		close_directory(d, first);
	return r;
}

static uint64_t low_of(const struct index *x, uint32_t at)
{
	return x->nodes[at].hash & TREE_LOW_MASK;
}

static int compare_ids(const void *a, const void *b, void *arg)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t id_x = low_of(arg, x), id_y = low_of(arg, y);

	return id_x != id_y ? (id_x < id_y ? -1 : 1) : (x > y) - (x < y);
}

static int compare_cookies(const void *a, const void *b, void *arg)
{
	const struct index *index = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t c_x = index->nodes[x].cookie, c_y = index->nodes[y].cookie;

	return c_x != c_y ? (c_x < c_y ? -1 : 1) : (x > y) - (x < y);
}

/* Of two nodes with one id the later takes the next. Whether there were any. */
static bool part_ids(struct index *x)
{
	bool found = false;

	qsort_r(x->by_id, x->n_by_id, sizeof(*x->by_id), compare_ids, x);
	for (uint32_t i = 1; i < x->n_by_id; i++) {
		struct index_node *n = &x->nodes[x->by_id[i]];
		uint64_t low = n->hash & TREE_LOW_MASK;

		if (low != low_of(x, x->by_id[i - 1]))
			continue;
		low = low + 1 == TREE_LOG_FIRST ? LOW_RESERVED : low + 1;
		n->hash = (n->hash & ~TREE_LOW_MASK) | low;
		found = true;
	}
	return found;
}

static void sort_cookies(struct index *x, const struct index_node *dir)
{
	uint32_t *at = x->by_cookie + dir->first;

	qsort_r(at, dir->n_children, sizeof(*at), compare_cookies, x);
	for (uint32_t i = 1; i < dir->n_children; i++)
		if (x->nodes[at[i]].cookie <= x->nodes[at[i - 1]].cookie)
			x->nodes[at[i]].cookie = x->nodes[at[i - 1]].cookie + 1;
}

/* Makes the ways to find nodes. */
static int draft_close(struct draft *d, struct index **ret)
{
	struct index *x = realloc(d->index, sizeof(*x) + d->index->n_nodes * sizeof(x->nodes[0]));

	if (!x)
		return -ENOMEM;
	d->index = x;
	x->by_id = calloc(x->n_nodes, sizeof(*x->by_id));
	x->by_cookie = calloc(x->n_nodes, sizeof(*x->by_cookie));
	if (!x->by_id || !x->by_cookie)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->n_nodes; i++) {
		x->by_cookie[i] = i;
		if (!x->nodes[i].is_shared)
			x->by_id[x->n_by_id++] = i;
	}
	while (part_ids(x))
		continue;
	for (uint32_t i = 0; i < x->n_nodes; i++)
		if (tree_row(x->nodes[i].row)->kind == TREE_DIRECTORY)
			sort_cookies(x, &x->nodes[i]);
	*ret = steal_ptr(&d->index);
	return 0;
}

static void draft_finish(struct draft *d)
{
	buf_finish(&d->prefix);
	/* These are the caller's until all has gone well. */
	if (d->index) {
		d->index->view = NULL;
		d->index->images = NULL;
	}
	index_unref(d->index);
}

static int draft_open(struct draft *d, uint32_t serial)
{
	d->index = calloc(1, sizeof(*d->index));
	if (!d->index)
		return -ENOMEM;
	d->index->refs = 1;
	d->index->serial = serial;
	if (!draft_append(d))
		return -ENOMEM;
	d->index->nodes[0] = (struct index_node){
		.hash = TREE_TOP_LOW,
		.name = "",
		.row = TREE_TOP,
		.is_listed = true,
		.changed_ns = d->written_ns,
	};
	return 0;
}

int index_new(const struct index_input *input, struct index **ret)
{
	_cleanup_(draft_finish) struct draft d = {.input = input};
	struct timespec written = {0};
	int r;

	if (input->view)
		written = input->source->ops->written(input->view);
	d.written_ns = (int64_t)written.tv_sec * 1000000000 + written.tv_nsec;
	if (d.written_ns == 0)
		d.written_ns = now_ns();
	r = draft_open(&d, input->serial);
	if (r < 0)
		return r;
	d.index->source = input->source;
	d.index->view = input->view;
	d.index->images = input->images;
	d.index->is_hidden = !input->view;
	d.index->owner = *input->owner;
	d.index->is_socket_bound = input->is_socket_bound;
	d.index->is_own_socket_bound = input->is_own_socket_bound;
	d.index->ids = input->source->ops->ids(input->source->ctx, input->instance);
	for (uint32_t i = 0; i < d.index->n_nodes && r == 0; i++)
		if (tree_row(d.index->nodes[i].row)->kind == TREE_DIRECTORY)
			r = expand(&d, i);
	return r == 0 ? draft_close(&d, ret) : r;
}

/* The row of a path of file names, or _TREE_N_ROWS. */
static enum tree_row match_row(const char *name, enum tree_row parent)
{
	for (enum tree_row row = TREE_TOP + 1; row < _TREE_N_ROWS; row++) {
		const struct tree_node *n = tree_row(row);

		if (n->parent == parent &&
		    (tree_row_is_parameter(n) || streq(tree_row_name(n), name)))
			return row;
	}
	return _TREE_N_ROWS;
}

static bool is_shared(enum tree_row row, uint64_t hash)
{
	return row == TREE_SOCK ? hash == SHARED_SOCKET_HASH
				: row == TREE_IMAGE_FILE && tree_id_is_file(hash);
}

/* Adds those of @kept that are children of the directory at @dir. */
static int restore_children(struct draft *d, const struct index_kept *kept, size_t n, uint32_t dir)
{
	uint32_t first = d->index->n_nodes;

	d->dir = dir;
	buf_finish(&d->prefix);
	if (index_path(d->index, &d->index->nodes[dir], &d->prefix) < 0 ||
	    (dir != 0 && buf_putc(&d->prefix, '/') < 0))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *name = kept[i].path + d->prefix.len;
		struct index_node *node;
		enum tree_row row;

		if (strlen(kept[i].path) <= d->prefix.len || strchr(name, '/') ||
		    memcmp(kept[i].path, d->prefix.data ?: "", d->prefix.len) != 0)
			continue;
		row = match_row(name, d->index->nodes[dir].row);
		if (row == _TREE_N_ROWS)
			continue;
		node = draft_append(d);
		name = node ? draft_own(d, strdup(name)) : NULL;
		if (!name)
			return -ENOMEM;
		node = &d->index->nodes[d->index->n_nodes - 1];
		node->name = name;
		node->row = row;
		node->hash = kept[i].hash;
		node->changed_ns = kept[i].changed_ns;
		node->is_listed = true;
		node->is_shared = is_shared(row, kept[i].hash);
	}
	close_directory(d, first);
	return 0;
}

int index_restore(const struct index_kept *kept, size_t n, uint32_t serial, struct index **ret)
{
	_cleanup_(draft_finish) struct draft d = {0};
	int r = draft_open(&d, serial);

	for (size_t i = 0; i < n && r == 0; i++)
		if (!*kept[i].path)
			d.index->nodes[0].changed_ns = kept[i].changed_ns;
	for (uint32_t i = 0; r == 0 && i < d.index->n_nodes; i++)
		if (tree_row(d.index->nodes[i].row)->kind == TREE_DIRECTORY)
			r = restore_children(&d, kept, n, i);
	return r == 0 ? draft_close(&d, ret) : r;
}
