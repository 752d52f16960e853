/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See imagepick.h. As with records, the lock is not held while the daemon is asked. */
#include "ctl/imagepick.h"

#include "base/text.h"
#include "core/image.h"
#include "ctl/daemon.h"

int imagepick_begin(struct imagepick *p, const struct context *context, bool to_write)
{
	int r;

	*p = (struct imagepick){.context = context, .lock_fd = -1};
	r = image_store_open(context->state_dir, to_write, &p->store);
	if (r == 0 && to_write) {
		p->lock_fd = image_store_lock(p->store);
		r = p->lock_fd < 0 ? p->lock_fd : 0;
	}
	return r < 0 ? say_errno(context->state_dir, r, "cannot open the images") : 0;
}

void imagepick_unlock(struct imagepick *p)
{
	closep(&p->lock_fd);
	p->lock_fd = -1;
}

void imagepick_finish(struct imagepick *p)
{
	imagepick_unlock(p);
	p->store = image_store_close(p->store);
}

int imagepick_find(struct imagepick *p, const char *word, json_t **ret)
{
	int r = image_store_find(p->store, word, ret);

	if (r == IMAGE_STORE_E_NOT_FOUND)
		return say(SAY_REFUSED, word, "no such image; see devlxdfs image list");
	if (r == IMAGE_STORE_E_AMBIGUOUS)
		return say(SAY_REFUSED, word,
			   "several fingerprints begin so; give more of the one that is meant");
	return r < 0 ? say_errno(word, r, "cannot read the images") : 0;
}

int imagepick_find_good(struct imagepick *p, const char *word, json_t **ret)
{
	json_auto_t *image = NULL;
	const char *error;
	int r = imagepick_find(p, word, &image);

	if (r != 0)
		return r;
	error = json_string_value(json_object_get(image, "error"));
	if (error)
		return say(SAY_REFUSED, word, "%s; delete it and import it again", error);
	*ret = steal_ptr(&image);
	return 0;
}

int imagepick_commit(struct imagepick *p, const char *word, const json_t *image)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = image_store_write(p->store, imagepick_fingerprint(image), image, &error);

	imagepick_unlock(p);
	if (r == IMAGE_STORE_E_INVALID)
		return say(SAY_REFUSED, word, "%s", error.data);
	return r < 0 ? say_errno(word, r, "cannot write it")
		     : daemon_load_images(p->context, word, "written");
}

const char *imagepick_fingerprint(const json_t *image)
{
	return json_string_value(json_object_get(image, "fingerprint"));
}

int imagepick_check_alias(const char *alias)
{
	if (text_is_name(alias) && !image_is_fingerprint(alias))
		return 0;
	return say(
		SAY_REFUSED, alias,
		"not an alias; 1 to 63 of letters, digits, \"-\", \"_\" and \".\", not beginning with "
		"\"-\" or \".\"");
}
