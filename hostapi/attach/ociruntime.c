/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See ociruntime.h. */
#include "attach/ociruntime.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "attach/hook-oci.h"
#include "attach/oci.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

enum {
	CONFIG_BYTES_MAX = 16 << 20
};

/* runc's, crun's and youki's options before the command. */
static const struct {
	const char *name;
	bool has_value;
} global_options[] = {
	{"--root", true},      {"--log", true},
	{"-l", true},          {"--log-format", true},
	{"--log-level", true}, {"--criu", true},
	{"--rootless", true},  {"--cgroup-manager", true},
	{"--debug", false},    {"--systemd-cgroup", false},
	{"-s", false},
};

/* How many words of @args are options before the command; SIZE_MAX: one that is not known. */
static size_t skip_options(size_t n_args, const char *const *args)
{
	size_t i = 0;

	while (i < n_args && args[i][0] == '-') {
		size_t o = 0;

		if (!strchr(args[i], '=')) {
			while (o < ARRAY_SIZE(global_options) &&
			       !streq(args[i], global_options[o].name))
				o++;
			if (o == ARRAY_SIZE(global_options))
				return SIZE_MAX;
			i += global_options[o].has_value;
		}
		i++;
	}
	return i;
}

const char *ociruntime_bundle(size_t n_args, const char *const *args)
{
	static const char *const forms[] = {"--bundle", "-bundle", "-b", "--b"};
	size_t i = skip_options(n_args, args);
	const char *found = ".";

	if (i >= n_args || (!streq(args[i], "create") && !streq(args[i], "run")))
		return NULL;
	for (i++; i < n_args; i++) {
		for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
			size_t n = strlen(forms[f]);

			if (!text_has_prefix(args[i], forms[f]))
				continue;
			if (args[i][n] == '=')
				found = args[i] + n + 1;
			else if (args[i][n] == '\0' && i + 1 < n_args)
				found = args[i + 1];
		}
	}
	return found;
}

/* The path of this program. False when there is none any more, in which case a hook would fail. */
static bool own_path(char ret[PATH_MAX])
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	size_t len = n < 0 ? 0 : (size_t)n;

	ret[len] = '\0';
	/* It was replaced, as by an upgrade: the next one is as good. */
	if (len > strlen(gone) && streq(ret + len - strlen(gone), gone))
		ret[len - strlen(gone)] = '\0';
	return access(ret, X_OK) == 0;
}

/* Puts the hooks into the configuration if it is an instance's. Returns 0, or -errno with @error. */
static int add_hooks(const struct hook *h, int dir_fd, const char *self, struct buf *error)
{
	const char *const args[] = {self,         "--conf-dir", h->conf_dir, "--state-dir",
				    h->state_dir, "--run-dir",  h->run_dir,  "hook",
				    "oci",        NULL};
	_cleanup_(oci_config_finish) struct oci_config config = {0};
	_cleanup_(buf_finish) struct buf made = {0};
	_cleanup_(freep) char *text = NULL;
	const char *instance;
	struct stat st;
	size_t n;
	int r = file_read(dir_fd, "config.json", CONFIG_BYTES_MAX, &text, &n);

	if (r == 0)
		r = oci_config_parse(text, n, &config, error);
	if (r < 0)
		return r;
	r = hook_oci_instance(h, &config, &instance, error);
	if (r != 0)
		return r == HOOK_OCI_E_REFUSED ? -EINVAL : 0;
	r = oci_config_add_hooks(text, n, args, &made, error);
	if (r == 0 && fstatat(dir_fd, "config.json", &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r == 0 ? file_write(dir_fd, "config.json", st.st_mode & 07777, made.data, made.len,
				   FILE_SYNC_NONE)
		      : r;
}

void ociruntime_prepare(const struct hook *h, void *arg)
{
	_cleanup_(closep) int fd = open(arg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(buf_finish) struct buf error = {0};
	char self[PATH_MAX];
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && !own_path(self))
		r = -ENOENT;
	if (r == 0)
		r = add_hooks(h, fd, self, &error);
	if (r < 0)
		log_warn("a container is started without hooks, and so without /dev/lxd: %s",
			 error.len ? error.data : strerror(-r));
}
