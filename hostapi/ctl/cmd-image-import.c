/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image import: files become an image
 *
 * Signals that end programs are held back while it works, so that it ends with nothing left; what cannot be held back leaves a
 * directory to the next import.
 */
#include "ctl/cmd.h"

#include <signal.h>

#include "ctl/daemon.h"
#include "ctl/imagepick.h"
#include "ctl/progress.h"
#include "images/image-import.h"

#define ENDING_SIGNALS SIGINT, SIGTERM, SIGHUP

static bool is_asked_to_end(void)
{
	static const int ending[] = {ENDING_SIGNALS};
	sigset_t pending;

	sigpending(&pending);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		if (sigismember(&pending, ending[i]))
			return true;
	return false;
}

static int tell(void *ctx, const char *stage, uint64_t done, uint64_t total)
{
	if (is_asked_to_end())
		return -EINTR;
	progress_show(ctx, stage, done, total);
	return 0;
}

static void hold_signals(sigset_t *old)
{
	static const int ending[] = {ENDING_SIGNALS};
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(&held, ending[i]);
	sigprocmask(SIG_BLOCK, &held, old);
}

/* Each alias once, a new array. NULL after saying why. */
static json_t *aliases_of(const struct call *c)
{
	json_auto_t *aliases = json_array(), *seen = json_object();
	const char *alias;
	size_t i = 0;

	while ((alias = command_next(c, "alias", &i))) {
		if (imagepick_check_alias(alias) != 0)
			return NULL;
		if (json_object_get(seen, alias))
			continue;
		json_object_set_new(seen, alias, json_true());
		json_array_append_new(aliases, json_string(alias));
	}
	return steal_ptr(&aliases);
}

static int say_failure(const struct image_import *what, int r, size_t part, const struct buf *error)
{
	const char *subject = part < what->n_paths ? what->paths[part] : "image";

	if (r == IMAGE_IMPORT_E_REFUSED)
		return say(SAY_REFUSED, subject, "%s", error->data);
	if (r == -EINTR)
		return say(SAY_REFUSED, subject, "interrupted; nothing of it is left");
	if (r == -ENOSPC || r == -EDQUOT)
		return say(SAY_REFUSED, subject,
			   "cannot store it: %s; nothing of it is left, free some space",
			   strerror(-r));
	return say_errno(subject, r, "cannot import it");
}

static int run(struct imagepick *pick, const struct image_import *what, json_t **ret)
{
	_cleanup_(buf_finish) struct buf error = {0};
	struct progress progress;
	const struct image_watch watch = {tell, &progress};
	struct image_import watched = *what;
	size_t part = 0;
	int r;

	progress_init(&progress, STDERR_FILENO);
	watched.watch = &watch;
	r = image_import(pick->store, &watched, ret, &part, &error);
	progress_clear(&progress);
	return r == 0 ? 0 : say_failure(what, r, part, &error);
}

static int import(const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	json_auto_t *image = NULL, *aliases = aliases_of(c);
	struct image_import what = {
		.n_paths = c->n_operands,
		.aliases = aliases,
		.is_public = command_has(c, "public"),
		.is_cached = command_has(c, "cached"),
		.is_vm = command_has(c, "vm"),
	};
	char subject[SAY_SUBJECT_MAX];
	sigset_t signals;
	int r;

	if (!aliases)
		return SAY_REFUSED;
	for (size_t i = 0; i < c->n_operands; i++)
		what.paths[i] = c->operands[i];
	hold_signals(&signals);
	r = imagepick_begin(&pick, c->context, true);
	imagepick_unlock(&pick);
	if (r == 0)
		r = run(&pick, &what, &image);
	sigprocmask(SIG_SETMASK, &signals, NULL);
	if (r != 0)
		return r;
	printf("Image imported with fingerprint: %s\n", imagepick_fingerprint(image));
	snprintf(subject, sizeof(subject), "%.12s", imagepick_fingerprint(image));
	if (!what.is_public && !what.is_cached)
		say(SAY_DONE, subject,
		    "no guest may have it yet; devlxdfs image set %s public=true lets them",
		    subject);
	return daemon_load_images(c->context, subject, "imported");
}

static const struct command_option options[] = {
	{0, "public", NULL, "guests may have it"},
	{0, "cached", NULL, "guests may have it, as what was fetched for them"},
	{0, "alias", "ALIAS", "another name for it; may be repeated"},
	{0, "vm", NULL, "of a virtual machine, whatever the files look like"},
};

static const struct command commands[] = {
	{COMMAND("image import", "META [ROOTFS]", 1, 2, OPERANDS_FILES, import,
		 "Make an image of an archive, or of its metadata and a root file system"),
	 COMMAND_OPTIONS(options)},
};

struct command_group cmd_image_import_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
