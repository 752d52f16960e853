/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream: the file `events`, a log that is being written
 *
 * A read that waits is a struct reading: whoever takes it out of the log's waiters, the thread "events" because there is something or
 * the one that was told of an interrupt, answers it. libfuse calls on_interrupt() with a lock of the request held, which
 * fuse_req_interrupt_func() takes, too; so who answers in another thread takes the function away first, and knows
 * that it is not running any more.
 */
#include "stream.h"

#include <fcntl.h>
#include <poll.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "core/hub.h"
#include "core/instance.h"
#include "core/lock.h"
#include "core/settings.h"
#include "journal.h"
#include "tree.h"

/* As much as one reply is made of; the reader comes again for the rest. */
#define READ_MAX (64 * 1024)

struct stream {
	struct hub *hub;
	const struct settings *settings;
	const struct source *source;
	struct journal *journal;
	struct stream_stats stats;
	pthread_mutex_t lock; /* of pollers */
	struct poller *pollers;
};

/* A read that waits. */
struct reading {
	struct hub_waiter waiter;
	_Atomic unsigned refs; /* who answers, and who makes it wait */
	_Atomic bool is_interrupted;
	struct stream *stream;
	struct branch *branch;
	struct hub_log *log;
	fuse_req_t req;
	void *request; /* the journal's */
	uint64_t file, offset;
	uint64_t at; /* its position in the log */
	size_t size;
};

/* An open file; its number is one of its log's. */
struct poller_key {
	const struct hub_log *log;
	uint64_t file;
};

/* Somebody who is to be told when there is something to read. */
struct poller {
	struct hub_waiter waiter;
	struct stream *stream;
	struct hub_log *log;
	struct fuse_pollhandle *handle;
	struct poller_key key;
	UT_hash_handle hh; /* stream::pollers */
};

static struct hub_log *log_of(const struct stream *s, struct branch *b, int *ret_error)
{
	struct hub_log *l = NULL;

	*ret_error = -hub_log_of(s->hub, branch_instance(b), &l);
	return l;
}

/* Whether the guest may see events now. */
static bool is_shown(const struct stream *s, struct branch *b)
{
	struct source_view *v = s->source->ops->view(s->source->ctx, branch_instance(b));

	if (v)
		s->source->ops->view_unref(v);
	return v != NULL;
}

void stream_open(struct stream *s, fuse_req_t req, struct branch *b, fuse_ino_t id,
		 struct fuse_file_info *fi)
{
	int error;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(s, b, &error);
	uint64_t base, end;

	if (!l) {
		fuse_reply_err(req, error);
		return;
	}
	hub_file(l, &base, &end, NULL);
	/* Another file has the name by now; it is looked up again. */
	if ((id & TREE_LOW_MASK) != (TREE_LOG_FIRST | (uint32_t)base))
		error = ESTALE;
	else
		error = -hub_open(l, &fi->fh);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	fi->direct_io = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		hub_close(l, fi->fh);
}

static struct reading *reading_unref(struct reading *r)
{
	if (--r->refs > 0)
		return NULL;
	hub_log_unref(r->log);
	branch_unref(r->branch);
	free(r);
	return NULL;
}

/* It waits no more. */
static void reading_end(struct reading *r)
{
	instance_account(branch_instance(r->branch))->n_event_readers--;
	r->stream->stats.n_waiting--;
	journal_done(r->stream->journal, r->request);
	reading_unref(r);
}

/* Answers with what there is. Whether there was something, if only an error. */
static bool reply_events(struct reading *r)
{
	char bytes[READ_MAX];
	ssize_t n;

	if (!is_shown(r->stream, r->branch)) {
		fuse_reply_err(r->req, EACCES);
		return true;
	}
	n = hub_read_file(r->log, r->file, r->offset, bytes,
			  r->size < sizeof(bytes) ? r->size : sizeof(bytes), &r->at);
	if (n < 0)
		fuse_reply_err(r->req, n == -EBADF ? EIO : (int)-n);
	else if (n > 0)
		fuse_reply_buf(r->req, bytes, (size_t)n);
	return n != 0;
}

