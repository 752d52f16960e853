/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See oci.h. */
#include "attach/oci.h"

#include <assert.h>
#include <limits.h>

#include "base/json.h"

void oci_state_finish(struct oci_state *s)
{
	free(s->bundle);
	*s = (struct oci_state){0};
}

void oci_config_finish(struct oci_config *c)
{
	free(c->root);
	free(c->annotation);
	free(c->source);
	*c = (struct oci_config){0};
}

/* The JSON object in @text, a new reference; NULL with @error. */
static json_t *parse(const char *text, size_t n, struct buf *error)
{
	json_error_t e = {.line = 1};
	json_t *json = n ? json_loadb(text, n, JSON_DECODE_INT_AS_REAL, &e) : NULL;

	if (json_is_object(json))
		return json;
	if (json)
		(void)buf_printf(error, "it is no JSON object");
	else
		(void)buf_printf(error, "line %d: it is not JSON", e.line);
	json_decref(json);
	return NULL;
}

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

int oci_state_parse(const char *text, size_t n, struct oci_state *ret, struct buf *error)
{
	json_auto_t *json = parse(text, n, error);
	const char *bundle = text_of(json, "bundle"), *status = text_of(json, "status");
	double pid = json_real_value(json_object_get(json, "pid"));
	struct oci_state s = {0};

	if (!json)
		return -EINVAL;
	if (!bundle || bundle[0] != '/' || !status) {
		(void)buf_printf(error, "it has no status, or no bundle with an absolute path");
		return -EINVAL;
	}
	s.is_stopped = streq(status, "stopped");
	if (!s.is_stopped && !(pid >= 1 && pid <= INT_MAX)) {
		(void)buf_printf(error, "it has no process");
		return -EINVAL;
	}
	s.pid = s.is_stopped ? 0 : (pid_t)pid;
	s.bundle = strdup(bundle);
	if (!s.bundle)
		return -ENOMEM;
	*ret = s;
	return 0;
}

/* Whether the absolute paths are equal but for slashes. */
static bool is_same_path(const char *a, const char *b)
{
	while (*a && *b) {
		size_t n = strcspn(a, "/"), m = strcspn(b, "/");

		if (n != m || memcmp(a, b, n) != 0)
			return false;
		a += n;
		b += n;
		a += strspn(a, "/");
		b += strspn(b, "/");
	}
	return !*a && !*b;
}

static bool is_bind(const json_t *mount)
{
	const char *type = text_of(mount, "type");
	size_t i;
	json_t *option;

	json_array_foreach (json_object_get(mount, "options"), i, option) {
		const char *text = json_string_value(option);

		if (text && (streq(text, "bind") || streq(text, "rbind")))
			return true;
	}
	return type && streq(type, "bind");
}

/* The source of what is bind-mounted last at OCI_PATH; NULL: nothing is. */
static const char *source_of(const json_t *config)
{
	const char *found = NULL;
	size_t i;
	json_t *mount;

	json_array_foreach (json_object_get(config, "mounts"), i, mount) {
		const char *destination = text_of(mount, "destination");

		if (destination && is_same_path(destination, OCI_PATH))
			found = is_bind(mount) ? text_of(mount, "source") : NULL;
	}
	return found;
}

static int copy(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

int oci_config_parse(const char *text, size_t n, struct oci_config *ret, struct buf *error)
{
	json_auto_t *json = parse(text, n, error);
	_cleanup_(oci_config_finish) struct oci_config c = {0};
	const char *root = text_of(json_object_get(json, "root"), "path");

	if (!json)
		return -EINVAL;
	if (!root || !*root) {
		(void)buf_printf(error, "it has no root.path");
		return -EINVAL;
	}
	if (copy(root, &c.root) < 0 || copy(source_of(json), &c.source) < 0 ||
	    copy(text_of(json_object_get(json, "annotations"), OCI_ANNOTATION), &c.annotation) < 0)
		return -ENOMEM;
	*ret = c;
	c = (struct oci_config){0};
	return 0;
}

/* Where the value of the member begins; NULL: there is no such member. */
static const char *find(const char *text, size_t n, const char *const *path, size_t n_path)
{
	struct json_place place;

	assert(text);
	json_locate(text, n, path, n_path, &place);
	if (place.line == 0)
		return NULL;
	for (const char *end = text + n; place.line > 1; place.line--) {
		text = memchr(text, '\n', (size_t)(end - text));
		/* What was found is in one of its lines. */
		assert(text);
		text++;
	}
	return text + place.column - 1;
}

/* {"path": ..., "args": [...]} */
static int append_hook(struct buf *b, const char *const *args)
{
	int r = buf_puts(b, "{\"path\":");

	if (r == 0)
		r = json_append_string(b, args[0], strlen(args[0]), false);
	if (r == 0)
		r = buf_puts(b, ",\"args\":");
	for (size_t i = 0; args[i] && r == 0; i++) {
		r = buf_putc(b, i == 0 ? '[' : ',');
		if (r == 0)
			r = json_append_string(b, args[i], strlen(args[i]), false);
	}
	return r == 0 ? buf_puts(b, "]}") : r;
}

/*
 * Puts @text first into the object or array that the member at @path is, with a comma if there is more in it. Returns 0, -EINVAL
 * when it begins otherwise than with @open, or -ENOMEM.
 */
static int put_first(struct buf *b, const char *const *path, size_t n_path, char open,
		     const char *text)
{
	_cleanup_(buf_finish) struct buf made = {0};
	const char *at = find(b->data, b->len, path, n_path);
	size_t i = at ? (size_t)(at - b->data) + 1 : 0;
	int r = at && *at == open ? buf_append(&made, b->data, i) : -EINVAL;

	if (r == 0)
		r = buf_puts(&made, text);
	if (r == 0 && !strchr("]}", b->data[i + strspn(b->data + i, " \t\r\n")]))
		r = buf_putc(&made, ',');
	if (r == 0)
		r = buf_append(&made, b->data + i, b->len - i);
	if (r < 0)
		return r;
	buf_finish(b);
	*b = made;
	made = (struct buf){0};
	return 0;
}

static int add_hook(struct buf *b, const char *stage, const char *hook)
{
	const char *const path[] = {"hooks", stage};
	char empty[64];
	int r = 0;

	if (!find(b->data, b->len, path, 1))
		r = put_first(b, path, 0, '{', "\"hooks\":{}");
	snprintf(empty, sizeof(empty), "\"%s\":[]", stage);
	if (r == 0 && !find(b->data, b->len, path, 2))
		r = put_first(b, path, 1, '{', empty);
	return r == 0 ? put_first(b, path, 2, '[', hook) : r;
}

int oci_config_add_hooks(const char *text, size_t n, const char *const *args, struct buf *ret,
			 struct buf *error)
{
	json_auto_t *json = parse(text, n, error);
	_cleanup_(buf_finish) struct buf b = {0}, hook = {0};
	int r = json ? append_hook(&hook, args) : -EINVAL;

	if (r == 0)
		r = buf_append(&b, text, n);
	if (r == 0)
		r = add_hook(&b, "createRuntime", hook.data);
	if (r == 0)
		r = add_hook(&b, "poststop", hook.data);
	if (r == -EINVAL && json)
		(void)buf_printf(error, "its hooks are not as they should be");
	if (r < 0)
		return r;
	buf_finish(ret);
	*ret = b;
	b = (struct buf){0};
	return 0;
}
