#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log
 *
 * To journald with fields when standard error is the journal's stream (JOURNAL_STREAM, systemd.exec(5)),
 * else one line each on standard error, "<level> subject: text". Values of
 * config keys never go to the log. Lower layers log at debug only; a survived
 * failure is logged where it is survived and says "ignoring" or what stays in force.
 *
 * Thread-safe. The sink is the one piece of file-level state in the project.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/*
 * What an entry is about, for machines: each has a fixed journald MESSAGE_ID
 * (table in log.c, documented in devlxdfsd(8)).
 */
enum log_event {
	LOG_EVENT_NONE,
	LOG_EVENT_STARTED,
	LOG_EVENT_STOPPED,
	LOG_EVENT_WORKER_DIED,
	LOG_EVENT_RECORD_REJECTED,
	LOG_EVENT_RECORD_LOADED,
	LOG_EVENT_RECORD_GONE,
	LOG_EVENT_IDENTITY_REFUSED,
	LOG_EVENT_LIMIT_REACHED,
	LOG_EVENT_STORE_TROUBLE,
	_LOG_EVENT_N,
};

/* @ident is the program's name; @max_level drops what is less urgent. Call once, before threads. */
void log_init(const char *ident, enum log_level max_level);

/*
 * For a program whose standard error is somebody else's log: entries go to the journal if this host has one. Call
 * after log_init().
 */
void log_prefer_journal(void);

/* The last entries of a process, in memory that may outlive it: line n is at n % LOG_TAIL_LINES, n counts them. */
#define LOG_TAIL_LINES 4
#define LOG_TAIL_BYTES 256
struct log_tail {
	_Atomic uint32_t n;
	char lines[LOG_TAIL_LINES]
		  [LOG_TAIL_BYTES]; /* cut, and terminated unless it dies in the middle of one */
};

/* Entries are from now on put into @tail (borrowed) as well. Call once, before threads. */
void log_keep_tail(struct log_tail *tail);

/*
 * What is in @tail, which whoever wrote it may have filled with anything, as text: the last @n entries at most, quoted, oldest first.
 * Empty when there is none.
 */
void log_tail_text(const struct log_tail *tail, unsigned n, char *text, size_t size);

/* "error" "warning" "info" "debug" -> level, or -EINVAL. */
int log_level_parse(const char *text);

/*
 * One entry. @instance (may be NULL) becomes DEVLXDFS_INSTANCE= and the
 * subject of the line. errno is kept.
 */
void log_full(enum log_level level, enum log_event event, const char *instance, const char *format,
	      ...) _printf_(4, 5);

#define log_error(...) log_full(LOG_LEVEL_ERROR, LOG_EVENT_NONE, NULL, __VA_ARGS__)
#define log_warn(...)  log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, NULL, __VA_ARGS__)
#define log_info(...)  log_full(LOG_LEVEL_INFO, LOG_EVENT_NONE, NULL, __VA_ARGS__)
#define log_debug(...) log_full(LOG_LEVEL_DEBUG, LOG_EVENT_NONE, NULL, __VA_ARGS__)

/*
 * A bucket against floods: what a guest can provoke is logged through one of
 * these. Zero-initialised; may be shared by threads.
 */
struct log_limit {
	_Atomic uint64_t window_start_us;
	_Atomic uint32_t n_in_window;
	_Atomic uint32_t n_dropped;
};

/*
 * Whether one more entry may be written (5 per 10 s). When a new window opens
 * after drops, *ret_n_dropped says how many were not written, else 0.
 */
bool log_limit_allows(struct log_limit *limit, uint32_t *ret_n_dropped);

/*
 * A warning unless @limit says not to; says how many were not written before it. Returns whether it was
 * written: what else is told of it can be bounded by the same.
 */
bool log_limited(struct log_limit *limit, enum log_event event, const char *instance,
		 const char *format, ...) _printf_(4, 5);