/* In a thread of the loop, with the request's lock held. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct reading *r = data;

	r->is_interrupted = true;
	if (!hub_cancel(r->log, &r->waiter))
		return;
	fuse_reply_err(req, EINTR);
	reading_end(r);
}

/* Nobody else has it: waits, or answers because there is something after all. */
static void wait_or_answer(struct reading *r)
{
	for (;;) {
		r->refs++;
		fuse_req_interrupt_func(r->req, on_interrupt, r);
		if (hub_wait(r->log, r->at, &r->waiter)) {
			bool is_ours = r->is_interrupted && hub_cancel(r->log, &r->waiter);

			if (is_ours) {
				fuse_req_interrupt_func(r->req, NULL, NULL);
				fuse_reply_err(r->req, EINTR);
				reading_end(r);
			}
			reading_unref(r);
			return;
		}
		reading_unref(r);
		fuse_req_interrupt_func(r->req, NULL, NULL);
		if (reply_events(r)) {
			reading_end(r);
			return;
		}
	}
}

/* In the thread "events": there is more, or it is to look again. */
static void wake_reading(struct hub_waiter *w)
{
	struct reading *r = (struct reading *)((char *)w - offsetof(struct reading, waiter));

	fuse_req_interrupt_func(r->req, NULL, NULL);
	if (reply_events(r))
		reading_end(r);
	else
		wait_or_answer(r);
}

/* At the end of the file. */
static void wait_for_more(const struct reading *reading)
{
	struct stream *s = reading->stream;
	struct account *a = instance_account(branch_instance(reading->branch));
	struct reading *r;

	if (a->n_event_readers >= journal_share(s->journal, s->settings->max_event_readers)) {
		fuse_reply_err(reading->req, EAGAIN);
		return;
	}
	r = malloc(sizeof(*r));
	if (!r) {
		fuse_reply_err(reading->req, ENOMEM);
		return;
	}
	*r = *reading;
	r->request = journal_keep(s->journal);
	if (!r->request) {
		free(r);
		fuse_reply_err(reading->req, EAGAIN);
		return;
	}
	r->refs = 1;
	branch_ref(r->branch);
	hub_log_ref(r->log);
	a->n_event_readers++;
	s->stats.n_waiting++;
	wait_or_answer(r);
}

void stream_read(struct stream *s, fuse_req_t req, struct branch *b, size_t size, off_t offset,
		 const struct fuse_file_info *fi)
{
	int error;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(s, b, &error);
	struct reading r = {
		.waiter.wake = wake_reading,
		.stream = s,
		.branch = b,
		.log = l,
		.req = req,
		.file = fi->fh,
		.offset = (uint64_t)offset,
		.size = size,
	};
	bool has_seen_end;

	if (!l)
		fuse_reply_err(req, error);
	else if (reply_events(&r))
		return;
	else if (size == 0 || (hub_reader(l, fi->fh, NULL, NULL, &has_seen_end) == 0 &&
			       has_seen_end && !(fi->flags & O_NONBLOCK)))
		fuse_reply_buf(req, NULL, 0);
	else if (fi->flags & O_NONBLOCK)
		fuse_reply_err(req, EAGAIN);
	else
		wait_for_more(&r);
}

static void poller_free(struct poller *p)
{
	fuse_pollhandle_destroy(p->handle);
	hub_log_unref(p->log);
	free(p);
}

/* In the thread "events". */
static void wake_poller(struct hub_waiter *w)
{
	struct poller *p = (struct poller *)((char *)w - offsetof(struct poller, waiter));
	struct stream *s = p->stream;
	{
		LOCK_HOLD(&s->lock);

		HASH_DEL(s->pollers,
			 p); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	}
	fuse_lowlevel_notify_poll(p->handle);
	poller_free(p);
}

