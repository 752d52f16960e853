/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Session: libfuse on a mount that is older than this process
 */
#include "session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>

#include "base/log.h"

struct session {
	struct fuse_session *fuse;
	void *ctx;
	/* Only while no other threads exist. */
	bool is_replaying, is_accepted;
};

void *session_ctx(fuse_req_t req)
{
	const struct session *s = fuse_req_userdata(req);

	return s->ctx;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct session *s = userdata;
	const struct fuse_out_header *head = iov[0].iov_base;
	ssize_t n = 0;

	if (!s->is_replaying)
		return writev(fd, iov, count);
	s->is_accepted = head->error == 0;
	for (int i = 0; i < count; i++)
		n += (ssize_t)iov[i].iov_len;
	return n;
}

/* libfuse wants one; requests are read by loop.c. */
static ssize_t read_request(int fd, void *bytes, size_t n, void *userdata)
{
	return read(fd, bytes, n);
}

static _printf_(2, 0) void log_fuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libfuse: %s", text);
}

static int replay(struct session *s, const struct shared *shared)
{
	_cleanup_(freep) void *copy = malloc(shared->init_len);
	struct fuse_buf request = {.size = shared->init_len, .mem = copy, .fd = -1};

	if (!copy)
		return -ENOMEM;
	memcpy(copy, shared->init, shared->init_len);
	s->is_replaying = true;
	fuse_session_process_buf(s->fuse, &request);
	s->is_replaying = false;
	return s->is_accepted && !fuse_session_exited(s->fuse) ? 0 : -EPROTO;
}

int session_new(int fd, const struct shared *shared, const struct fuse_lowlevel_ops *ops, void *ctx,
		struct session **ret)
{
	static const struct fuse_custom_io io = {.writev = write_reply, .read = read_request};
	_cleanup_(session_freep) struct session *s = calloc(1, sizeof(*s));
	char name[] = "devlxdfsd", *argv[] = {name, NULL};
	_cleanup_(fuse_opt_free_args) struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int own, r;

	if (!s)
		return -ENOMEM;
	s->ctx = ctx;
	fuse_set_log_func(log_fuse);
	s->fuse = fuse_session_new(&args, ops, sizeof(*ops), s);
	if (!s->fuse)
		return -ENOMEM;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* the session closes it */
	if (own < 0)
		return -errno;
	if (fuse_session_custom_io(s->fuse, &io, own) < 0) {
		closep(&own);
		return -EINVAL;
	}
	r = replay(s, shared);
	if (r < 0)
		return r;
	*ret = steal_ptr(&s);
	return 0;
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	if (s->fuse)
		fuse_session_destroy(s->fuse);
	free(s);
	return NULL;
}

void session_process(struct session *s, void *request, size_t n)
{
	const struct fuse_buf buf = {.size = n, .mem = request, .fd = -1};

	fuse_session_process_buf(s->fuse, &buf);
}
