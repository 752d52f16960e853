/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See download.h. The library waits for ever for a file that has become shorter, hence somebody has to look.
 *
 * The library closes the descriptor of a reply that is one file together with the reply, of which a reference is kept here for as long as the
 * descriptor is needed.
 */
#include "front/download.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/cleanup.h"

#define BLOCK_BYTES    (128 * 1024) /* with fewer, a form takes twice as long */
#define CHECK_EVERY_US (500 * 1000)

struct download {
	struct download_list *list;
	struct reply_files files;
	struct MHD_Response *response;
	int fd;
	bool is_one_file;
	bool is_broken; /* found by reading */
	struct download *prev, *next;
};

static bool is_unchanged(const struct reply_piece *p)
{
	struct stat st;

	return p->fd < 0 ||
	       (fstat(p->fd, &st) == 0 && (uint64_t)st.st_size == p->size &&
		(int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == p->mtime_ns);
}

bool download_is_broken(struct download *d)
{
	for (size_t i = 0; i < d->files.n_pieces; i++)
		d->is_broken |= !is_unchanged(&d->files.pieces[i]);
	return d->is_broken;
}

/* Bytes at @position of the piece, which are the file's only if it is unchanged after they have been read. */
static ssize_t read_piece(const struct download *d, const struct reply_piece *p, uint64_t position,
			  char *bytes, size_t max)
{
	ssize_t n;

	if (max > p->n - position)
		max = p->n - position;
	if (p->fd < 0) {
		memcpy(bytes, d->files.text + p->offset + position, max);
		return (ssize_t)max;
	}
	n = pread(p->fd, bytes, max, (off_t)(p->offset + position));
	return n > 0 && is_unchanged(p) ? n : -1;
}

static ssize_t give(void *ctx, uint64_t position, char *bytes, size_t max)
{
	struct download *d = ctx;

	for (size_t i = 0; i < d->files.n_pieces; i++) {
		const struct reply_piece *p = &d->files.pieces[i];
		ssize_t n;

		if (position >= p->n) {
			position -= p->n;
			continue;
		}
		n = read_piece(d, p, position, bytes, max);
		if (n > 0)
			return n;
		break;
	}
	d->is_broken = true;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(struct download *d, const struct reply_files *files)
{
	const struct reply_piece *first = &files->pieces[0];
	uint64_t n = 0;

	d->is_one_file = files->n_pieces == 1 && first->fd >= 0;
	if (d->is_one_file)
		return MHD_create_response_from_fd_at_offset64(first->n, first->fd, first->offset);
	for (size_t i = 0; i < files->n_pieces; i++)
		n += files->pieces[i].n;
	return MHD_create_response_from_callback(n, BLOCK_BYTES, give, d, NULL);
}

struct download *download_new(struct download_list *l, struct reply_files *files, int fd)
{
	struct download *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->response = make_response(d, files);
	if (!d->response) {
		free(d);
		return NULL;
	}
	d->files = *files;
	*files = (struct reply_files){0};
	d->fd = fd;
	d->list = l;
	DL_APPEND(l->first, d);
	return d;
}

struct download *download_free(struct download *d)
{
	if (!d)
		return NULL;
	DL_DELETE(d->list->first, d);
	MHD_destroy_response(d->response);
	if (d->is_one_file)
		d->files.n_pieces = 0;
	reply_files_finish(&d->files);
	free(d);
	return NULL;
}

struct MHD_Response *download_response(struct download *d)
{
	return d->response;
}

uint64_t download_expire(struct download_list *l, uint64_t now)
{
	struct download *d;

	if (!l->first)
		return UINT64_MAX;
	if (now < l->next_check_us)
		return l->next_check_us;
	DL_FOREACH (l->first, d) {
		/* The library notices the end and closes it in its next pass. */
		if (download_is_broken(d))
			shutdown(d->fd, SHUT_RDWR);
	}
	l->next_check_us = now + CHECK_EVERY_US;
	return l->next_check_us;
}
