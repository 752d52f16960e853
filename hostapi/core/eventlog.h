#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event log: lines in memory that outlives the process
 *
 * A file of slots, sparse: one slot is the log of one name. Its lines are a ring of `window` bytes; positions count bytes
 * since the slot was given its name and never go back. Oldest lines go, whole ones, when there is no room. What is
 * known of readers who come back with a number (file handles) is kept beside it.
 *
 * The pages of a slot are touched when it is used. A process that dies in the middle of a change leaves what was before, or what is after it.
 * Not thread-safe by itself: a slot has one user at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct eventlog;
struct eventlog_slot;

#define EVENTLOG_WINDOW_MIN (16 * 1024)
#define EVENTLOG_SLOTS_MAX  65536
/* Readers of one slot that are remembered. */
#define EVENTLOG_READERS_MAX 4096
/* No line is longer, however large the window. */
#define EVENTLOG_LINE_MAX (64 * 1024)
/* Bytes kept where nobody listens. */
#define EVENTLOG_QUIET 4096

/* A place between two lines: bytes and lines before it. */
struct eventlog_cursor {
	uint64_t at, n;
};

/*
 * What is remembered of a reader of the file of events. Offsets are those of its file, which begins at the position `base`.
 */
struct eventlog_reader {
	uint64_t id;   /* 0: free */
	uint64_t base; /* position of its file's first byte */
	uint64_t next; /* offset behind what it read last */
	uint64_t n;    /* lines before that */
	uint64_t gap_at,
		gap_to; /* where lines are missing: offset, and the position from which it goes on */
	uint64_t gap_to_n; /* lines before that */
	uint64_t gap_n;    /* how many are missing; 0: there is no gap */
	uint16_t gap_len;
	bool is_mid_line; /* what it read last did not end with a line */
	bool gap_breaks_line;
	bool has_seen_end; /* it has asked where the end is: it is told when it gets there */
};

/*
 * Maps @fd (borrowed) from @offset, whole pages, on; laid out with @window bytes a slot if it ends there. -1: memory of its own. Slots that
 * have a name are kept, and the window they have. Nobody else uses it: what a dead process left halfway is mended, and what cannot be is
 * forgotten. Returns 0 or -errno.
 */
int eventlog_new(int fd, size_t offset, uint32_t window, struct eventlog **ret);
/* Whether eventlog_new() would go on with what is there, which another process may be using. Returns 0, -EINVAL or -errno. */
int eventlog_check(int fd, size_t offset);
struct eventlog *eventlog_free(struct eventlog *e); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct eventlog *, eventlog_free);

/* Bytes it takes of the file, whole pages. */
size_t eventlog_size(const struct eventlog *e);

/* One slot with room for @window bytes that is nobody's else; free it with eventlog_slot_free(). NULL = no memory. */
struct eventlog_slot *eventlog_slot_new(uint32_t window);
struct eventlog_slot *eventlog_slot_free(struct eventlog_slot *s); /* NULL-safe; always NULL */

/* A slot for @name, empty. Returns 0 or -ENOSPC. */
int eventlog_add(struct eventlog *e, const char *name, struct eventlog_slot **ret);
/* Gives it back, and its memory. */
void eventlog_remove(struct eventlog *e, struct eventlog_slot *s);
/* The next slot with a name behind @s (NULL: the first); NULL at the end. */
struct eventlog_slot *eventlog_next(struct eventlog *e, struct eventlog_slot *s);
const char *eventlog_name(const struct eventlog_slot *s);

/* The longest line that may be appended: a quarter of the window, or EVENTLOG_LINE_MAX. */
size_t eventlog_line_max(const struct eventlog_slot *s);
/* Appends a line of @n bytes, its newline included. @is_quiet: keeps no more than EVENTLOG_QUIET, and gives memory back. */
void eventlog_append(struct eventlog_slot *s, const char *line, size_t n, bool is_quiet);
/* Forgets all lines; positions go on. */
void eventlog_clear(struct eventlog_slot *s);

/* Where the first line that is kept begins, and the next will. */
struct eventlog_cursor eventlog_begin(const struct eventlog_slot *s);
struct eventlog_cursor eventlog_end(const struct eventlog_slot *s);

/* Copies at most @size bytes from the position @at, which is kept, on. Returns how many. */
size_t eventlog_copy(const struct eventlog_slot *s, uint64_t at, char *bytes, size_t size);

/* The length of the line that begins at @at. */
size_t eventlog_line_at(const struct eventlog_slot *s, uint64_t at);

/*
 * The file: what begins at the base and grows. When it has become longer than the window a new one takes its name, with the younger half of
 * it; who has the old one open reads on.
 */
uint64_t eventlog_base(const struct eventlog_slot *s);
/* When the last line was appended, realtime. */
int64_t eventlog_changed_ns(const struct eventlog_slot *s);

/* A new reader of the current file. NULL: there are as many as can be. */
struct eventlog_reader *eventlog_open(struct eventlog_slot *s);
/* The one with that id, or NULL. */
struct eventlog_reader *eventlog_reader(struct eventlog_slot *s, uint64_t id);
void eventlog_close(struct eventlog_slot *s, struct eventlog_reader *r);
size_t eventlog_n_readers(const struct eventlog_slot *s);

/*
 * Reads at @offset of @r's file. In the place of lines that are gone comes one that says how many; reading it again gives the same.
 * Returns bytes, 0 at the end.
 */
size_t eventlog_read(struct eventlog_slot *s, struct eventlog_reader *r, uint64_t offset,
		     char *bytes, size_t size);
/* The position of @offset of @r's file. */
uint64_t eventlog_position(const struct eventlog_reader *r, uint64_t offset);
/* Whether eventlog_read() where @r left off would give something. */
bool eventlog_has_more(const struct eventlog_slot *s, const struct eventlog_reader *r);
/* @r goes to the end, and knows where that is. */
void eventlog_seek_end(const struct eventlog_slot *s, struct eventlog_reader *r);
