/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See hook-lxc.h. */
#include "attach/hook-lxc.h"

#include <limits.h>

#include "attach/conf.h"
#include "attach/lxcconf.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/text.h"
#include "store/edit.h"

struct hook_lxc hook_lxc_told(size_t n_args, const char *const *args)
{
	struct hook_lxc told = {getenv("LXC_HOOK_TYPE"), getenv("LXC_NAME"),
				getenv("LXC_CONFIG_FILE"), getenv("LXC_PID")};

	if (!told.type && n_args >= 3) {
		told.type = args[n_args - 1];
		told.name = args[n_args - 3];
	}
	return told;
}

static bool wants_records(const struct hook *h)
{
	_cleanup_(settings_finish) struct settings s;

	conf_read(h->conf_dir, &s);
	return s.create_lxc_records;
}

/* Without a daemon, the next one finds it. */
static void have_it_loaded(const struct hook *h, const char *name)
{
	_cleanup_(buf_finish) struct buf sock = {0}, target = {0};
	struct httpc_reply reply = {0};

	if (buf_printf(&sock, "%s/admin.sock", h->run_dir) == 0 &&
	    buf_printf(&target, "/1.0/instances/%s/load", name) == 0 &&
	    httpc_request(sock.data, "POST", target.data, NULL, 0, &reply) == 0)
		httpc_reply_finish(&reply);
}

static int store(const struct hook *h, const char *name, json_t *record, struct buf *error)
{
	_cleanup_(edit_freep) struct edit *e = NULL;
	json_auto_t *old = NULL;
	int r = edit_new(h->conf_dir, h->state_dir, &e);

	if (r == 0)
		r = edit_load(e, RECORD_INSTANCE, name, &old, NULL, NULL, error);
	if (r == EDIT_E_NOT_FOUND)
		return edit_store(e, RECORD_INSTANCE, name, record, true, NULL, NULL, error);
	return r < 0 ? r : EDIT_E_EXISTS;
}

/* Makes the record if there is none. @r is what reading the configuration came to. */
static void make_record(const struct hook *h, const struct hook_lxc *told,
			const struct lxcconf *config, int r)
{
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *record = NULL;

	if (r == 0) {
		record = lxcconf_record(config, told->name);
		r = record ? store(h, told->name, record, &error) : -EILSEQ;
	}
	if (r == 0) {
		log_full(LOG_LEVEL_INFO, LOG_EVENT_NONE, told->name, "made a record of it from %s",
			 told->config_file);
		have_it_loaded(h, told->name);
	} else if (r != EDIT_E_EXISTS) {
		log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, told->name,
			 "cannot make a record from its LXC configuration: %s",
			 r < 0 ? strerror(-r) : error.data);
	}
}

/* The container runs all the same; its cgroup can be another instance's. */
static void say_no_name(const char *name)
{
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, name,
		 "no instance can have this name, the container has no /dev/lxd; choose another "
		 "for it: devlxdfs create NAME --cgroup \"/lxc.payload.%s\", devlxdfs attach NAME",
		 name);
}

static void start_host(const struct hook *h, const struct hook_lxc *told)
{
	struct attachment a = {.instance = told->name, .may_wait = true};
	_cleanup_(lxcconf_finish) struct lxcconf config = {0};
	int r = told->config_file ? lxcconf_load(&config, told->config_file) : -ENOENT;
	uint64_t pid;

	if (config.is_of_lxd)
		return;
	if (!text_is_name(told->name)) {
		say_no_name(told->name);
		return;
	}
	if (!told->pid || text_to_u64(told->pid, 1, INT_MAX, &pid) < 0) {
		log_full(LOG_LEVEL_ERROR, LOG_EVENT_NONE, told->name,
			 "LXC does not say which process it is; the container has no /dev/lxd");
		return;
	}
	a.pid = (pid_t)pid;
	if (!hook_may_attach(&a))
		return;
	if (wants_records(h))
		make_record(h, told, &config, r);
	hook_attach(h, &a, "lxc");
}

void hook_lxc(const struct hook *h, void *arg)
{
	const struct hook_lxc *told = arg;

	if (told->name && told->type && streq(told->type, "start-host"))
		start_host(h, told);
	else if (told->name && told->type && streq(told->type, "post-stop"))
		attach_ended(h->run_dir, told->name);
	else
		log_error("not called as lxc.hook.start-host or lxc.hook.post-stop; see "
			  "devlxdfs(1)");
}
