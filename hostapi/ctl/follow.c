/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See follow.h
 */
#include "ctl/follow.h"

#include <limits.h>
#include <poll.h>

#include "base/buf.h"
#include "base/sock.h"
#include "ctl/daemon.h"
#include "ctl/say.h"

#define REPLACED_SECONDS 10
#define LINE_MAX_BYTES   (16 * 1024 * 1024) /* two values of a key and their escapes */

void follow_finish(struct follow *f)
{
	f->stream = httpc_stream_free(f->stream);
}

/* Milliseconds for poll(2), rounded up. */
static int timeout_ms(uint64_t deadline_us)
{
	uint64_t now = now_us(), ms;

	if (deadline_us == FOLLOW_FOREVER)
		return -1;
	if (deadline_us <= now)
		return 0;
	ms = (deadline_us - now + 999) / 1000;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Waits for more and reads it. */
static int read_more(struct follow *f, uint64_t deadline_us)
{
	struct pollfd fds[] = {{.fd = httpc_stream_fd(f->stream), .events = POLLIN},
			       {.fd = f->stop_fd, .events = POLLIN},
			       {.fd = f->out_fd}}; /* POLLERR and POLLHUP need no asking */
	int n, r;

	do {
		n = poll(fds, ARRAY_SIZE(fds), timeout_ms(deadline_us));
	} while ((n < 0 && errno == EINTR) || (n == 0 && now_us() < deadline_us));
	if (n < 0) {
		say_errno(f->subject, -errno, "cannot wait");
		return FOLLOW_E_FAILED;
	}
	if (n == 0)
		return FOLLOW_E_TIMEOUT;
	if (fds[1].revents || fds[2].revents)
		return FOLLOW_E_STOPPED;
	r = httpc_stream_read(f->stream);
	if (r == -ECONNRESET || r == -EPIPE)
		return FOLLOW_E_ENDED;
	if (r < 0)
		say_errno(f->subject, r, "cannot understand the daemon");
	return r < 0 ? FOLLOW_E_FAILED : 0;
}

int follow_next(struct follow *f, uint64_t deadline_us, char **ret_line, size_t *ret_n)
{
	int r = 0;

	while (r == 0) {
		char *line = httpc_stream_next(f->stream, ret_n);

		if (line) {
			*ret_line = line;
			return 0;
		}
		r = httpc_stream_is_done(f->stream) ? FOLLOW_E_ENDED : read_more(f, deadline_us);
	}
	return r;
}

/* A status that is none of success. */
static int refused(struct follow *f, unsigned status, uint64_t deadline_us)
{
	char *line = NULL;
	size_t n = 0;

	if (status == 404)
		return FOLLOW_E_NOT_FOUND;
	if (follow_next(f, deadline_us, &line, &n) != 0)
		line = NULL;
	say(SAY_REFUSED, f->subject, "the daemon answers %u: %.*s", status, (int)n,
	    line ? line : "");
	return FOLLOW_E_FAILED;
}

int follow_open(struct follow *f, uint64_t deadline_us)
{
	_cleanup_(buf_finish) struct buf path = {0};
	int r = buf_printf(&path, "%s/admin.sock", f->context->run_dir);

	follow_finish(f);
	if (r == 0)
		r = httpc_open(path.data, f->target, LINE_MAX_BYTES, &f->stream);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
		return FOLLOW_E_ABSENT;
	if (r < 0) {
		say_errno(f->subject, r, "cannot ask the daemon");
		return FOLLOW_E_FAILED;
	}
	while (r == 0 && httpc_stream_status(f->stream) == 0)
		r = read_more(f, deadline_us);
	if (r == 0 && httpc_stream_status(f->stream) >= 400)
		r = refused(f, httpc_stream_status(f->stream), deadline_us);
	return r;
}

int follow_reopen(struct follow *f, uint64_t deadline_us)
{
	int r;

	do {
		r = follow_open(f, deadline_us);
	} while (r == FOLLOW_E_ENDED && now_us() < deadline_us);
	return r;
}

int follow_json(struct follow *f, uint64_t deadline_us, json_t **ret)
{
	char *line;
	size_t n;
	json_t *json;
	int r = follow_open(f, deadline_us);

	if (r == 0)
		r = follow_next(f, deadline_us, &line, &n);
	if (r != 0)
		return r;
	json = json_loadb(line, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!json) {
		say(SAY_REFUSED, f->subject, "the daemon's answer to %s is not JSON", f->target);
		return FOLLOW_E_FAILED;
	}
	*ret = json;
	return 0;
}

uint64_t follow_patience(uint64_t deadline_us)
{
	uint64_t patience_us = now_us() + REPLACED_SECONDS * 1000000ULL;

	return patience_us < deadline_us ? patience_us : deadline_us;
}

int follow_fail(const struct follow *f, int r, const char *consequence)
{
	if (r == FOLLOW_E_ABSENT)
		return daemon_say_absent(f->context, SAY_REFUSED, f->subject, consequence);
	if (r == FOLLOW_E_NOT_FOUND)
		return say(SAY_REFUSED, f->subject,
			   "the daemon does not know events; is it of another version?");
	if (r == FOLLOW_E_TIMEOUT || r == FOLLOW_E_ENDED)
		return say(SAY_REFUSED, f->subject,
			   "the daemon does not answer; what does its log say?");
	return SAY_REFUSED;
}
