/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /1.0: what the guest is, and its word that it is ready
 *
 * Ready belongs to one run of the guest, so both directions take the caller's
 * boot with them. The body of PATCH is read by the rules of Go's decoder,
 * which clients were written against: member names in any case, the last one
 * counts, null is the empty text, what follows the first JSON value is ignored.
 */
#include "api/resources.h"

#include <strings.h>

#include "api/quote.h"
#include "base/json.h"
#include "core/snapshot.h"
#include "store/store.h"

int state_get(const struct request *request, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};
	const struct record *record = snapshot_record(request->snapshot);
	const char *location = request->api->location;
	bool ready = instance_is_ready(request->instance, request->boot);
	int r;

	r = buf_printf(&b, "{\"state\":\"%s\",\"api_version\":\"1.0\",\"instance_type\":\"%s\",",
		       ready ? "Ready" : "Started", instance_type_name(record->type));
	if (r >= 0)
		r = buf_puts(&b, "\"location\":");
	if (r >= 0)
		r = json_append_string(&b, location, strlen(location), false);
	if (r >= 0)
		r = buf_puts(&b, ",\"auth\":\"untrusted\",\"supported_storage_drivers\":[]}\n");
	return r < 0 ? r : reply_bytes(reply, REPLY_JSON, &b);
}

/* The member "state" of @body, NULL when there is none. */
static json_t *find_state(json_t *body)
{
	json_t *found = NULL, *value;
	const char *name;

	json_object_foreach (body, name, value) {
		if (strcasecmp(name, "state") == 0)
			found = value;
	}
	return found;
}

static bool is_blank(const char *bytes, size_t n)
{
	while (n > 0 && memchr(" \t\r\n", bytes[n - 1], 4))
		n--;
	return n == 0;
}

/* Reads @request's body. Returns 0 with *ret (a new reference), 1 when *reply says what is wrong, or -ENOMEM. */
static int load_body(const struct request *request, struct reply *reply, json_t **ret)
{
	json_error_t error;
	json_auto_t *body =
		json_loadb(request->body, request->body_len,
			   JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &error);
	const char *text = error.text;

	if (body && (json_is_object(body) || json_is_null(body))) {
		*ret = json_incref(body);
		return 0;
	}
	if (body)
		text = "not an object";
	else if (json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	else if (json_error_code(&error) == json_error_premature_end_of_input)
		text = is_blank(request->body, request->body_len) ? "EOF" : "unexpected EOF";
	reply_error(reply, OUTCOME_BAD_REQUEST, "Invalid request body: %s", text);
	return 1;
}

static int reply_bad_state(struct reply *reply, const char *state, size_t n)
{
	_cleanup_(buf_finish) struct buf quoted = {0};
	int r = quote_go(&quoted, state, n);

	if (r >= 0)
		reply_error(reply, OUTCOME_BAD_REQUEST, "Invalid state %s", quoted.data);
	return r;
}

int state_patch(const struct request *request, struct reply *reply)
{
	json_auto_t *body = NULL;
	json_t *state;
	const char *text;
	size_t n;
	int r;

	r = load_body(request, reply, &body);
	if (r != 0)
		return r < 0 ? r : 0;
	state = find_state(body);
	if (state && !json_is_string(state) && !json_is_null(state)) {
		reply_error(reply, OUTCOME_BAD_REQUEST,
			    "Invalid request body: state is not a string");
		return 0;
	}
	text = json_string_value(state) ?: "";
	n = json_string_length(state);
	if (strlen(text) != n || (!streq(text, "Ready") && !streq(text, "Started")))
		return reply_bad_state(reply, text, n);
	r = store_set_ready(request->api->store, request->instance, request->boot,
			    streq(text, "Ready"));
	if (r < 0) {
		errno = -r;
		reply_error(reply, OUTCOME_INTERNAL, "Failed setting instance state: %m");
		reply->error = r;
		return 0;
	}
	reply_empty(reply);
	return 0;
}
