/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /1.0/images/{fingerprint}/export
 *
 * What there is and what is not offered get one answer, found in one way. Errors are in the main API's envelope, for nested LXD
 * and Incus, also when security.devlxd or security.devlxd.socket is false: hence this route makes that check itself.
 *
 * The files are opened here, and from then on the reply is of what they are: what becomes of the flag or the image changes
 * nothing about it.
 */
#include <assert.h>
#include <inttypes.h>
#include <sys/random.h>

#include "api/conditions.h"
#include "api/httpdate.h"
#include "api/resources.h"
#include "core/hub.h"
#include "core/images.h"
#include "core/instance.h"
#include "core/snapshot.h"

#define NS_PER_S       INT64_C(1000000000)
#define OCTETS         "application/octet-stream"
#define FORM           "multipart/form-data; boundary="
#define BOUNDARY_BYTES 30 /* as Go's */
#define BOUNDARY_SIZE  (2 * BOUNDARY_BYTES + 1)

static bool may_ask(const struct snapshot *s)
{
	return s && snapshot_devlxd_is_on(s) && snapshot_socket_is_on(s) &&
	       snapshot_images_are_on(s);
}

/* There are no projects but LXD's own first one. */
static int is_project_ours(const char *query)
{
	_cleanup_(freep) char *project = NULL;
	int r = query_get(query, "project", &project);

	if (r == -ENOMEM)
		return r;
	return r == -ENOENT || (r == 0 && (!*project || streq(project, "default")));
}

/* *ret is a reference, or NULL when there is none for guests. Returns 0 or -ENOMEM. */
static int find(const struct request *request, struct image **ret)
{
	_cleanup_(image_unrefp) struct image *image = NULL;
	int r = is_project_ours(request->target->query);

	*ret = NULL;
	if (r < 0)
		return r;
	image = images_find(request->api->images, request->params[0]);
	if (r && image && image_is_offered(image))
		*ret = steal_ptr(&image);
	return 0;
}

/* Part @k of @image could not be opened, for the reason @error. */
static int reply_trouble(struct reply *reply, const struct image *image, size_t k, int error)
{
	const char *what = error == -ESTALE ? "its file is not what was imported; import it again"
					    : strerror(-error);

	reply_error_envelope(reply, OUTCOME_INTERNAL, NULL);
	reply->error = error;
	if (asprintf(&reply->trouble, "image %s: \"%s\": %s", image->fingerprint,
		     image->parts[k].name, what) < 0)
		reply->trouble = NULL;
	return 0;
}

static struct reply_piece piece_of(const struct image_part *part, int fd,
				   struct conditions_range range)
{
	return (struct reply_piece){fd, range.first, range.n, part->size, part->mtime_ns};
}

/* Whether all of it is about to be sent is what the host hears of. */
static void tell_host(const struct request *request, const struct image *image)
{
	if (request->api->hub && request->method == METHOD_GET)
		hub_lifecycle(request->api->hub, LIFECYCLE_IMAGE_RETRIEVED,
			      instance_name(request->instance), image->fingerprint);
}

static void reply_verdict(struct reply *reply, enum conditions_verdict verdict)
{
	if (verdict == CONDITIONS_PART)
		reply->outcome = OUTCOME_PARTIAL;
	else if (verdict == CONDITIONS_NOT_MODIFIED)
		reply->outcome = OUTCOME_NOT_MODIFIED;
	else if (verdict == CONDITIONS_FAILED)
		reply_error_envelope(reply, OUTCOME_FAILED_CONDITION, NULL);
	else if (verdict == CONDITIONS_UNSATISFIABLE)
		reply_error_envelope(reply, OUTCOME_BAD_RANGE, NULL);
}

static int add_headers(struct reply *reply, const struct image *image,
		       enum conditions_verdict verdict, const struct conditions_range *range)
{
	const struct image_part *part = &image->parts[0];
	char date[HTTPDATE_SIZE];
	int r = reply_header(reply, "Accept-Ranges", "bytes");

	if (r == 0 && httpdate_format(part->mtime_ns / NS_PER_S, date))
		r = reply_header(reply, "Last-Modified", "%s", date);
	if (r == 0 && !outcome_is_error(reply->outcome))
		r = reply_header(reply, "Content-Disposition", "inline;filename=%s%s",
				 image->fingerprint, part->suffix);
	if (r == 0 && verdict == CONDITIONS_PART)
		r = reply_header(reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
				 range->first, range->first + range->n - 1, part->size);
	if (r == 0 && verdict == CONDITIONS_UNSATISFIABLE)
		r = reply_header(reply, "Content-Range", "bytes */%" PRIu64, part->size);
	return r;
}

