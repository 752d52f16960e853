/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply in libmicrohttpd's form
 */
#include "front/response.h"

#include "core/snapshot.h"

static void release_snapshot(void *cls)
{
	snapshot_unref(cls);
}

/* The body goes over to the response, whoever owns it, without being copied. */
static struct MHD_Response *response_of(struct reply *r)
{
	void *body = (void *)r->body;
	struct MHD_Response *response;

	if (r->borrowed) {
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

enum MHD_Result response_send(struct MHD_Connection *mhd, struct reply *r, bool is_last)
{
	struct MHD_Response *response = response_of(r);
	char seconds[16];
	enum MHD_Result result;
	bool good;

	if (!response)
		return MHD_NO;
	good = MHD_add_response_header(response, "Content-Type", reply_content_type(r));
	if (r->outcome != OUTCOME_OK)
		good &= MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (r->allow)
		good &= MHD_add_response_header(response, "Allow", r->allow);
	if (r->retry_after_s) {
		snprintf(seconds, sizeof(seconds), "%u", r->retry_after_s);
		good &= MHD_add_response_header(response, "Retry-After", seconds);
	}
	if (is_last)
		good &= MHD_add_response_header(response, "Connection", "close");
	result = good ? MHD_queue_response(mhd, outcome_status(r->outcome), response) : MHD_NO;
	MHD_destroy_response(response);
	return result;
}
