#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking the guest API as a front does, without a front
 *
 * The store is not there: store_set_ready() is replaced by a note of what it was told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/guest.h"
#include "core/instance.h"
#include "records.h"
#include "store/store.h"

static struct {
	unsigned n_calls;
	bool ready;
	struct instance *instance;
	const struct boot *boot;
	int result;
} asking_store;

int store_set_ready(struct store *s, struct instance *i, const struct boot *boot, bool ready)
{
	asking_store.n_calls++;
	asking_store.ready = ready;
	asking_store.instance = i;
	asking_store.boot = boot;
	return asking_store.result;
}

/* What there is of images; NULL: such requests must not get that far. */
static struct images *asking_images;
static const struct boot asking_boot = {.cgroup_id = 7, .init_start = 1000, .init_pid = 42};

/* Sends one request of the guest @i, whose snapshot is @s (may be NULL). */
static inline void ask_as(struct instance *i, struct snapshot *s, const char *method,
			  const char *target_text, const char *body, struct reply *ret)
{
	const struct api api = {.location = "host1", .images = asking_images};
	_cleanup_(target_finish) struct target target = {0};
	struct request request = {
		.api = &api,
		.method = method_parse(method),
		.target = &target,
		.body = body,
		.body_len = strlen(body),
		.instance = i,
		.snapshot = s,
		.boot = &asking_boot,
	};

	assert_int_equal(target_parse(target_text, strlen(target_text), &target), 0);
	route_dispatch(guest_routes(), &request, method, ret);
}

/* The same for a guest of its own; the reply must be @status with exactly @expected as its body. */
static inline void assert_answer(struct snapshot *s, const char *method, const char *target,
				 unsigned status, const char *expected)
{
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(reply_finish) struct reply reply = {0};

	ask_as(i, s, method, target, "", &reply);
	assert_int_equal(reply.body_len, strlen(expected));
	if (reply.body_len > 0)
		assert_memory_equal(reply.body, expected, reply.body_len);
	assert_int_equal(outcome_status(reply.outcome), status);
}