/* One file, or a part of it. */
static int reply_unified(const struct request *request, const struct image *image, int *fd,
			 struct reply *reply)
{
	const struct image_part *part = &image->parts[0];
	struct conditions_range range;
	enum conditions_verdict verdict = conditions_judge(&request->conditions, part->size,
							   part->mtime_ns / NS_PER_S, &range);
	struct reply_files files = {0};

	if (verdict == CONDITIONS_NOT_MODIFIED) /* the header is as if it were sent */
		range.n = part->size;
	if (range.n > 0) {
		files.pieces[files.n_pieces++] = piece_of(part, steal_fd(fd), range);
		reply_files(reply, &files, OCTETS, NULL);
	}
	reply_verdict(reply, verdict);
	if (verdict == CONDITIONS_WHOLE)
		tell_host(request, image);
	return add_headers(reply, image, verdict, &range);
}

static int make_boundary(char *ret)
{
	unsigned char bytes[BOUNDARY_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* What comes before part @k, or after the last one. */
static int put_boundary(struct buf *b, const struct image *image, size_t k, const char *boundary)
{
	static const char *const prefixes[] = {"meta-", ""};
	const char *const names[] = {"metadata", image->is_vm ? "rootfs.img" : "rootfs"};

	if (k == image->n_parts)
		return buf_printf(b, "\r\n--%s--\r\n", boundary);
	assert(k < IMAGE_PARTS_MAX);
	return buf_printf(b,
			  "%s--%s\r\nContent-Disposition: form-data; name=\"%s\"; "
			  "filename=\"%s%s%s\"\r\nContent-Type: " OCTETS "\r\n\r\n",
			  k > 0 ? "\r\n" : "", boundary, names[k], prefixes[k], image->fingerprint,
			  image->parts[k].suffix);
}

static void add_piece(struct reply_files *f, struct reply_piece piece)
{
	f->pieces[f->n_pieces++] = piece;
}

/* A form with both files. Its length is known, but parts of it are not to be had: the boundary is another one each time. */
static int reply_split(const struct request *request, const struct image *image, int *fds,
		       struct reply *reply)
{
	_cleanup_(reply_files_finish) struct reply_files files = {0};
	_cleanup_(buf_finish) struct buf text = {0};
	_cleanup_(freep) char *type = NULL;
	char boundary[BOUNDARY_SIZE];
	int r = make_boundary(boundary);

	assert(image->n_parts == IMAGE_PARTS_MAX);
	for (size_t k = 0; r == 0 && k <= image->n_parts; k++) {
		const struct image_part *part = &image->parts[k];
		size_t start = text.len;

		r = put_boundary(&text, image, k, boundary);
		add_piece(&files, (struct reply_piece){-1, start, text.len - start, 0, 0});
		if (r == 0 && k < image->n_parts)
			add_piece(&files, piece_of(part, steal_fd(&fds[k]),
						   (struct conditions_range){0, part->size}));
	}
	if (r == 0 && asprintf(&type, FORM "%s", boundary) < 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	files.text = buf_steal(&text, NULL);
	if (!files.text)
		return -ENOMEM;
	reply_files(reply, &files, type, type);
	steal_ptr(&type);
	tell_host(request, image);
	return 0;
}

static int reply_image(const struct request *request, const struct image *image,
		       struct reply *reply)
{
	int fds[IMAGE_PARTS_MAX] = {-1, -1}, r = 0;
	size_t k = 0;

	for (; r >= 0 && k < image->n_parts; k++)
		r = fds[k] = images_open(request->api->images, image, k);
	if (r < 0)
		r = reply_trouble(reply, image, k - 1, r);
	else if (image->n_parts == 1)
		r = reply_unified(request, image, &fds[0], reply);
	else
		r = reply_split(request, image, fds, reply);
	for (k = 0; k < IMAGE_PARTS_MAX; k++)
		closep(&fds[k]);
	return r;
}

int images_export(const struct request *request, struct reply *reply)
{
	_cleanup_(image_unrefp) struct image *image = NULL;
	int r = 0;

	if (!may_ask(request->snapshot)) {
		reply_error_envelope(reply, OUTCOME_FORBIDDEN, NULL);
		return 0;
	}
	r = find(request, &image);
	if (r == 0 && image)
		r = reply_image(request, image, reply);
	else if (r == 0)
		reply_error_envelope(reply, OUTCOME_NOT_FOUND, NULL);
	if (r < 0) {
		reply_error_envelope(reply, OUTCOME_INTERNAL, NULL);
		reply->error = r;
	}
	return 0;
}