/* Forgets who polls the file; it polls again, or has closed it. One that is being woken frees itself. */
static void forget_poller(struct stream *s, const struct hub_log *l, uint64_t file)
{
	const struct poller_key key = {l, file};
	LOCK_HOLD(&s->lock);
	struct poller *p;

	HASH_FIND(hh, s->pollers, &key, sizeof(key), p);
	if (!p || !hub_cancel(p->log, &p->waiter))
		return;
	HASH_DEL(s->pollers, p); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	poller_free(p);
}

/* With the lock, so that who wakes it finds it in the table. */
static bool poller_wait(struct stream *s, struct poller *p, uint64_t at)
{
	HASH_ADD(hh, s->pollers, key, sizeof(p->key), p);
	if (!p->hh.tbl)
		return false;
	if (hub_wait(p->log, at, &p->waiter))
		return true;
	HASH_DEL(s->pollers, p); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	return false;
}

/* Takes the handle. Whether it will be told; else it is to look again. */
static bool add_poller(struct stream *s, struct hub_log *l, uint64_t file, uint64_t at,
		       struct fuse_pollhandle *handle)
{
	struct poller *p = calloc(1, sizeof(*p));

	if (!p) {
		fuse_pollhandle_destroy(handle);
		return false;
	}
	p->waiter.wake = wake_poller;
	p->stream = s;
	p->log = hub_log_ref(l);
	p->handle = handle;
	p->key = (struct poller_key){l, file};
	LOCK_HOLD(&s->lock);
	if (poller_wait(s, p, at))
		return true;
	poller_free(p);
	return false;
}

void stream_poll(struct stream *s, fuse_req_t req, struct branch *b,
		 const struct fuse_file_info *fi, struct fuse_pollhandle *handle)
{
	int error;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(s, b, &error);
	bool has_more = true;
	unsigned events = 0;
	uint64_t at = 0;

	if (!l || !is_shown(s, b) || hub_reader(l, fi->fh, &has_more, &at, NULL) < 0)
		events = POLLERR;
	if (l)
		forget_poller(s, l, fi->fh);
	if (!has_more && handle && !events)
		has_more = !add_poller(s, l, fi->fh, at, handle);
	else if (handle)
		fuse_pollhandle_destroy(handle);
	fuse_reply_poll(req, events | (has_more ? POLLIN | POLLRDNORM : 0));
}

void stream_release(struct stream *s, struct branch *b, const struct fuse_file_info *fi)
{
	int error;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(s, b, &error);

	if (!l)
		return;
	forget_poller(s, l, fi->fh);
	hub_close(l, fi->fh);
}

int stream_seek_end(struct stream *s, struct branch *b, const struct fuse_file_info *fi)
{
	int error;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(s, b, &error);

	return l ? hub_seek_end(l, fi->fh) : -error;
}

bool stream_file(struct hub *hub, struct branch *b, struct stream_file *ret)
{
	_cleanup_(hub_log_unrefp) struct hub_log *l = NULL;
	uint64_t base, end;

	if (hub_log_of(hub, branch_instance(b), &l) < 0)
		return false;
	hub_file(l, &base, &end, &ret->changed_ns);
	ret->low = TREE_LOG_FIRST | (uint32_t)base;
	ret->size = end - base;
	return true;
}

bool stream_file_of(struct hub *hub, struct branch *b, uint64_t low, struct stream_file *ret)
{
	_cleanup_(hub_log_unrefp) struct hub_log *l = NULL;
	uint64_t base, end;

	if (hub_log_of(hub, branch_instance(b), &l) < 0)
		return false;
	hub_file(l, &base, &end, &ret->changed_ns);
	/* How long ago it began tells which one it is. */
	ret->low = low;
	ret->size = (uint32_t)((uint32_t)end - (uint32_t)low);
	return true;
}

const struct stream_stats *stream_stats(const struct stream *s)
{
	return &s->stats;
}

struct stream *stream_new(struct hub *hub, const struct settings *settings,
			  const struct source *source, struct journal *journal)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->hub = hub;
	s->settings = settings;
	s->source = source;
	s->journal = journal;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct stream *stream_free(struct stream *s)
{
	if (!s)
		return NULL;
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}
