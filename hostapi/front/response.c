/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply in libmicrohttpd's form
 */
#include "front/response.h"

#include "core/snapshot.h"
#include "front/download.h"
#include "front/hearer.h"

/* Bytes of a stream that are sent at a time where they are not chunks. */
#define STREAM_BLOCK 4096

static void release_snapshot(void *cls)
{
	snapshot_unref(cls);
}

/* For a reply that is only a header. */
static ssize_t give_nothing(void *ctx, uint64_t position, char *bytes, size_t max)
{
	return MHD_CONTENT_READER_END_OF_STREAM;
}

/* The body goes over to the response, whoever owns it, without being copied. */
static struct MHD_Response *response_of(struct reply *r, struct hearer *hearer,
					struct download *download)
{
	void *body = (void *)r->body;
	struct MHD_Response *response;

	if (download) {
		response = download_response(download);
	} else if (r->stream == REPLY_WEBSOCKET) {
		response = MHD_create_response_for_upgrade(hearer_upgrade, hearer);
	} else if (r->stream == REPLY_LINES) {
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
							     hearer ? hearer_give : give_nothing,
							     hearer, NULL);
	} else if (r->borrowed) {
		response = MHD_create_response_from_buffer_with_free_callback_cls(
			r->body_len, body, release_snapshot, r->borrowed);
		if (response)
			r->borrowed = NULL;
	} else if (r->owned && r->owned == r->body) {
		response =
			MHD_create_response_from_buffer(r->body_len, body, MHD_RESPMEM_MUST_FREE);
		if (response)
			r->owned = NULL;
	} else {
		response =
			MHD_create_response_from_buffer(r->body_len, body, MHD_RESPMEM_PERSISTENT);
	}
	return response;
}

static bool add_headers(struct MHD_Response *response, const struct reply *r, bool is_last)
{
	char seconds[16];
	bool good = true, is_endless = r->stream == REPLY_LINES || r->stream == REPLY_WEBSOCKET;

	if (r->outcome != OUTCOME_NOT_MODIFIED)
		good = MHD_add_response_header(response, "Content-Type", reply_content_type(r));
	for (size_t i = 0; i < r->n_headers; i++)
		good &= MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
	if (outcome_is_error(r->outcome) || is_endless)
		good &= MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (r->allow)
		good &= MHD_add_response_header(response, "Allow", r->allow);
	if (r->retry_after_s) {
		snprintf(seconds, sizeof(seconds), "%u", r->retry_after_s);
		good &= MHD_add_response_header(response, "Retry-After", seconds);
	}
	if (is_last || is_endless)
		good &= MHD_add_response_header(response, "Connection", "close");
	return good;
}

static bool add_upgrade(struct MHD_Response *response, const struct reply *r)
{
	return MHD_add_response_header(response, "Upgrade", "websocket") &&
	       MHD_add_response_header(response, "Sec-WebSocket-Accept", r->events.accept);
}

enum MHD_Result response_send(struct MHD_Connection *mhd, struct reply *r, struct hearer *hearer,
			      struct download *download, bool is_last)
{
	struct MHD_Response *response = response_of(r, hearer, download);
	unsigned status = outcome_status(r->outcome);
	enum MHD_Result result = MHD_NO;
	bool good;

	if (!response)
		return MHD_NO;
	if (r->stream == REPLY_WEBSOCKET) {
		status = MHD_HTTP_SWITCHING_PROTOCOLS;
		good = add_upgrade(response, r);
	} else {
		good = add_headers(response, r, is_last);
	}
	if (good)
		result = MHD_queue_response(mhd, status, response);
	if (!download)
		MHD_destroy_response(response);
	return result;
}
