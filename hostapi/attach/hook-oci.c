/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See hook-oci.h. */
#include "attach/hook-oci.h"

#include <fcntl.h>

#include "attach/oci.h"
#include "attach/ociimage.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

enum {
	STATE_BYTES_MAX = 4 << 20,
	CONFIG_BYTES_MAX = 16 << 20,
};

/* Everything on standard input. Returns 0, -EFBIG, or -errno. */
static int read_state(struct buf *b)
{
	for (;;) {
		ssize_t n;

		if (b->len > STATE_BYTES_MAX)
			return -EFBIG;
		if (buf_reserve(b, 4096) < 0)
			return -ENOMEM;
		n = read(STDIN_FILENO, b->data + b->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		b->len += (size_t)n;
	}
}

const char *hook_oci_mounted(const char *run_dir, const char *source)
{
	_cleanup_(buf_finish) struct buf tree = {0};
	_cleanup_(freep) char *wanted = NULL, *dir = NULL, *real = NULL;
	const char *name = strrchr(source, '/');

	if (!name || !text_is_name(name + 1) || buf_printf(&tree, "%s/tree", run_dir) < 0)
		return NULL;
	dir = strndup(source, (size_t)(name - source));
	if (!dir)
		return NULL;
	if (streq(dir, tree.data))
		return name + 1;
	/* /var/run is a link, and managers may have followed it. */
	wanted = realpath(tree.data, NULL);
	real = realpath(dir, NULL);
	return wanted && real && streq(real, wanted) ? name + 1 : NULL;
}

int hook_oci_instance(const struct hook *h, const struct oci_config *config, const char **ret,
		      struct buf *error)
{
	const char *mounted = config->source ? hook_oci_mounted(h->run_dir, config->source) : NULL;
	const char *named = config->annotation;

	if (!mounted && !named)
		return HOOK_OCI_E_NONE;
	if (named && !text_is_name(named)) {
		(void)buf_printf(error, "what the annotation " OCI_ANNOTATION
					" says is not a name of an instance");
		return HOOK_OCI_E_REFUSED;
	}
	if (mounted && named && !streq(mounted, named)) {
		(void)buf_printf(error,
				 "the annotation " OCI_ANNOTATION
				 " says \"%s\", and the directory of \"%s\" "
				 "is mounted; choose one",
				 named, mounted);
		return HOOK_OCI_E_REFUSED;
	}
	*ret = mounted ? mounted : named;
	return 0;
}

/* Only an annotation can be an image's; who mounts is the operator. */
static bool is_operators(const struct oci_state *state, const struct oci_config *config,
			 const char *instance, const char *run_dir)
{
	_cleanup_(buf_finish) struct buf why = {0};
	int r;

	if (config->source && hook_oci_mounted(run_dir, config->source))
		return true;
	r = ociimage_check(state->bundle, OCI_ANNOTATION, &why);
	if (r == 0)
		return true;
	if (state->is_stopped)
		return false;
	log_full(
		LOG_LEVEL_WARNING, LOG_EVENT_IDENTITY_REFUSED, instance,
		"not attached to a container: %s, and an image must not choose; name the instance by "
		"its directory: -v %s/tree/%s:" OCI_PATH,
		r == OCIIMAGE_E_SPEAKS ? "its image has the annotation " OCI_ANNOTATION
		: why.len              ? why.data
				       : "out of memory",
		run_dir, instance);
	return false;
}

/* Root of the container as a process in its mount namespace sees it before pivot_root(2). */
static int root_of(const struct oci_state *state, const struct oci_config *config, struct buf *b)
{
	if (config->root[0] == '/')
		return buf_puts(b, config->root);
	return buf_printf(b, "%s/%s", state->bundle, config->root);
}

static void attach(const struct hook *h, const struct oci_state *state,
		   const struct oci_config *config, const char *instance)
{
	_cleanup_(buf_finish) struct buf root = {0};
	struct attachment a = {.instance = instance, .pid = state->pid, .may_wait = true};

	if (!hook_may_attach(&a))
		return;
	if (root_of(state, config, &root) < 0) {
		log_error("out of memory");
		return;
	}
	a.root = root.data;
	hook_attach(h, &a, "podman");
}

/* Of the container whose state was told. */
static void act(const struct hook *h, const struct oci_state *state,
		const struct oci_config *config)
{
	_cleanup_(buf_finish) struct buf error = {0};
	const char *instance = NULL;
	int r = hook_oci_instance(h, config, &instance, &error);

	if (r == HOOK_OCI_E_REFUSED && !state->is_stopped)
		log_warn("a container has no /dev/lxd: %s", error.len ? error.data : "?");
	if (r != 0 || !is_operators(state, config, instance, h->run_dir))
		return;
	if (state->is_stopped)
		attach_ended(h->run_dir, instance);
	else
		attach(h, state, config, instance);
}

static int read_config(const char *bundle, struct oci_config *ret, struct buf *error)
{
	_cleanup_(buf_finish) struct buf path = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n;
	int r = buf_printf(&path, "%s/config.json", bundle);

	if (r == 0)
		r = file_read(AT_FDCWD, path.data, CONFIG_BYTES_MAX, &text, &n);
	return r == 0 ? oci_config_parse(text, n, ret, error) : r;
}

void hook_oci(const struct hook *h, void *arg)
{
	_cleanup_(oci_state_finish) struct oci_state state = {0};
	_cleanup_(oci_config_finish) struct oci_config config = {0};
	_cleanup_(buf_finish) struct buf text = {0}, error = {0};
	const char *what = "the state on standard input";
	int r = read_state(&text);

	if (r == 0)
		r = oci_state_parse(text.data, text.len, &state, &error);
	if (r == 0) {
		what = "config.json of the container's bundle";
		r = read_config(state.bundle, &config, &error);
	}
	if (r == 0)
		act(h, &state, &config);
	else if (!state.is_stopped)
		log_error("a container has no /dev/lxd: cannot read %s: %s; is it called as an OCI "
			  "hook? see devlxdfs(1)",
			  what, error.len ? error.data : strerror(-r));
}
