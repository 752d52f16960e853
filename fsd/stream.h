#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream: the file `events`, a log that is being written
 *
 * One file for cat, tail, head, grep, wc and poll: seekable, as long as the log, never cached. A read at its end waits for the next
 * event, unless the file was opened O_NONBLOCK or has been asked where its end is (SEEK_END), which only they do who
 * want to be told when they get there. Who waits costs memory and no thread.
 *
 * What is known of an open file is in the log's memory (eventlog.h), so that it outlives the worker.
 */
#include "branch.h"
#include "session.h"

struct hub;
struct journal;
struct settings;
struct stream;

struct stream_stats {
	_Atomic uint64_t n_waiting; /* reads */
};

/* All borrowed. Reads that wait are kept in @journal. NULL = no memory. */
struct stream *stream_new(struct hub *hub, const struct settings *settings,
			  const struct source *source, struct journal *journal);
/* Nothing may wait. NULL-safe; always NULL. */
struct stream *stream_free(struct stream *s);
DEFINE_CLEANUP(struct stream *, stream_free);

/* These answer @req, of the file @id of @b's instance. */
void stream_open(struct stream *s, fuse_req_t req, struct branch *b, fuse_ino_t id,
		 struct fuse_file_info *fi);
void stream_read(struct stream *s, fuse_req_t req, struct branch *b, size_t size, off_t offset,
		 const struct fuse_file_info *fi);
void stream_poll(struct stream *s, fuse_req_t req, struct branch *b,
		 const struct fuse_file_info *fi, struct fuse_pollhandle *handle);

/* The file was closed. */
void stream_release(struct stream *s, struct branch *b, const struct fuse_file_info *fi);
/* It was asked where its end is. Returns 0 or -errno. */
int stream_seek_end(struct stream *s, struct branch *b, const struct fuse_file_info *fi);

/* The file that has the name now: its node's low part, its size and when it last grew. False: there is none. */
struct stream_file {
	uint64_t low;
	uint64_t size;
	int64_t changed_ns; /* 0: not known */
};
bool stream_file(struct hub *hub, struct branch *b, struct stream_file *ret);
/* The same of the one with that low part, which may have been replaced. */
bool stream_file_of(struct hub *hub, struct branch *b, uint64_t low, struct stream_file *ret);

/* Counters; live as long as the stream. */
const struct stream_stats *stream_stats(const struct stream *s);
